//! What an unfinished run has labelled so far: a file that only grows, one checked record for each answer.
//!
//! ```text
//! distill-journal {provenance}\n
//! record*:  count u32 · keys [count, 16] · logits f32 [count, C] · first 8 bytes of the SHA-256 of all this
//! ```
//!
//! A record is one chunk as the teacher answered it, never part of one: a torn tail is dropped whole, so that a run which
//! goes on asks the teacher the same questions as one that was never stopped, whose answers can depend on their company
//! in the last bits. The file is locked while a run writes into it.

use super::rows::Rows;
use super::{Key, Provenance};
use crate::error::explained;
use anyhow::{Context, Result};
use ndarray::ArrayView2;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use student::files::map;

const MAGIC: &str = "distill-journal ";
const CHECKSUM: usize = 8;

/// The journal of a run in progress, which no other run can open meanwhile.
pub(super) struct Journal<'a> {
    path: PathBuf,
    file: File,
    provenance: &'a Provenance,
}

impl<'a> Journal<'a> {
    /// Opens the journal of the store at `store` or begins one, and drops its torn tail.
    ///
    /// # Errors
    /// When another run is writing into it, when it is of another provenance, or cannot be written.
    pub fn open(store: &Path, provenance: &'a Provenance) -> Result<Self> {
        let path = path(store);
        let file = lock(&path, File::try_lock, OpenOptions::new().read(true).append(true).create(true))?;
        let whole = Records::map(&path, provenance)?.end;
        let journal = Journal { path, file, provenance };
        journal.file.set_len(whole as u64).map_err(|source| journal.failed(source))?;
        Ok(journal)
    }

    /// Puts an answer on disk before returning. Shapes: `keys` [n], `logits` [n, C].
    ///
    /// # Errors
    /// When the disk fails.
    pub fn append(&mut self, keys: &[Key], logits: ArrayView2<'_, f32>) -> Result<()> {
        let mut record = (u32::try_from(keys.len())?).to_le_bytes().to_vec();
        record.extend(keys.as_flattened());
        record.extend(logits.iter().flat_map(|logit| logit.to_le_bytes()));
        record.extend(checksum(&record));
        self.write(&record).map_err(|source| self.failed(source))
    }

    /// Returns all that is in the journal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn records(&self) -> Result<Records> {
        Records::map(&self.path, self.provenance)
    }

    /// Removes the journal, whose rows are in the store by now.
    ///
    /// # Errors
    /// When the folder does not allow it.
    pub fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|source| self.failed(source))
    }

    fn write(&mut self, record: &[u8]) -> io::Result<()> {
        if self.file.metadata()?.len() == 0 {
            self.file.write_all(&header(self.provenance))?;
        }
        self.file.write_all(record)?;
        self.file.sync_data()
    }

    fn failed(&self, source: io::Error) -> anyhow::Error {
        student::Error::Write { path: self.path.clone(), source }.into()
    }
}

/// The records of a journal, mapped into memory.
pub(super) struct Records {
    bytes: Box<dyn Deref<Target = [u8]>>,
    spans: Vec<Span>,
    num_classes: usize,
    /// Where the last whole record ends.
    end: usize,
}

/// Where the columns of a record lie.
struct Span {
    keys: Range<usize>,
    logits: Range<usize>,
}

impl Records {
    /// Reads the journal of the store at `store`, if there is one, as a guest.
    ///
    /// # Errors
    /// When a run is writing into it, when it is of another provenance, or cannot be read.
    pub fn look(store: &Path, provenance: &Provenance) -> Result<Option<Self>> {
        let path = path(store);
        if !path.exists() {
            return Ok(None);
        }
        let _lock = lock(&path, File::try_lock_shared, OpenOptions::new().read(true))?;
        Records::map(&path, provenance).map(Some)
    }

    /// Returns each record's rows, in no order.
    pub fn rows(&self) -> impl Iterator<Item = Rows<'_>> {
        self.spans.iter().map(|Span { keys, logits }| {
            Rows::new(&self.bytes[keys.clone()], &self.bytes[logits.clone()], self.num_classes)
        })
    }

    fn map(path: &Path, provenance: &Provenance) -> Result<Self> {
        let bytes = map(path)?;
        let header = header(provenance);
        let (mut spans, mut end) = (Vec::new(), 0);
        if bytes.starts_with(&header) {
            end = header.len();
            while let Some((span, record_end)) = record(&bytes, end, provenance.num_classes()) {
                spans.push(span);
                end = record_end;
            }
        } else if !header.starts_with(&bytes) {
            return Err(foreign(path, &bytes, provenance));
        }
        Ok(Records { bytes: Box::new(bytes), spans, num_classes: provenance.num_classes(), end })
    }
}

/// Says whether the store at `store` has a journal.
pub(super) fn exists(store: &Path) -> bool {
    path(store).exists()
}

fn path(store: &Path) -> PathBuf {
    let mut name = OsString::from(store);
    name.push(".journal");
    name.into()
}

fn header(provenance: &Provenance) -> Vec<u8> {
    format!("{MAGIC}{}\n", provenance.to_json()).into_bytes()
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&digest[..CHECKSUM]);
    checksum
}

