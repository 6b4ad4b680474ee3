//! The rows of a data file: an example each.

use super::Source;
use super::build::Maker;
use super::writer::{GoldColumn, Rows};
use crate::data::Row;
use crate::labels::Key;
use crate::task::{Gold, Kind, RawLabels, score};
use anyhow::Result;

/// Makes rows out of examples.
pub(super) struct DataRows<'a> {
    source: &'a Source<'a>,
    kind: Kind,
    labels: RawLabels,
}

impl<'a> DataRows<'a> {
    pub fn new(source: &'a Source<'a>, kind: Kind) -> Self {
        DataRows { source, kind, labels: RawLabels::new(source.path.to_owned()) }
    }

    fn gold(&mut self, rows: &[(Row, Key)]) -> Result<GoldColumn> {
        let rows = rows.iter().map(|(row, _)| row);
        match self.kind {
            Kind::Classification => {
                rows.map(|row| self.class(row)).collect::<Result<_>>().map(GoldColumn::Classes)
            }
            Kind::Regression => {
                rows.map(|row| self.value(row)).collect::<Result<_>>().map(GoldColumn::Values)
            }
        }
    }

    fn class(&mut self, row: &Row) -> Result<u16> {
        let label = row.label.as_deref().map(|label| self.labels.take(label, row.line)).transpose()?;
        Ok(label.map_or(0, |label| label as u16 + 1))
    }

    fn value(&self, row: &Row) -> Result<f32> {
        Ok(match score(self.source.path, row)? {
            Gold::Value(value) => value,
            Gold::Class(_) | Gold::Missing => f32::NAN,
        })
    }
}

impl Maker for DataRows<'_> {
    type Item = (Row, Key);

    fn make(&mut self, items: Vec<Self::Item>) -> Result<Rows> {
        let gold = self.gold(&items)?;
        let texts: Vec<_> =
            items.iter().map(|(row, _)| (row.text.as_str(), row.text_pair.as_deref())).collect();
        let encodings = self.source.tokenizer.encode(&texts, self.source.threads)?;
        Ok(Rows { encodings, gold, keys: items.iter().map(|(_, key)| *key).collect() })
    }

    fn finish(&mut self) -> Result<Rows> {
        self.make(Vec::new())
    }

    fn labels(&self) -> &RawLabels {
        &self.labels
    }
}
