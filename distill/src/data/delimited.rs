//! Delimited text: TSV as GLUE publishes it (quotes are literal) and CSV (RFC 4180).
//!
//! The `csv` crate splits records into fields but never complains, counts blank lines into the position of the record
//! after them, and would read a file to its end for one forgotten quotation mark. So [`Records`] stands before it,
//! hands it one record at a time, and knows on which line each began.

use super::columns::{Selected, any_known};
use super::lines::{Line, Lines};
use super::{Header, MAX_LINE_BYTES, Quoting, Reading, Row, Sink};
use anyhow::Result;
use csv::{ReaderBuilder, StringRecord, Terminator};
use std::io::Read;

/// Reads all rows.
pub(super) fn scan(
    lines: &mut Lines,
    delimiter: u8,
    quoting: Quoting,
    reading: &Reading,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut table = Table::new(lines, delimiter, quoting);
    if !table.advance()? {
        return Err(table.no_rows());
    }
    let first = table.record.clone();
    let fields: Vec<&str> = first.iter().collect();
    let has_header = match reading.header {
        Header::Present => true,
        Header::Absent => false,
        Header::Detect => reading.columns.by_name() || any_known(&fields),
    };
    let place = table.place();
    let (selected, shape) = if has_header {
        (reading.columns.among(&fields, place)?, Shape::Header(fields.len()))
    } else {
        let selected = reading.columns.by_position(&reading.quirks, &fields, place)?;
        (selected, if fields.len() == 1 { Shape::Lines } else { Shape::Positions })
    };
    if has_header && !table.advance()? {
        return Err(table.no_rows());
    }
    loop {
        sink(table.row(selected, shape, reading)?, table.bytes_read())?;
        if !table.advance()? {
            return Ok(());
        }
    }
}

/// What decides whether a row has the right number of fields.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// A header with so many fields: rows have as many. More would mean a stray delimiter, and shifted columns.
    Header(usize),
    /// Positions: rows reach to the last of them. More is fine; STS-B appends sources to some.
    Positions,
    /// Lines of text: one field.
    Lines,
}

struct Table<'a> {
    records: csv::Reader<Records<'a>>,
    record: StringRecord,
}

impl<'a> Table<'a> {
    fn new(lines: &'a mut Lines, delimiter: u8, quoting: Quoting) -> Self {
        let mut builder = ReaderBuilder::new();
        builder.delimiter(delimiter).has_headers(false).flexible(true);
        let quotes = match quoting {
            // A lone carriage return within a text ends nothing; `Records` removes the one before a line feed.
            Quoting::Literal => {
                builder.quoting(false).terminator(Terminator::Any(b'\n'));
                None
            }
            Quoting::Rfc4180 => Some(Quotes { delimiter, state: QuoteState::FieldStart, opened: 0 }),
        };
        let records = Records { lines, quotes, buffer: Vec::new(), taken: 0, line: 0, failure: None };
        Self { records: builder.from_reader(records), record: StringRecord::new() }
    }

    /// Reads the next record that is not blank; false if there is none.
    fn advance(&mut self) -> Result<bool> {
        self.records.read_record(&mut self.record).map_err(|error| {
            // Records may have any number of fields and are known to be UTF-8, so what is left is what `Records` said.
            self.records.get_mut().failure.take().unwrap_or_else(|| anyhow::Error::new(error))
        })
    }

