//! SHA-256 of files, in hex, without holding them in memory.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::Error;

/// Returns the SHA-256 of the files' bytes, one file after the other, in hex: what `cat FILES | sha256sum` prints.
pub(crate) fn of_files(paths: &[PathBuf]) -> Result<String, Error> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    for path in paths {
        let failed = |source| Error::Read { path: path.clone(), source };
        let mut file = File::open(path).map_err(failed)?;
        loop {
            match file.read(&mut buffer).map_err(failed)? {
                0 => break,
                length => hasher.update(&buffer[..length]),
            }
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Checks a file against a pinned hash.
///
/// # Errors
/// [`Error::HashMismatch`] where they differ; [`Error::Read`] where the file cannot be read.
pub(crate) fn check(path: &Path, expected: &str) -> Result<(), Error> {
    let found = of_files(&[path.to_owned()])?;
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Error::HashMismatch { path: path.into(), expected: expected.into(), found })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4, example B.1.
    const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn files_are_hashed_as_if_joined() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = [folder.path().join("ab"), folder.path().join("c")];
        std::fs::write(&paths[0], "ab").expect("written");
        std::fs::write(&paths[1], "c").expect("written");
        assert_eq!(of_files(&paths).expect("hashed"), OF_ABC);
    }

    #[test]
    fn another_hash_is_an_error_that_names_both() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").expect("written");
        check(&path, &OF_ABC.to_uppercase()).expect("equal, whatever the case");
        let error = check(&path, "00ff").expect_err("different").to_string();
        assert!(error.contains("00ff") && error.contains(OF_ABC), "{error}");
    }
}
