//! The texts of a comparison, in a temporary file that is mapped: read once, tokenized for each model, shown at the end.

use super::scratch::{Mapped, Scratch};
use crate::corpus::Subject;
use crate::task::Gold;
use crate::tokens::{Encodings, Tokenizer};
use anyhow::Result;
use std::ops::Range;
use std::path::Path;

/// The texts of a file and what is right of each; 32 bytes of memory for each row.
pub struct Spool {
    /// The label of each text, in the order of the subject's classes.
    pub gold: Vec<Gold>,
    /// SHA-256 of the file.
    pub fingerprint: String,
    texts: Mapped,
    places: Vec<Place>,
}

/// A text, or two, with the line on which it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The text, or the first of a pair.
    pub text: String,
    /// The second text of a pair.
    pub text_pair: Option<String>,
    /// The line on which the row begins, from 1; nothing where it is not known.
    pub line: Option<usize>,
}

/// Where a text stands in the spool. No line is longer than 10 MB, so that its length fits.
#[derive(Clone, Copy)]
struct Place {
    end: u64,
    /// The bytes of the second text, and one; 0 if there is none.
    pair: u32,
    line: u32,
}

impl Spool {
    /// Reads a file.
    ///
    /// # Errors
    /// When the file cannot be read, or a label is none of the subject's, located; when the disk is full.
    pub fn read(subject: &Subject, path: &Path) -> Result<Self> {
        let mut scratch = Scratch::new()?;
        let (mut places, mut end) = (Vec::new(), 0);
        let (gold, fingerprint) = subject.scan(path, &mut |row| {
            let pair = row.text_pair.as_deref();
            for text in std::iter::once(row.text.as_str()).chain(pair) {
                scratch.write(text.as_bytes())?;
                end += text.len() as u64;
            }
            places.push(Place {
                end,
                pair: pair.map_or(0, |pair| pair.len() as u32 + 1),
                line: row.line.try_into().unwrap_or(u32::MAX),
            });
            Ok(())
        })?;
        Ok(Spool { gold, fingerprint, texts: scratch.finish()?, places })
    }

    /// Returns the number of texts.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Says whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Encodes some of the texts.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode(&self, tokenizer: &Tokenizer, rows: Range<usize>, threads: usize) -> Result<Encodings> {
        let texts: Vec<(&str, Option<&str>)> = rows.map(|row| self.texts(row)).collect();
        tokenizer.encode(&texts, threads)
    }

    /// Returns a text as it stands in the file.
    pub fn passage(&self, row: usize) -> Passage {
        let (text, text_pair) = self.texts(row);
        let line = Some(self.places[row].line as usize);
        Passage { text: text.to_owned(), text_pair: text_pair.map(str::to_owned), line }
    }

    fn texts(&self, row: usize) -> (&str, Option<&str>) {
        let start = if row == 0 { 0 } else { self.places[row - 1].end as usize };
        let Place { end, pair, .. } = self.places[row];
        let bytes = &self.texts.bytes()[start..end as usize];
        let (text, second) = bytes.split_at(bytes.len() - pair.saturating_sub(1) as usize);
        let of = |bytes| std::str::from_utf8(bytes).expect("what was written was text");
        (of(text), (pair > 0).then(|| of(second)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    #[test]
    fn texts_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.tsv");
        std::fs::write(&path, "sentence1\tsentence2\tlabel\ngut\t\t0\n\u{e4}h\tb\t1\n").unwrap();
        let config = teacher::ModelConfig::default();
        let subject = Subject::of_model(&Recipe::default().data, &config, Some(2)).unwrap();
        let spool = Spool::read(&subject, &path).unwrap();
        let passage = |text: &str, pair: &str, line| Passage {
            text: text.to_owned(),
            text_pair: Some(pair.to_owned()),
            line: Some(line),
        };
        assert_eq!([spool.passage(0), spool.passage(1)], [passage("gut", "", 2), passage("\u{e4}h", "b", 3)]);
        assert_eq!(spool.gold, [Gold::Class(0), Gold::Class(1)]);
    }
}
