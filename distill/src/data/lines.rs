//! Lines of text out of a file, and nothing else: decompressed, bounded, UTF-8, without a byte-order mark.

use super::input::Input;
use super::{MAX_LINE_BYTES, Place};
use crate::error::explained;
use anyhow::Result;
use std::path::Path;

/// A line with its line end, if it has one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) place: Place<'a>,
}

/// A file, line by line.
pub(super) struct Lines {
    input: Input,
    line: Vec<u8>,
    number: usize,
    /// Where the current line begins in the decompressed text, in bytes.
    offset: u64,
}

impl Lines {
    /// Opens a file, compressed or not.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self { input: Input::open(path)?, line: Vec::new(), number: 0, offset: 0 })
    }

    /// Returns the next line.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>> {
        self.offset += self.line.len() as u64;
        self.line.clear();
        self.number += 1;
        if self.input.read_line(MAX_LINE_BYTES + 1, &mut self.line, self.number)? == 0 {
            return Ok(None);
        }
        let place = self.at(self.number);
        if self.line.len() > MAX_LINE_BYTES {
            return Err(place.error(
                format!("the line is longer than {MAX_LINE_BYTES} bytes"),
                "put one example on each line; is this a text file?",
            ));
        }
        Ok(Some(Line { text: self.input.text(&self.line, self.number, self.offset)?, place }))
    }

    /// The place of any line of the file.
    pub(super) fn at(&self, line: usize) -> Place<'_> {
        self.input.at(line)
    }

    /// The fingerprint of the bytes read so far: of the file, once `next` has returned nothing.
    pub(super) fn fingerprint(&self) -> String {
        self.input.fingerprint()
    }

    /// How many bytes of the file, compressed if it is, were read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.input.bytes_read()
    }

    /// Says that the file holds no example.
    pub(super) fn no_rows(&self) -> anyhow::Error {
        explained(
            format!("`{}` has no rows", self.input.path().display()),
            "an example is needed, besides any header",
        )
    }
}
