//! Reading examples: a text or two and perhaps a label from each row of a TSV, CSV or JSON-lines file.
//!
//! [`read`] finds out the format, the compression, whether there is a header and which columns matter, unless
//! [`Reading`] says so. Files are hostile until proven otherwise: lines are bounded, and every complaint names the
//! file and the line. [`scan`] hands the rows on one by one, and never holds more than one line.

mod columns;
mod delimited;
pub(crate) mod input;
mod jsonl;
mod lines;
mod writing;

use crate::error::explained;
use crate::names::nearest;
use anyhow::Result;
pub use columns::Columns;
use lines::Lines;
use sha2::{Digest, Sha256};
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
pub use writing::RowWriter;

/// The longest line, or quoted CSV record, that is read: 10 MB.
pub const MAX_LINE_BYTES: usize = 10_000_000;

/// One example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The text, or the first of a pair.
    pub text: String,
    /// The second text of a pair.
    pub text_pair: Option<String>,
    /// The label as it stands in the file; nothing if the field is empty, null or not there.
    pub label: Option<String>,
    /// The line on which the row begins, from 1.
    pub line: usize,
}

/// All examples of a file, in its order.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Where they were read from.
    pub path: PathBuf,
    /// The examples; at least one.
    pub rows: Vec<Row>,
    /// SHA-256 of the file's bytes as they lie on disk (compressed, if they are), in hexadecimal.
    pub fingerprint: String,
}

impl Dataset {
    /// Returns the texts in the form that a tokenizer takes.
    pub fn texts(&self) -> Vec<(&str, Option<&str>)> {
        self.rows.iter().map(|row| (row.text.as_str(), row.text_pair.as_deref())).collect()
    }
}

/// The formats of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Fields separated by tabs; quotes are literal, as in GLUE.
    Tsv,
    /// Fields separated by commas and quoted as in RFC 4180.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// Whether the first line names the columns. JSON lines have no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Header {
    /// It does if a column was asked for by name, or if one of its fields is a well-known column name.
    #[default]
    Detect,
    /// It does.
    Present,
    /// It is the first example.
    Absent,
}

/// What a quotation mark means in a delimited file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// Itself.
    Literal,
    /// At the start of a field it opens a field in which delimiters and line ends are text (RFC 4180).
    Rfc4180,
}

/// How a published data set departs from what a reader would assume. All of it yields to [`Reading`]'s own fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quirks {
    /// What a file is that calls itself anything but JSON lines; STS-B's `.csv` files are separated by tabs.
    pub delimited: Option<Format>,
    /// Positions from 1 of text, second text and label in files that have no header.
    pub headerless: Option<(usize, Option<usize>, Option<usize>)>,
    /// The label that stands for "no label"; SNLI's annotators could not agree on `-`.
    pub unlabelled: Option<&'static str>,
}

/// How to read a file. The default finds everything out.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The format; by default the one of the file name, `.gz` removed.
    pub format: Option<Format>,
    /// Which columns to take.
    pub columns: Columns,
    /// Whether there is a header.
    pub header: Header,
    /// What quotes mean; by default nothing in TSV, RFC 4180 in CSV.
    pub quoting: Option<Quoting>,
    /// What is known of the data set.
    pub quirks: Quirks,
}

impl Reading {
    /// Whether what stands in a label's place is one.
    fn is_label(&self, label: &str) -> bool {
        !label.is_empty() && self.quirks.unlabelled != Some(label)
    }
}

/// Is given one row after the other, and how many bytes of the file had been read by then.
type Sink<'a> = dyn FnMut(Row, u64) -> Result<()> + 'a;

/// Reads all rows of a file.
///
/// # Errors
///
/// As [`scan`].
pub fn read(path: &Path, reading: &Reading) -> Result<Dataset> {
    let mut rows = Vec::new();
    let fingerprint = scan(path, reading, &mut |row, _| {
        rows.push(row);
        Ok(())
    })?;
    Ok(Dataset { path: path.to_owned(), rows, fingerprint })
}

