//! Making a table, a window of what is read at a time: one thread reads while the others encode.
//!
//! What is read is held for three windows of up to 4 MiB of text, and what is made of it goes to disk as it comes: memory
//! does not grow with the file.

use super::rows::DataRows;
use super::stamp::Before;
use super::text_rows::TextRows;
use super::writer::{Rows, Writer};
use super::{Content, Source};
use crate::console::{Console, Progress};
use crate::labels::key;
use crate::task::RawLabels;
use crate::{data, text};
use anyhow::{Result, anyhow};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

/// The items that are encoded together, and the bytes of text at which there are fewer.
const WINDOW_ITEMS: usize = 8192;
const WINDOW_BYTES: usize = 4 << 20;

/// What makes rows out of what is read of a file.
pub(super) trait Maker {
    /// What is read at once.
    type Item: Send;

    /// Returns the rows that these items, which follow those before, complete.
    fn make(&mut self, items: Vec<Self::Item>) -> Result<Rows>;

    /// Returns the rows that the end of the file completes.
    fn finish(&mut self) -> Result<Rows>;

    /// Returns the different labels of all rows.
    fn labels(&self) -> &RawLabels;
}

/// What a file is read into, window by window.
struct Windows<T> {
    sender: SyncSender<Window<T>>,
    window: Window<T>,
}

/// Items that are encoded together.
struct Window<T> {
    items: Vec<T>,
    text_bytes: usize,
    /// The bytes of the file that had been read by then.
    bytes_read: u64,
}

/// Makes the table of a file and puts it at `target`, in a folder that is there.
///
/// # Errors
/// When the file cannot be read or a row is wrong, located; when the tokenizer fails, or the disk.
pub(super) fn build(source: &Source<'_>, target: &Path, console: &Console) -> Result<()> {
    let path = source.path;
    match source.content {
        Content::Rows { reading, kind } => {
            build_with(source, DataRows::new(source, kind), target, console, |windows| {
                data::scan(path, reading, &mut |row, bytes_read| {
                    let bytes = row.text.len() + row.text_pair.as_ref().map_or(0, String::len);
                    let key = key(&row.text, row.text_pair.as_deref());
                    windows.push((row, key), bytes, bytes_read)
                })
            })
        }
        Content::Text(packing) => {
            build_with(source, TextRows::new(source, packing)?, target, console, |windows| {
                text::scan(path, packing.sentences, &mut |stretch, bytes_read| {
                    let bytes = stretch.text.len();
                    windows.push(stretch, bytes, bytes_read)
                })
            })
        }
    }
}

fn build_with<M: Maker>(
    source: &Source<'_>,
    mut maker: M,
    target: &Path,
    console: &Console,
    read: impl FnOnce(&mut Windows<M::Item>) -> Result<String> + Send,
) -> Result<()> {
    let before = Before::of(source.path);
    let mut writer = Writer::new(source, target.parent().unwrap_or(Path::new(".")))?;
    let megabytes = std::fs::metadata(source.path).map_or(0, |file| file.len() / MEGABYTE);
    let mut progress = console.progress("read, MB:", megabytes as usize);
    let (sender, receiver) = sync_channel(1);
    let fingerprint = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut windows = Windows { sender, window: Window::default() };
            let fingerprint = read(&mut windows)?;
            windows.send()?;
            Ok::<_, anyhow::Error>(fingerprint)
        });
        for window in receiver {
            writer.add(&maker.make(window.items)?)?;
            report(&mut progress, writer.len(), window.bytes_read);
        }
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    writer.add(&maker.finish()?)?;
    progress.finish();
    writer.write(source.settings(), before.stamp(source.path, fingerprint), maker.labels(), target)
}

const MEGABYTE: u64 = 1_000_000;

fn report(progress: &mut Progress, rows: usize, bytes_read: u64) {
    let more = (bytes_read / MEGABYTE) as usize - progress.done();
    progress.advance(more, || format!("{rows} rows"));
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Window { items: Vec::new(), text_bytes: 0, bytes_read: 0 }
    }
}

impl<T> Windows<T> {
    fn push(&mut self, item: T, text_bytes: usize, bytes_read: u64) -> Result<()> {
        let window = &mut self.window;
        window.items.push(item);
        window.text_bytes += text_bytes;
        window.bytes_read = bytes_read;
        match window.items.len() == WINDOW_ITEMS || window.text_bytes >= WINDOW_BYTES {
            true => self.send(),
            false => Ok(()),
        }
    }

    fn send(&mut self) -> Result<()> {
        // A receiver that has gone away has met an error, which is the one to report.
        self.sender.send(std::mem::take(&mut self.window)).map_err(|_| anyhow!("the reader was stopped"))
    }
}