/// Finds the record that begins at `start`, and its end, unless it is torn.
fn record(bytes: &[u8], start: usize, num_classes: usize) -> Option<(Span, usize)> {
    let count = u32::from_le_bytes(*bytes.get(start..)?.first_chunk()?) as usize;
    let keys_start = start + size_of::<u32>();
    let logits_start = keys_start.checked_add(count.checked_mul(size_of::<Key>())?)?;
    let logits_end = logits_start.checked_add(count.checked_mul(num_classes)?.checked_mul(4)?)?;
    let end = logits_end.checked_add(CHECKSUM)?;
    if bytes.get(logits_end..end)? != checksum(&bytes[start..logits_end]) {
        return None;
    }
    let span = Span { keys: keys_start..logits_start, logits: logits_start..logits_end };
    let rows = Rows::new(&bytes[span.keys.clone()], &bytes[span.logits.clone()], num_classes);
    rows.first_not_finite().is_none().then_some((span, end))
}

/// Says what a journal is that does not begin as expected.
fn foreign(path: &Path, bytes: &[u8], provenance: &Provenance) -> anyhow::Error {
    let json = bytes.strip_prefix(MAGIC.as_bytes()).and_then(|rest| rest.split(|&byte| byte == b'\n').next());
    let found = json.and_then(|json| Provenance::from_json(str::from_utf8(json).ok()?).ok());
    match found.map(|found| provenance.differences(&found)).filter(|differences| !differences.is_empty()) {
        Some(differences) => explained(
            format!("`{}` was left by an unfinished run of another kind: {differences}", path.display()),
            "finish that run with its own settings, give another file with `--cache` (`--out` of `distill label`), or \
             delete the journal",
        ),
        None => explained(
            format!("`{}` is not the journal of a labelling run", path.display()),
            "delete it, or give another file with `--cache` (`--out` of `distill label`)",
        ),
    }
}

/// How a lock is taken: alone, or shared.
type Take = fn(&File) -> Result<(), TryLockError>;

/// Opens a file and locks it until it is dropped.
fn lock(path: &Path, take: Take, options: &OpenOptions) -> Result<File> {
    let cannot_open = || format!("cannot open `{}`", path.display());
    loop {
        let file = options.open(path).with_context(cannot_open)?;
        match take(&file) {
            Ok(()) if is_at(&file, path) => return Ok(file),
            // A run that ended in between has removed the file that was opened.
            Ok(()) => {}
            Err(TryLockError::Error(source)) => return Err(source).with_context(cannot_open),
            Err(TryLockError::WouldBlock) => {
                return Err(explained(
                    format!("another run is writing into `{}`", path.display()),
                    "wait until it has ended, or give another file with `--cache` (`--out` of `distill label`)",
                ));
            }
        }
    }
}

/// Says whether an open file is still the one at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().ok().map(id) == std::fs::metadata(path).ok().map(id)
}

/// Elsewhere, a file that is open keeps its name.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;
    use crate::labels::sample::Sample;
    use ndarray::array;

    /// Writes a journal of one record with this logit, and returns its path.
    fn journal_with(sample: &Sample, logit: f32) -> PathBuf {
        let mut journal = Journal::open(&sample.path, &sample.provenance).unwrap();
        journal.append(&sample.keys, array![[logit, 0.0, 0.0]].view()).unwrap();
        journal.path.clone()
    }

    fn num_rows(sample: &Sample) -> usize {
        let records = Records::look(&sample.path, &sample.provenance).unwrap().unwrap();
        records.rows().map(|rows| rows.keys.len()).sum()
    }

    #[test]
    fn a_record_with_any_byte_changed_is_dropped() {
        let sample = Sample::new(1);
        let path = journal_with(&sample, 1.5);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(num_rows(&sample), 1);
        for at in header(&sample.provenance).len()..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x81;
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(num_rows(&sample), 0, "byte {at}");
        }
    }

    #[test]
    fn a_tail_of_zeros_or_of_numbers_that_are_not_finite_is_dropped() {
        let sample = Sample::new(1);
        let path = journal_with(&sample, f32::NAN);
        assert_eq!(num_rows(&sample), 0);
        journal_with(&sample, 1.5);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], &[0; 64]].concat()).unwrap();
        assert_eq!(num_rows(&sample), 1);
        drop(Journal::open(&sample.path, &sample.provenance).unwrap());
        assert!(
            std::fs::read(&path).unwrap() == whole,
            "a run that goes on writes after the last whole record"
        );
    }

    #[test]
    fn a_foreign_journal_is_refused_and_left_as_it_is() {
        let mut sample = Sample::new(1);
        let path = journal_with(&sample, 1.5);
        let of_another = std::fs::read(&path).unwrap();
        sample.provenance.max_length = 64;
        let torn = &of_another[..header(&sample.provenance).len() - 5];
        for (bytes, message, hint) in [
            (&of_another[..], "of another kind: max_length `128` instead of `64`", "finish that run"),
            (b"Dear diary", "is not the journal of a labelling run", "delete it"),
            (torn, "is not the journal of a labelling run", "delete it"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let opened = Journal::open(&sample.path, &sample.provenance).err().unwrap();
            for error in [opened, Records::look(&sample.path, &sample.provenance).err().unwrap()] {
                assert!(error.to_string().ends_with(message), "{error}");
                assert!(hint_of(&error).unwrap().starts_with(hint));
            }
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }
}