/// Reads a file row by row, and returns its fingerprint as in [`Dataset`]. Gzip is recognised by its first bytes,
/// whatever the name. There is at least one row.
///
/// # Errors
///
/// A missing, empty or unreadable file; a format that cannot be told; rows, fields or keys that are not there;
/// bytes that are not UTF-8 text; a line longer than [`MAX_LINE_BYTES`]. All but the first few are `file:line: …`. And
/// whatever `sink` fails with; nothing is read after that.
pub fn scan(path: &Path, reading: &Reading, sink: &mut Sink<'_>) -> Result<String> {
    let format = format_of(path, reading)?;
    let mut lines = Lines::open(path)?;
    let quoting = |default| reading.quoting.unwrap_or(default);
    match format {
        Format::Tsv => delimited::scan(&mut lines, b'\t', quoting(Quoting::Literal), reading, sink)?,
        Format::Csv => delimited::scan(&mut lines, b',', quoting(Quoting::Rfc4180), reading, sink)?,
        Format::Jsonl => jsonl::scan(&mut lines, reading, sink)?,
    }
    Ok(lines.fingerprint())
}

/// Hands on the lines of a text file, without their ends, until there are no more or `sink` says that it has enough.
/// The second argument is the number of the line, from 1.
///
/// # Errors
///
/// A missing, empty or unreadable file; bytes that are not UTF-8 text; a line longer than [`MAX_LINE_BYTES`]. And
/// whatever `sink` fails with.
pub fn each_line(path: &Path, sink: &mut dyn FnMut(&str, usize) -> Result<bool>) -> Result<()> {
    let mut lines = Lines::open(path)?;
    while let Some(lines::Line { text, place }) = lines.next()? {
        if !sink(text.trim_end_matches(['\r', '\n']), place.line)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Returns an error about a line of a file, located as `file:line: message`.
pub fn error_at(
    path: &Path,
    line: usize,
    message: impl fmt::Display,
    hint: impl Into<String>,
) -> anyhow::Error {
    Place { path, line }.error(message, hint)
}

/// Returns the SHA-256 of some bytes in hexadecimal.
pub fn fingerprint(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Writes bytes as hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

impl Format {
    /// Returns the format that a file name stands for, if it stands for one.
    pub fn by_name(name: &str) -> Option<Format> {
        match name.to_lowercase().rsplit_once('.').map_or("", |(_, extension)| extension) {
            "tsv" | "txt" => Some(Format::Tsv),
            "csv" => Some(Format::Csv),
            "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
            _ => None,
        }
    }
}

fn format_of(path: &Path, reading: &Reading) -> Result<Format> {
    if let Some(format) = reading.format {
        return Ok(format);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let by_name = Format::by_name(name.strip_suffix(".gz").unwrap_or(&name));
    let delimited = reading.quirks.delimited.filter(|_| by_name != Some(Format::Jsonl));
    delimited.or(by_name).ok_or_else(|| {
        explained(
            format!("cannot tell the format of `{}` from its name", path.display()),
            "say what it is with `--format tsv`, `--format csv` or `--format jsonl`",
        )
    })
}

/// A line of a file, for messages.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    path: &'a Path,
    line: usize,
}

impl Place<'_> {
    fn error(&self, message: impl fmt::Display, hint: impl Into<String>) -> anyhow::Error {
        explained(format!("{}:{}: {message}", self.path.display(), self.line), hint)
    }
}

/// Says that a file cannot be opened or read, and what lies beside it.
fn unreadable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    if error.kind() != std::io::ErrorKind::NotFound {
        return explained(
            format!("cannot read `{}`: {error}", path.display()),
            "check that it is a file, and that you may read it",
        );
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside: Vec<String> = std::fs::read_dir(folder)
        .map(|entries| {
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        })
        .unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let hint = match nearest(&name, beside.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{}`?", folder.join(near).display()),
        None => "check the path; it is relative to the folder you are in".to_owned(),
    };
    explained(format!("there is no file `{}`", path.display()), hint)
}

#[cfg(test)]
mod tests;
