//! What has to be known of a file before the first copy is made: which texts there are, and which words are frequent.

use super::seen::{Seen, key_of};
use super::stop_words::WordCounts;
use crate::corpus::Subject;
use crate::data::Row;
use crate::task::Gold;
use crate::threads;
use anyhow::Result;
use std::path::Path;

/// What a file holds; about 16 bytes of memory for each row.
#[derive(Default)]
pub struct Survey {
    /// The number of rows.
    pub rows: usize,
    /// Their texts.
    pub seen: Seen,
    /// Their words.
    pub counts: WordCounts,
    /// Whether rows have a second text.
    pub pairs: bool,
    /// Whether some have a label.
    pub labels: bool,
    /// The class of each row; empty where nobody asked.
    pub gold: Vec<Gold>,
}

impl Survey {
    /// Reads a file. `classes`: what becomes of its labels.
    ///
    /// # Errors
    /// When the file cannot be read, or a label is none of the model's; located.
    pub fn of(subject: &Subject, path: &Path, classes: Classes, threads: usize) -> Result<Self> {
        let mut survey = Survey::default();
        let mut add = |rows: Vec<Row>| {
            survey.add(&rows, threads);
            Ok(())
        };
        let mut window = Window::new(&mut add);
        let gold = match classes {
            Classes::Matched => subject.scan(path, &mut |row| window.push(row))?.0,
            Classes::Ignored => {
                subject.each_row(path, &mut |row| window.push(row))?;
                Vec::new()
            }
        };
        window.finish()?;
        Ok(Survey { gold, ..survey })
    }

    pub(super) fn add(&mut self, rows: &[Row], threads: usize) {
        let look = |row: &Row| {
            let mut counts = WordCounts::of(&row.text);
            row.text_pair.iter().for_each(|pair| counts.add(WordCounts::of(pair)));
            (key_of(&row.text, row.text_pair.as_deref()), counts)
        };
        for (key, counts) in threads::map(rows, threads, look) {
            self.seen.insert(key);
            self.counts.add(counts);
        }
        self.rows += rows.len();
        self.pairs |= rows.iter().any(|row| row.text_pair.is_some());
        self.labels |= rows.iter().any(|row| row.label.is_some());
    }
}

/// Whether labels are matched with the classes of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classes {
    /// They are.
    Matched,
    /// They are not looked at.
    Ignored,
}

/// Rows that are worked on together: so many, or fewer where they are long.
pub struct Window<'a> {
    rows: Vec<Row>,
    bytes: usize,
    sink: &'a mut dyn FnMut(Vec<Row>) -> Result<()>,
}

impl<'a> Window<'a> {
    const ROWS: usize = 256;
    const BYTES: usize = 1 << 20;

    /// Starts with no rows. `sink` is given each full window.
    pub fn new(sink: &'a mut dyn FnMut(Vec<Row>) -> Result<()>) -> Self {
        Window { rows: Vec::new(), bytes: 0, sink }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Whatever the sink fails with.
    pub fn push(&mut self, row: Row) -> Result<()> {
        self.bytes += row.text.len() + row.text_pair.as_ref().map_or(0, String::len);
        self.rows.push(row);
        if self.rows.len() == Self::ROWS || self.bytes >= Self::BYTES { self.hand_on() } else { Ok(()) }
    }

    /// Hands on what is left.
    ///
    /// # Errors
    /// Whatever the sink fails with.
    pub fn finish(mut self) -> Result<()> {
        if self.rows.is_empty() { Ok(()) } else { self.hand_on() }
    }

    fn hand_on(&mut self) -> Result<()> {
        self.bytes = 0;
        (self.sink)(std::mem::take(&mut self.rows))
    }
}
