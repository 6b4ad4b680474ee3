//! Making a table out of a data file, a window of rows at a time: one thread reads while the others encode.
//!
//! Tokens go to disk as they come; what is held in memory until the end is 16 bytes of key and a few more for each row.

use super::Source;
use super::file::{Origin, STRIDE, Sizes, Width, head};
use super::stamp::Before;
use crate::console::{Console, Progress};
use crate::data::{self, Row};
use crate::labels::{Key, key, sorted};
use crate::task::{Gold, Kind, RawLabels, score};
use crate::tokens::Encodings;
use anyhow::{Context, Result, anyhow};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use student::files::write_atomically;

/// The rows that are encoded together, and the bytes of text at which there are fewer.
const WINDOW_ROWS: usize = 8192;
const WINDOW_BYTES: usize = 4 << 20;

/// Rows that are encoded together.
#[derive(Default)]
struct Window {
    rows: Vec<Row>,
    keys: Vec<Key>,
    text_bytes: usize,
    /// The bytes of the file that had been read by then.
    bytes_read: u64,
}

/// Makes the table of a file and puts it at `target`, in a folder that is there.
///
/// # Errors
/// When the file cannot be read or a row is wrong, located; when the tokenizer fails, or the disk.
pub(super) fn build(source: &Source<'_>, target: &Path, console: &Console) -> Result<()> {
    let before = Before::of(source.path);
    let mut columns = Columns::new(source, target.parent().unwrap_or(Path::new(".")))?;
    let megabytes = std::fs::metadata(source.path).map_or(0, |file| file.len() / MEGABYTE);
    let mut progress = console.progress("read, MB:", megabytes as usize);
    let (sender, receiver) = sync_channel(1);
    let fingerprint = thread::scope(|scope| {
        let reader = scope.spawn(|| read(source, sender));
        for window in receiver {
            columns.add(&window, source)?;
            report(&mut progress, columns.keys.len(), window.bytes_read);
        }
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    progress.finish();
    columns.write(source.settings(), before.stamp(source.path, fingerprint), target)
}

const MEGABYTE: u64 = 1_000_000;

fn report(progress: &mut Progress, rows: usize, bytes_read: u64) {
    let more = (bytes_read / MEGABYTE) as usize - progress.done();
    progress.advance(more, || format!("{rows} texts"));
}

/// Reads the file window by window, and returns its fingerprint.
fn read(source: &Source<'_>, windows: SyncSender<Window>) -> Result<String> {
    let mut window = Window::default();
    // A receiver that has gone away has met an error, which is the one to report.
    let send = |window: &mut Window| {
        windows.send(std::mem::take(window)).map_err(|_| anyhow!("the reader was stopped"))
    };
    let fingerprint = data::scan(source.path, source.reading, &mut |row, bytes_read| {
        window.keys.push(key(&row.text, row.text_pair.as_deref()));
        window.text_bytes += row.text.len() + row.text_pair.as_ref().map_or(0, String::len);
        window.bytes_read = bytes_read;
        window.rows.push(row);
        if window.rows.len() == WINDOW_ROWS || window.text_bytes >= WINDOW_BYTES {
            send(&mut window)?;
        }
        Ok(())
    })?;
    send(&mut window)?;
    Ok(fingerprint)
}

/// The columns of a table in the making.
struct Columns {
    keys: Vec<Key>,
    gold: GoldColumn,
    lengths: Vec<u32>,
    tokens: usize,
    id_width: Width,
    ids: File,
    /// Nothing while every token is of the first segment.
    segments: Option<File>,
    buffer: Vec<u8>,
    /// Where temporary files go.
    folder: PathBuf,
}

enum GoldColumn {
    /// Of each row the number of its label, from 1; 0 for none.
    Classes(RawLabels, Vec<u16>),
    /// Not a number for none.
    Values(RawLabels, Vec<f32>),
}

impl Columns {
    fn new(source: &Source<'_>, folder: &Path) -> Result<Self> {
        let raw = RawLabels::new(source.path.to_owned());
        Ok(Columns {
            keys: Vec::new(),
            gold: match source.kind {
                Kind::Classification => GoldColumn::Classes(raw, Vec::new()),
                Kind::Regression => GoldColumn::Values(raw, Vec::new()),
            },
            lengths: Vec::new(),
            tokens: 0,
            id_width: Width::below(source.tokenizer.vocab_size()),
            ids: scratch(folder)?,
            segments: None,
            buffer: Vec::new(),
            folder: folder.to_owned(),
        })
    }

    fn add(&mut self, window: &Window, source: &Source<'_>) -> Result<()> {
        for row in &window.rows {
            self.gold.add(row, source.path)?;
        }
        self.keys.extend(&window.keys);
        let texts: Vec<_> =
            window.rows.iter().map(|row| (row.text.as_str(), row.text_pair.as_deref())).collect();
        let encodings = source.tokenizer.encode(&texts, source.threads)?;
        let disk = || "cannot write a temporary file";
        self.buffer.clear();
        for text in 0..encodings.len() {
            let (ids, _) = encodings.get(text);
            self.id_width.extend(&mut self.buffer, ids.iter().copied());
            self.lengths.push(ids.len() as u32);
        }
        self.ids.write_all(&self.buffer).with_context(disk)?;
        self.add_segments(&encodings).with_context(disk)?;
        self.tokens += (0..encodings.len()).map(|text| encodings.get(text).0.len()).sum::<usize>();
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
            io::copy(&mut io::Read::take(io::repeat(0), self.tokens as u64), &mut file)?;
            self.segments = Some(file);
        }
        if let Some(file) = &mut self.segments {
            file.write_all(&self.buffer)?;
        }
        Ok(())
    }

    fn write(mut self, settings: String, data: super::stamp::Stamp, target: &Path) -> Result<()> {
        let (GoldColumn::Classes(raw, _) | GoldColumn::Values(raw, _)) = &self.gold;
        let origin = Origin::new(settings, data, raw);
        let longest = self.lengths.iter().max().map_or(0, |&length| length as usize);
        let sizes = Sizes {
            rows: self.keys.len(),
            tokens: self.tokens,
            wide_ids: self.id_width,
            wide_lengths: Width::below(longest + 1),
            has_values: matches!(self.gold, GoldColumn::Values(..)),
            has_segments: self.segments.is_some(),
        };
        let head = head(&origin, &sizes)?;
        let order = sorted(&self.keys);
        for file in std::iter::once(&mut self.ids).chain(&mut self.segments) {
            file.rewind().context("cannot read a temporary file")?;
        }
        write_atomically(target, |file| {
            file.write_all(&head)?;
            let mut start = 0;
            for lengths in self.lengths.chunks(STRIDE) {
                file.write_all(&u64::to_le_bytes(start))?;
                start += lengths.iter().map(|&length| u64::from(length)).sum::<u64>();
            }
            pieces(file, Width::Four, &order)?;
            match &self.gold {
                GoldColumn::Classes(_, classes) => {
                    classes.iter().try_for_each(|class| file.write_all(&class.to_le_bytes()))?;
                }
                GoldColumn::Values(_, values) => {
                    values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))?;
                }
            }
            pieces(file, sizes.wide_lengths, &self.lengths)?;
            io::copy(&mut self.ids, file)?;
            order.iter().try_for_each(|&row| file.write_all(&self.keys[row as usize]))?;
            self.segments.iter_mut().try_for_each(|segments| io::copy(segments, file).map(|_| ()))
        })?;
        Ok(())
    }
}

impl GoldColumn {
    fn add(&mut self, row: &Row, path: &Path) -> Result<()> {
        match self {
            GoldColumn::Classes(raw, classes) => {
                let label = row.label.as_deref().map(|label| raw.take(label, row.line)).transpose()?;
                classes.push(label.map_or(0, |label| label as u16 + 1));
            }
            GoldColumn::Values(_, values) => values.push(match score(path, row)? {
                Gold::Value(value) => value,
                Gold::Class(_) | Gold::Missing => f32::NAN,
            }),
        }
        Ok(())
    }
}

/// Writes numbers of a width, some at a time.
fn pieces(file: &mut impl Write, width: Width, numbers: &[u32]) -> io::Result<()> {
    let mut buffer = Vec::new();
    numbers.chunks(1 << 14).try_for_each(|numbers| {
        buffer.clear();
        width.extend(&mut buffer, numbers.iter().copied());
        file.write_all(&buffer)
    })
}

/// Opens a file without a name, which goes with the process.
fn scratch(folder: &Path) -> Result<File> {
    tempfile::tempfile_in(folder)
        .with_context(|| format!("cannot write to the folder `{}`", folder.display()))
}
