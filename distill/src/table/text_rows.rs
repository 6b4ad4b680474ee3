//! The rows of a plain text: a sequence each.

use super::Source;
use super::build::Maker;
use super::writer::{GoldColumn, Rows};
use crate::error::explained;
use crate::labels::key_of_tokens;
use crate::task::RawLabels;
use crate::text::{Former, Packing, Pairs, Sequences, Stretch};
use crate::tokens::Bare;
use anyhow::Result;

/// Makes rows out of stretches of text.
pub(super) struct TextRows<'a> {
    source: &'a Source<'a>,
    bare: Bare,
    former: Former,
    labels: RawLabels,
    pairs: Pairs,
    /// How many rows have each label, none first.
    counts: [u64; 3],
}

impl<'a> TextRows<'a> {
    pub fn new(source: &'a Source<'a>, packing: &Packing) -> Result<Self> {
        let mut labels = RawLabels::new(source.path.to_owned());
        for label in packing.pairs.labels() {
            labels.take(label, 0)?;
        }
        let (bare, former) = (source.tokenizer.bare()?, Former::new(packing, source.tokenizer)?);
        Ok(TextRows { source, bare, former, labels, pairs: packing.pairs, counts: [0; 3] })
    }

    fn rows(&mut self, sequences: Sequences) -> Rows {
        let Sequences { encodings, classes } = sequences;
        classes.iter().for_each(|&class| self.counts[usize::from(class)] += 1);
        let key = |row: usize| {
            let (ids, segments) = encodings.get(row);
            key_of_tokens(ids, segments)
        };
        let keys = (0..encodings.len()).map(key).collect();
        Rows { encodings, keys, gold: GoldColumn::Classes(classes) }
    }

    /// Refuses a text of which nothing can be learnt.
    fn check(&self) -> Result<()> {
        let path = self.source.path.display();
        let left_out = self.former.num_left_out();
        match (self.pairs, self.counts) {
            (_, [0, 0, 0]) => Err(explained(
                format!(
                    "no row can be made of the text in `{path}`; {left_out} were left out as too short or unknown"
                ),
                "is it text, in the tokenizer's language? pairs need documents of several sentences, one on each line \
                 unless marks end them",
            )),
            (Pairs::NextSentence, [_, _, 0]) => Err(explained(
                format!("every next sentence in `{path}` is the real one: there is no other document"),
                "divide documents by blank lines, or let the order of sentences be told",
            )),
            _ => Ok(()),
        }
    }
}

impl Maker for TextRows<'_> {
    type Item = Stretch;

    fn make(&mut self, items: Vec<Stretch>) -> Result<Rows> {
        let texts: Vec<&str> = items.iter().map(|stretch| stretch.text.as_str()).collect();
        let encodings = self.bare.encode(&texts, self.source.threads)?;
        let mut sequences = Sequences::default();
        for (number, stretch) in items.iter().enumerate() {
            self.former.add(encodings.get(number).0, stretch.begins, &mut sequences);
        }
        Ok(self.rows(sequences))
    }

    fn finish(&mut self) -> Result<Rows> {
        let mut sequences = Sequences::default();
        self.former.finish(&mut sequences);
        let rows = self.rows(sequences);
        self.check()?;
        Ok(rows)
    }

    fn labels(&self) -> &RawLabels {
        &self.labels
    }
}
