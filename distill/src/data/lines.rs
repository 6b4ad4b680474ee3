//! Lines of text out of a file, and nothing else: decompressed, bounded, UTF-8, without a byte-order mark.
//!
//! Every byte that is read is hashed on the way, so that the fingerprint is of what was read and not of what the file
//! became later.

use super::{MAX_LINE_BYTES, Place, hexadecimal, unreadable};
use crate::error::explained;
use anyhow::Result;
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A line with its line end, if it has one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) place: Place<'a>,
}

/// A file, line by line.
pub(super) struct Lines {
    path: PathBuf,
    input: Box<dyn BufRead>,
    hash: Rc<RefCell<Sha256>>,
    bytes_read: Rc<Cell<u64>>,
    line: Vec<u8>,
    number: usize,
    /// Where the current line begins in the decompressed text, in bytes.
    offset: u64,
}

impl Lines {
    /// Opens a file, compressed or not.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        Self::new(path, file)
    }

    /// Reads from anything; `path` is only for messages.
    pub(super) fn new(path: &Path, input: impl Read + 'static) -> Result<Self> {
        let hash = Rc::new(RefCell::new(Sha256::new()));
        let bytes_read = Rc::new(Cell::new(0));
        let hashed = Hashed { input, hash: Rc::clone(&hash), bytes_read: Rc::clone(&bytes_read) };
        let mut raw = BufReader::with_capacity(1 << 16, hashed);
        let start = raw.fill_buf().map_err(|error| unreadable(path, &error))?;
        if start.is_empty() {
            return Err(explained(
                format!("`{}` is empty", path.display()),
                "check that the step that should have written it did",
            ));
        }
        let input: Box<dyn BufRead> = if start.starts_with(&GZIP_MAGIC) {
            Box::new(BufReader::new(MultiGzDecoder::new(raw)))
        } else {
            Box::new(raw)
        };
        Ok(Self { path: path.to_owned(), input, hash, bytes_read, line: Vec::new(), number: 0, offset: 0 })
    }

    /// Returns the next line.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>> {
        self.offset += self.line.len() as u64;
        self.line.clear();
        self.number += 1;
        let mut bounded = (&mut self.input).take(MAX_LINE_BYTES as u64 + 1);
        if let Err(error) = bounded.read_until(b'\n', &mut self.line) {
            return Err(self.broken(&error));
        }
        if self.line.is_empty() {
            return Ok(None);
        }
        let text = self.checked()?;
        let text = if self.number == 1 { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text) } else { text };
        Ok(Some(Line { text, place: self.at(self.number) }))
    }

    /// The place of any line of the file.
    pub(super) fn at(&self, line: usize) -> Place<'_> {
        Place { path: &self.path, line }
    }

    /// The fingerprint of the bytes read so far: of the file, once `next` has returned nothing.
    pub(super) fn fingerprint(&self) -> String {
        hexadecimal(&self.hash.borrow().clone().finalize())
    }

    /// How many bytes of the file, compressed if it is, were read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.get()
    }

    /// Says that the file holds no example.
    pub(super) fn no_rows(&self) -> anyhow::Error {
        explained(
            format!("`{}` has no rows", self.path.display()),
            "an example is needed, besides any header",
        )
    }

    fn checked(&self) -> Result<&str> {
        let place = self.at(self.number);
        if self.line.len() > MAX_LINE_BYTES {
            return Err(place.error(
                format!("the line is longer than {MAX_LINE_BYTES} bytes"),
                "put one example on each line; is this a text file?",
            ));
        }
        if let Some(position) = self.line.iter().position(|byte| *byte == 0) {
            return Err(place.error(
                format!("byte {} of the file is NUL, which is not text", self.offset + position as u64),
                "if the file is UTF-16, convert it: `iconv -f utf-16 -t utf-8`",
            ));
        }
        std::str::from_utf8(&self.line).map_err(|error| {
            let position = error.valid_up_to();
            let (byte, offset) = (self.line[position], self.offset + position as u64);
            place.error(
                format!("byte 0x{byte:02x} at offset {offset} of the file is not UTF-8"),
                "convert the file, for instance with `iconv -f latin1 -t utf-8`",
            )
        })
    }

    fn broken(&self, error: &std::io::Error) -> anyhow::Error {
        let place = self.at(self.number);
        match error.kind() {
            ErrorKind::UnexpectedEof => {
                place.error("the gzip stream ends early", "the file is cut off; fetch or write it again")
            }
            ErrorKind::InvalidInput | ErrorKind::InvalidData => {
                place.error(format!("the gzip stream is broken: {error}"), "fetch or write the file again")
            }
            _ => unreadable(&self.path, error),
        }
    }
}

/// Hashes what passes through.
struct Hashed<R> {
    input: R,
    hash: Rc<RefCell<Sha256>>,
    bytes_read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.hash.borrow_mut().update(&buffer[..count]);
        self.bytes_read.set(self.bytes_read.get() + count as u64);
        Ok(count)
    }
}