    fn place(&self) -> super::Place<'_> {
        let records = self.records.get_ref();
        records.lines.at(records.line)
    }

    fn bytes_read(&self) -> u64 {
        self.records.get_ref().lines.bytes_read()
    }

    fn no_rows(&self) -> anyhow::Error {
        self.records.get_ref().lines.no_rows()
    }

    fn row(&self, selected: Selected, shape: Shape, reading: &Reading) -> Result<Row> {
        let Selected { text, text_pair, label } = selected;
        let found = self.record.len();
        let last_needed = [Some(text), text_pair, label].into_iter().flatten().max().unwrap_or(text);
        let extra_is_blank = |width: usize| self.record.iter().skip(width).all(str::is_empty);
        let problem = match shape {
            Shape::Header(width) if found < width || !extra_is_blank(width) => {
                format!("expected {width} fields as in the header, found {found}")
            }
            Shape::Positions if found <= last_needed => {
                format!("expected at least {} fields, found {found}", last_needed + 1)
            }
            Shape::Lines if !extra_is_blank(1) => {
                format!("expected one field as on the first line, found {found}")
            }
            _ => {
                let field = |index: usize| self.record.get(index).unwrap_or_default().to_owned();
                return Ok(Row {
                    text: field(text),
                    text_pair: text_pair.map(field),
                    label: label.map(field).filter(|label| reading.is_label(label)),
                    line: self.records.get_ref().line,
                });
            }
        };
        Err(self
            .place()
            .error(problem, "look for a missing or stray delimiter or line end, or give another `--format`"))
    }
}

/// The bytes of one record after another, blank lines left out.
struct Records<'a> {
    lines: &'a mut Lines,
    quotes: Option<Quotes>,
    buffer: Vec<u8>,
    taken: usize,
    /// The line on which the record in the buffer began.
    line: usize,
    /// What went wrong; the `csv` crate only passes `std::io::Error` on.
    failure: Option<anyhow::Error>,
}

impl Records<'_> {
    /// Fills the buffer with the next record, or leaves it empty at the end of the file.
    fn fill(&mut self) -> Result<()> {
        self.buffer.clear();
        self.taken = 0;
        while let Some(Line { text, place }) = self.lines.next()? {
            let without_end = text.trim_end_matches(['\r', '\n']);
            if self.buffer.is_empty() {
                if without_end.is_empty() {
                    continue;
                }
                self.line = place.line;
            }
            let Some(quotes) = &mut self.quotes else {
                self.buffer.extend_from_slice(without_end.as_bytes());
                self.buffer.push(b'\n');
                return Ok(());
            };
            self.buffer.extend_from_slice(text.as_bytes());
            quotes.pass(text, place.line);
            if !quotes.is_open() {
                return Ok(());
            }
            if self.buffer.len() > MAX_LINE_BYTES {
                let opened = quotes.opened;
                return Err(self.unclosed(opened, &format!("within {MAX_LINE_BYTES} bytes")));
            }
        }
        match &self.quotes {
            Some(quotes) if quotes.is_open() => Err(self.unclosed(quotes.opened, "before the file ends")),
            _ => Ok(()),
        }
    }

    fn unclosed(&self, opened: usize, until: &str) -> anyhow::Error {
        self.lines.at(opened).error(
            format!("the quotation mark that opens a field here is not closed {until}"),
            "close it; a quotation mark within a quoted field is written twice",
        )
    }
}

impl Read for Records<'_> {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        if self.taken == self.buffer.len()
            && let Err(error) = self.fill()
        {
            self.failure = Some(error);
            return Err(std::io::Error::other("see the failure"));
        }
        let count = target.len().min(self.buffer.len() - self.taken);
        target[..count].copy_from_slice(&self.buffer[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

/// Follows the quotation marks of a record as the `csv` crate does.
struct Quotes {
    delimiter: u8,
    state: QuoteState,
    /// The line of the last quotation mark that opened a field.
    opened: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QuoteState {
    FieldStart,
    Unquoted,
    Quoted,
    /// After a quotation mark in a quoted field: its end, or the first of two that stand for one.
    Closing,
}

impl Quotes {
    /// Whether a quoted field goes on after what has passed.
    fn is_open(&self) -> bool {
        self.state == QuoteState::Quoted
    }

    fn pass(&mut self, text: &str, line: usize) {
        use QuoteState::{Closing, FieldStart, Quoted, Unquoted};
        for byte in text.bytes() {
            self.state = match (self.state, byte) {
                (FieldStart, b'"') => {
                    self.opened = line;
                    Quoted
                }
                (Quoted, b'"') => Closing,
                (Quoted, _) | (Closing, b'"') => Quoted,
                (_, b'\r' | b'\n') => FieldStart,
                (_, byte) if byte == self.delimiter => FieldStart,
                _ => Unquoted,
            };
        }
    }
}
