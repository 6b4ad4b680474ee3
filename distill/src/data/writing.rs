//! Writing examples, so that [`super::scan`] finds the columns by their names and reads the same rows.

use super::Format;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::io::{Result, Write};

/// Writes rows with the columns `text`, `text_pair` and `label`, or those of them that there are.
pub struct RowWriter<W> {
    out: W,
    form: Form,
    pairs: bool,
    labels: bool,
}

enum Form {
    Tsv,
    JsonLines,
}

impl<W: Write> RowWriter<W> {
    /// Returns the formats that can be written, as a file name may ask for them.
    pub fn writes(format: Format) -> bool {
        form(format).is_some()
    }

    /// Starts a file. `pairs`, `labels`: whether rows have a second text, and whether some have a label.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(mut out: W, format: Format, pairs: bool, labels: bool) -> Result<Self> {
        let form = form(format).unwrap_or(Form::Tsv);
        if matches!(form, Form::Tsv) {
            let columns = [Some("text"), pairs.then_some("text_pair"), labels.then_some("label")];
            writeln!(out, "{}", columns.into_iter().flatten().collect::<Vec<_>>().join("\t"))?;
        }
        Ok(RowWriter { out, form, pairs, labels })
    }

    /// Writes a row. In TSV, tabs and line ends within a text become spaces.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, text: &str, text_pair: Option<&str>, label: Option<&str>) -> Result<()> {
        match self.form {
            Form::Tsv => {
                let pair = self.pairs.then(|| text_pair.unwrap_or_default());
                let label = self.labels.then(|| label.unwrap_or_default());
                let mut separator = "";
                for field in [Some(text), pair, label].into_iter().flatten() {
                    write!(self.out, "{separator}{}", field_of(field))?;
                    separator = "\t";
                }
                writeln!(self.out)
            }
            Form::JsonLines => {
                let mut row = Map::from_iter([("text".to_owned(), text.into())]);
                if self.pairs {
                    row.insert("text_pair".into(), text_pair.unwrap_or_default().into());
                }
                if self.labels {
                    row.insert("label".into(), label.map_or(Value::Null, Value::from));
                }
                writeln!(self.out, "{}", Value::Object(row))
            }
        }
    }
}

fn form(format: Format) -> Option<Form> {
    match format {
        Format::Tsv => Some(Form::Tsv),
        Format::Jsonl => Some(Form::JsonLines),
        Format::Csv => None,
    }
}

fn field_of(text: &str) -> Cow<'_, str> {
    let breaks = ['\t', '\n', '\r'];
    if text.contains(breaks) { text.replace(breaks, " ").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Reading, read};

    type Example<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

    fn round_trip(
        format: Format,
        name: &str,
        rows: &[Example<'_>],
    ) -> Vec<(String, Option<String>, Option<String>)> {
        let mut bytes = Vec::new();
        let (pairs, labels) =
            (rows.iter().any(|row| row.1.is_some()), rows.iter().any(|row| row.2.is_some()));
        let mut writer = RowWriter::new(&mut bytes, format, pairs, labels).unwrap();
        rows.iter().for_each(|(text, pair, label)| writer.write(text, *pair, *label).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let read = read(&path, &Reading::default()).unwrap();
        read.rows.into_iter().map(|row| (row.text, row.text_pair, row.label)).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let single: &[Example<'_>] =
            &[("a \"b\" c", None, Some("x")), ("", None, Some("y")), (" é\u{2028}\\t", None, None)];
        let pair: &[Example<'_>] = &[("a", Some("b"), Some("0.5")), ("c", Some(""), None)];
        let bare: &[Example<'_>] = &[("label", None, None), ("text", None, None)];
        for (format, name) in [(Format::Tsv, "a.tsv"), (Format::Jsonl, "a.jsonl")] {
            for rows in [single, pair, bare] {
                let owned = |text: &str| text.to_owned();
                let expected: Vec<_> =
                    rows.iter().map(|r| (owned(r.0), r.1.map(owned), r.2.map(owned))).collect();
                assert_eq!(round_trip(format, name, rows), expected, "{name}");
            }
        }
    }

    #[test]
    fn line_ends_survive_in_json_and_become_spaces_in_tsv() {
        let rows: &[Example<'_>] = &[("a\tb\r\nc", None, Some("x\ty"))];
        assert_eq!(round_trip(Format::Tsv, "a.tsv", rows)[0], ("a b  c".into(), None, Some("x y".into())));
        assert_eq!(round_trip(Format::Jsonl, "a.jsonl", rows)[0].0, "a\tb\r\nc");
        assert!(!RowWriter::<Vec<u8>>::writes(Format::Csv));
    }
}
