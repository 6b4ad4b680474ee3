//! Is a file still the one that was read? Told without reading it again, where that is safe.

use crate::data::hexadecimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Files up to this size, 64 MB, are read and hashed whole each time: that takes less than a tenth of a second.
const HASHED_WHOLE: u64 = 64_000_000;
/// How many pieces of a larger file are hashed, and their size.
const SAMPLES: u64 = 64;
const SAMPLE_BYTES: u64 = 4096;
/// A file that was changed so shortly before it was read may change again within the same tick of its clock.
const SETTLED: Duration = Duration::from_secs(2);

/// What is remembered of a file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    /// Its size in bytes.
    size: u64,
    /// The SHA-256 of all its bytes, in hexadecimal.
    pub sha256: String,
    /// What would be another after a change; nothing where that is not certain.
    marks: Option<Marks>,
}

/// What a file's folder says of it, and a hash of pieces of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marks {
    /// When it was last written to, in seconds and nanoseconds since 1970.
    modified: (u64, u32),
    /// When anything about it last changed, which nobody can set back; and its number in the file system.
    unix: Option<(i64, i64, u64)>,
    samples: String,
}

/// What is known of a file before it is read.
pub(super) struct Before(Option<(u64, Marks)>);

impl Before {
    /// Looks at a file that is about to be read. A pipe is no file.
    pub fn of(path: &Path) -> Self {
        let look = || {
            let metadata = std::fs::metadata(path).ok().filter(Metadata::is_file)?;
            Some((metadata.len(), Marks::of(path, &metadata).ok()?))
        };
        Before(look())
    }

    /// Says whether there is a file that can be found again.
    pub fn is_file(&self) -> bool {
        self.0.is_some()
    }

    /// Makes the stamp of a file that was read, and had this SHA-256.
    pub fn stamp(self, path: &Path, sha256: String) -> Stamp {
        let size = self.0.as_ref().map_or(0, |(size, _)| *size);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let is_settled = |marks: &Marks| marks.last_change() + SETTLED < now;
        let unchanged = |before: &(u64, Marks)| Before::of(path).0.as_ref() == Some(before);
        let marks =
            self.0.filter(|before| is_settled(&before.1) && unchanged(before)).map(|(_, marks)| marks);
        Stamp { size, sha256, marks }
    }
}

impl Stamp {
    /// Says whether the file has the bytes that were read: by its hash, or by the marks of one that is large.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn fits(&self, path: &Path) -> io::Result<bool> {
        self.fits_file(path, HASHED_WHOLE)
    }

    fn fits_file(&self, path: &Path, hashed_whole: u64) -> io::Result<bool> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() || metadata.len() != self.size {
            return Ok(false);
        }
        if self.size > hashed_whole && self.marks.is_some() && self.marks == Some(Marks::of(path, &metadata)?)
        {
            return Ok(true);
        }
        let mut hash = Sha256::new();
        hash_all(&mut File::open(path)?, &mut hash)?;
        Ok(hexadecimal(&hash.finalize()) == self.sha256)
    }
}

impl Marks {
    fn of(path: &Path, metadata: &Metadata) -> io::Result<Self> {
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut file = File::open(path)?;
        let mut hash = Sha256::new();
        let last = metadata.len().saturating_sub(SAMPLE_BYTES);
        for sample in 0..SAMPLES {
            file.seek(SeekFrom::Start(last * sample / (SAMPLES - 1)))?;
            hash_all(&mut (&mut file).take(SAMPLE_BYTES), &mut hash)?;
        }
        let samples = hexadecimal(&hash.finalize());
        Ok(Marks { modified: (modified.as_secs(), modified.subsec_nanos()), unix: unix(metadata), samples })
    }

    fn last_change(&self) -> Duration {
        let changed = self.unix.map_or(0, |(seconds, ..)| u64::try_from(seconds).unwrap_or(0));
        Duration::from_secs(self.modified.0.max(changed) + 1)
    }
}

fn hash_all(input: &mut impl Read, hash: &mut Sha256) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok(()),
            count => hash.update(&buffer[..count]),
        }
    }
}

#[cfg(unix)]
fn unix(metadata: &Metadata) -> Option<(i64, i64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.ctime(), metadata.ctime_nsec(), metadata.ino()))
}

#[cfg(not(unix))]
fn unix(_: &Metadata) -> Option<(i64, i64, u64)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fingerprint;

    /// A file of 100 kB, and its stamp with or without marks.
    fn stamped(marked: Option<()>) -> (tempfile::TempDir, std::path::PathBuf, Stamp) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.tsv");
        let bytes: Vec<u8> = (0..100_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let (size, marks) = Before::of(&path).0.unwrap();
        let stamp = Stamp { size, sha256: fingerprint(&bytes), marks: marked.map(|()| marks) };
        (folder, path, stamp)
    }

    fn change(path: &Path, at: usize) {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }

    #[test]
    fn a_file_is_itself_and_a_changed_one_is_not() {
        for marked in [None, Some(())] {
            for hashed_whole in [0, u64::MAX] {
                let (_folder, path, stamp) = stamped(marked);
                assert!(stamp.fits_file(&path, hashed_whole).unwrap());
                change(&path, 77_777);
                assert!(!stamp.fits_file(&path, hashed_whole).unwrap());
                change(&path, 77_777);
                assert!(stamp.fits_file(&path, hashed_whole).unwrap(), "the bytes count, not the dates");
                std::fs::write(&path, "short").unwrap();
                assert!(!stamp.fits_file(&path, hashed_whole).unwrap());
            }
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_change_that_hides_from_samples_and_dates_is_seen() {
        let (_folder, path, mut stamp) = stamped(Some(()));
        let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
        // Between two samples.
        change(&path, 100_000 / 63 * 2 - 500);
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        let (_, marks) = Before::of(&path).0.unwrap();
        assert_eq!(stamp.marks.as_ref().map(|marks| marks.modified), Some(marks.modified));
        assert!(!stamp.fits_file(&path, 0).unwrap());
        // Large files are not read whole: who could forge every mark would not be found out.
        stamp.marks = Some(marks);
        assert!(stamp.fits_file(&path, 0).unwrap() && !stamp.fits_file(&path, u64::MAX).unwrap());
    }

    #[test]
    fn a_file_that_has_just_changed_gets_no_marks() {
        let (_folder, path, stamp) = stamped(Some(()));
        let fresh = Before::of(&path).stamp(&path, stamp.sha256.clone());
        assert_eq!(fresh, Stamp { marks: None, ..stamp });
        assert!(!Before::of(path.parent().unwrap()).is_file());
    }
}
