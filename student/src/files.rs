//! Files that are either the old one or the new one, whatever happens in between.

use crate::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes a file through a temporary one in the same folder, which takes its place once it is whole and on disk.
///
/// # Errors
/// [`Error::Write`] when the folder, the disk or `write` fails; what was at `path` before is then untouched.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let attempt = || -> io::Result<()> {
        let temporary = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(folder)?;
        let mut writer = BufWriter::with_capacity(1 << 16, temporary.as_file());
        write(&mut writer)?;
        writer.flush()?;
        drop(writer);
        make_readable(temporary.as_file())?;
        temporary.as_file().sync_all()?;
        temporary.persist(path)?;
        Ok(())
    };
    attempt().map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// Says whether a file is a temporary one of [`write_atomically`], left by a process that was killed.
pub fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

const PREFIX: &str = ".distill-";
const SUFFIX: &str = ".tmp";

/// Opens a file as bytes without reading it in. An empty file is an empty slice.
///
/// # Errors
/// [`Error::Read`] when there is no such file or it cannot be opened.
pub fn map(path: &Path) -> Result<memmap2::Mmap, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    // SAFETY: the map is read-only and private to this process. Every writer of this project replaces files instead of
    // changing them, so that the bytes under an open map stay; a foreign program that truncates the file while it is
    // being read ends this process with a bus error, which loses nothing on disk.
    unsafe { memmap2::Mmap::map(&file) }.map_err(read)
}

/// Gives a new file the permissions that the user's other files have: temporary ones are private.
fn make_readable(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |file| {
            file.write_all(b"half of the new")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(failed.unwrap_err().to_string().contains("model.bin"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
