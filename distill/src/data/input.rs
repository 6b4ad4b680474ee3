//! The bytes of a text file: decompressed where they are compressed, and checked to be text.
//!
//! Every byte that is read is hashed on the way, so that the fingerprint is of what was read and not of what the file
//! became later.

use super::{Place, hexadecimal, unreadable};
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

/// A file that is read from its start to its end.
pub(crate) struct Input {
    path: PathBuf,
    bytes: Box<dyn BufRead>,
    hash: Rc<RefCell<Sha256>>,
    bytes_read: Rc<Cell<u64>>,
}

impl Input {
    /// Opens a file, compressed or not.
    pub fn open(path: &Path) -> Result<Self> {
        let input = File::open(path).map_err(|error| unreadable(path, &error))?;
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
        let bytes: Box<dyn BufRead> = if start.starts_with(&GZIP_MAGIC) {
            Box::new(BufReader::new(MultiGzDecoder::new(raw)))
        } else {
            Box::new(raw)
        };
        Ok(Input { path: path.to_owned(), bytes, hash, bytes_read })
    }

    /// Adds what is left of line `line`, its end included, to `buffer`, but at most so many bytes. Returns how many came;
    /// none at the end of the file.
    pub fn read_line(&mut self, most: usize, buffer: &mut Vec<u8>, line: usize) -> Result<usize> {
        let mut bounded = (&mut self.bytes).take(most as u64);
        bounded.read_until(b'\n', buffer).map_err(|error| self.broken(&error, line))
    }

    /// Takes bytes of line `line`, which begin at `offset` of the decompressed file, as text; a byte-order mark is none.
    pub fn text<'a>(&self, bytes: &'a [u8], line: usize, offset: u64) -> Result<&'a str> {
        let place = self.at(line);
        if let Some(position) = bytes.iter().position(|byte| *byte == 0) {
            return Err(place.error(
                format!("byte {} of the file is NUL, which is not text", offset + position as u64),
                "if the file is UTF-16, convert it: `iconv -f utf-16 -t utf-8`",
            ));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let position = error.valid_up_to();
            let (byte, offset) = (bytes[position], offset + position as u64);
            place.error(
                format!("byte 0x{byte:02x} at offset {offset} of the file is not UTF-8"),
                "convert the file, for instance with `iconv -f latin1 -t utf-8`",
            )
        })?;
        Ok(if offset == 0 { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text) } else { text })
    }

    /// The place of any line of the file.
    pub(super) fn at(&self, line: usize) -> Place<'_> {
        Place { path: &self.path, line }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The fingerprint of the bytes read so far: of the file, once its end has been met.
    pub fn fingerprint(&self) -> String {
        hexadecimal(&self.hash.borrow().clone().finalize())
    }

    /// How many bytes of the file, compressed if it is, were read.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.get()
    }

    fn broken(&self, error: &std::io::Error, line: usize) -> anyhow::Error {
        let place = self.at(line);
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
