//! Writing a table of any number of rows: every column goes to a temporary file as it comes, and from there into the table.

use super::file::{Origin, STRIDE, Sizes, head};
use super::numbers::Width;
use super::sort::Sorter;
use super::stamp::Stamp;
use super::{Content, Source};
use crate::error::explained;
use crate::labels::Key;
use crate::task::{Kind, RawLabels};
use crate::tokens::Encodings;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use student::files::write_atomically;

/// Some rows, as they are in a table.
pub(super) struct Rows {
    pub encodings: Encodings,
    pub keys: Vec<Key>,
    pub gold: GoldColumn,
}

/// The labels of some rows.
pub(super) enum GoldColumn {
    /// Of each row the number of its label, from 1; 0 for none.
    Classes(Vec<u16>),
    /// Not a number for none.
    Values(Vec<f32>),
}

/// A table in the making.
pub(super) struct Writer {
    rows: usize,
    tokens: usize,
    starts: File,
    lengths: File,
    length_width: Width,
    gold: File,
    has_values: bool,
    ids: File,
    id_width: Width,
    /// Nothing while every token is of the first segment.
    segments: Option<File>,
    keys: Sorter,
    buffer: Vec<u8>,
    /// Where temporary files go.
    folder: PathBuf,
    path: PathBuf,
}

impl Writer {
    pub fn new(source: &Source<'_>, folder: &Path) -> Result<Self> {
        Ok(Writer {
            rows: 0,
            tokens: 0,
            starts: scratch(folder)?,
            lengths: scratch(folder)?,
            length_width: Width::below(source.tokenizer.max_length() + 1),
            gold: scratch(folder)?,
            has_values: matches!(source.content, Content::Rows { kind: Kind::Regression, .. }),
            ids: scratch(folder)?,
            id_width: Width::below(source.tokenizer.vocab_size()),
            segments: None,
            keys: Sorter::new(folder),
            buffer: Vec::new(),
            folder: folder.to_owned(),
            path: source.path.to_owned(),
        })
    }

    /// Returns the number of rows so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Adds rows.
    pub fn add(&mut self, rows: &Rows) -> Result<()> {
        let lengths = rows.encodings.lengths();
        self.add_keys(&rows.keys)?;
        self.add_starts(&lengths).with_context(not_written)?;
        let length_width = self.length_width;
        let mut column = |file: &mut File, fill: &dyn Fn(&mut Vec<u8>)| {
            self.buffer.clear();
            fill(&mut self.buffer);
            file.write_all(&self.buffer).with_context(not_written)
        };
        column(&mut self.lengths, &|buffer| {
            length_width.extend(buffer, lengths.iter().map(|&length| length as u32));
        })?;
        column(&mut self.gold, &|buffer| match &rows.gold {
            GoldColumn::Classes(classes) => {
                buffer.extend(classes.iter().flat_map(|class| class.to_le_bytes()))
            }
            GoldColumn::Values(values) => buffer.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        })?;
        let id_width = self.id_width;
        column(&mut self.ids, &|buffer| {
            (0..lengths.len())
                .for_each(|row| id_width.extend(buffer, rows.encodings.get(row).0.iter().copied()));
        })?;
        self.add_segments(&rows.encodings)?;
        self.rows += lengths.len();
        self.tokens += lengths.iter().sum::<usize>();
        Ok(())
    }

    fn add_keys(&mut self, keys: &[Key]) -> Result<()> {
        for (key, row) in keys.iter().zip(self.rows..) {
            let row = u32::try_from(row).map_err(|_| {
                explained(
                    format!("`{}` makes more rows than can be counted in 32 bits", self.path.display()),
                    "divide the file",
                )
            })?;
            self.keys.push(key, row)?;
        }
        Ok(())
    }

    /// Notes the tokens before each row at which an entry of `starts` stands.
    fn add_starts(&mut self, lengths: &[usize]) -> io::Result<()> {
        let mut before = self.tokens as u64;
        for (length, row) in lengths.iter().zip(self.rows..) {
            if row.is_multiple_of(STRIDE) {
                self.starts.write_all(&before.to_le_bytes())?;
            }
            before += *length as u64;
        }
        Ok(())
    }

    fn add_segments(&mut self, encodings: &Encodings) -> Result<()> {
        self.buffer.clear();
        for text in 0..encodings.len() {
            for &segment in encodings.get(text).1 {
                self.buffer.push(u8::try_from(segment).context("a tokenizer has at most 256 segments")?);
            }
        }
        if self.segments.is_none() && self.buffer.iter().any(|&segment| segment != 0) {
            let mut file = scratch(&self.folder)?;
            io::copy(&mut io::Read::take(io::repeat(0), self.tokens as u64), &mut file)
                .with_context(not_written)?;
            self.segments = Some(file);
        }
        if let Some(file) = &mut self.segments {
            file.write_all(&self.buffer).with_context(not_written)?;
        }
        Ok(())
    }

    /// Puts the table at `target`.
    pub fn write(mut self, settings: String, data: Stamp, labels: &RawLabels, target: &Path) -> Result<()> {
        let origin = Origin::new(settings, data, labels);
        let sizes = Sizes {
            rows: self.rows,
            tokens: self.tokens,
            id_width: self.id_width,
            length_width: self.length_width,
            has_values: self.has_values,
            has_segments: self.segments.is_some(),
        };
        let head = head(&origin, &sizes)?;
        let mut keys = scratch(&self.folder)?;
        let files = [&mut self.starts, &mut self.gold, &mut self.lengths, &mut self.ids];
        for file in files.into_iter().chain(&mut self.segments) {
            file.rewind().context("cannot read a temporary file")?;
        }
        write_atomically(target, |file| {
            file.write_all(&head)?;
            io::copy(&mut self.starts, file)?;
            let mut sorted = BufWriter::with_capacity(1 << 16, &mut keys);
            self.keys.merge(&mut |key, row| {
                file.write_all(&row.to_le_bytes())?;
                sorted.write_all(key)
            })?;
            sorted.flush()?;
            drop(sorted);
            keys.rewind()?;
            for column in [&mut self.gold, &mut self.lengths, &mut self.ids, &mut keys] {
                io::copy(column, file)?;
            }
            self.segments.iter_mut().try_for_each(|segments| io::copy(segments, file).map(|_| ()))
        })?;
        Ok(())
    }
}

/// Opens a file without a name, which goes with the process.
pub(super) fn scratch(folder: &Path) -> Result<File> {
    tempfile::tempfile_in(folder)
        .with_context(|| format!("cannot write to the folder `{}`", folder.display()))
}

fn not_written() -> &'static str {
    "cannot write a temporary file"
}
