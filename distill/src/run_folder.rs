//! The folder that a run writes to: never somebody else's, and never two runs at once.

use crate::error::explained;
use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use student::files::is_temporary;

/// What to do with a folder that has something in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it alone and say so.
    Refuse,
    /// Replace the files that the run writes.
    Overwrite,
    /// Continue the run that wrote it.
    Resume,
}

/// A folder that belongs to this process until it is dropped.
pub struct RunFolder {
    path: PathBuf,
    name: String,
    existing: Existing,
    lock: File,
}

const LOCK: &str = ".lock";

impl RunFolder {
    /// Makes or takes over a folder. `produces`: the file that tells that a run of this kind wrote the folder.
    ///
    /// # Errors
    /// When it holds files and `existing` does not allow that, when another process writes to it, when it cannot be made, or
    /// when a recipe could not name it.
    pub fn open(path: &Path, existing: Existing, produces: &str) -> Result<Self> {
        if path.to_str().is_none() {
            return Err(explained(
                format!("`{}` is not UTF-8, in which the recipe of a run names its files", path.display()),
                "choose another `--out`",
            ));
        }
        let occupied = match std::fs::read_dir(path) {
            Ok(mut entries) => entries.any(|entry| entry.is_ok_and(|entry| !is_harmless(&entry.file_name()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot use `{}` as a folder", path.display()));
            }
        };
        match existing {
            Existing::Refuse if occupied => {
                return Err(explained(
                    format!("`{}` already exists and is not empty", path.display()),
                    "choose another `--out`, or replace what is there with `--overwrite`, or continue it with `--resume`",
                ));
            }
            Existing::Resume if !path.join(produces).exists() => {
                return Err(explained(
                    format!("there is nothing to resume: `{}` does not exist", path.join(produces).display()),
                    "start the run without `--resume`",
                ));
            }
            _ => {}
        }
        let make = || format!("cannot write to the folder `{}`", path.display());
        std::fs::create_dir_all(path).with_context(make)?;
        let file = path.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&file).with_context(make)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => explained(
                format!("another process is writing to `{}`", path.display()),
                "wait until it has finished, or choose another `--out`",
            ),
            TryLockError::Error(error) => anyhow::Error::new(error).context(make()),
        })?;
        remove_leftovers(path);
        let absolute = std::path::absolute(path).with_context(make)?;
        let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(RunFolder { path: path.to_owned(), name, existing, lock })
    }

    /// Opens a folder within this one for a run that belongs to it; it is continued where this one is, if it was begun.
    ///
    /// # Errors
    /// As [`RunFolder::open`].
    pub fn inner(&self, name: &Path, produces: &str) -> Result<Self> {
        let path = self.join(name);
        let existing = match self.existing {
            Existing::Resume if !path.join(produces).exists() => Existing::Refuse,
            existing => existing,
        };
        let mut folder = RunFolder::open(&path, existing, produces)?;
        folder.name = format!("{}/{}", self.name, name.display());
        Ok(folder)
    }

    /// Says whether the run that wrote the folder is continued.
    pub fn is_resumed(&self) -> bool {
        self.existing == Existing::Resume
    }

    /// Returns what people call the run: the folder's name, below that of the run that it belongs to.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the folder, or a file in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Says whether a file does not make a folder somebody's: a lock, what a killed run left half done, or labels and tokens, which a run that was stopped
/// before it trained leaves behind. Labels know whose they are, and are added to, never replaced; so do tokens. Copies of texts are
/// made anew.
fn is_harmless(name: &OsStr) -> bool {
    name == LOCK
        || name == "tokens"
        || is_temporary(Path::new(name))
        || ["labels.", "augmented-"].iter().any(|start| name.to_string_lossy().starts_with(start))
}

/// Removes the temporary files of a run that was killed while it wrote: what they were to replace is whole.
fn remove_leftovers(path: &Path) {
    for folder in
        ["", "checkpoint", "onnx", "tokens", "labels.tokens", "tensorboard"].map(|name| path.join(name))
    {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for file in entries.map(|entry| entry.path()).filter(|path| is_temporary(path)) {
            // One that cannot be removed only takes space.
            let _ = if file.is_dir() { std::fs::remove_dir_all(file) } else { std::fs::remove_file(file) };
        }
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // Removed while it is still locked, so that nobody locks a file that is about to go. The lock itself goes with
        // the process in any case; what is left of a failed clean-up is an empty file.
        let _ = std::fs::remove_file(self.path.join(LOCK));
        let _ = self.lock.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, existing: Existing) -> Result<RunFolder, String> {
        RunFolder::open(path, existing, "recipe.toml").map_err(|error| error.to_string())
    }

    #[test]
    fn a_folder_with_files_is_refused_unless_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/out");
        drop(open(&path, Existing::Refuse).unwrap());
        drop(open(&path, Existing::Refuse).unwrap());
        assert!(open(&path, Existing::Resume).err().unwrap().contains("nothing to resume"));
        std::fs::write(path.join("labels.safetensors.journal"), "").unwrap();
        drop(open(&path, Existing::Refuse).unwrap());
        std::fs::remove_file(path.join("labels.safetensors.journal")).unwrap();
        std::fs::write(path.join("recipe.toml"), "").unwrap();
        assert!(open(&path, Existing::Refuse).err().unwrap().contains("already exists"));
        drop(open(&path, Existing::Overwrite).unwrap());
        std::fs::write(path.join(".distill-x.tmp"), "half").unwrap();
        drop(open(&path, Existing::Resume).unwrap());
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1, "neither lock nor leftovers stay behind");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_no_recipe_can_name_is_refused() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(OsStr::from_bytes(b"out\xff"));
        assert!(open(&path, Existing::Overwrite).err().unwrap().contains("is not UTF-8"));
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_within_another_is_begun_or_continued_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::create_dir_all(path.join("controls/one")).unwrap();
        std::fs::write(path.join("recipe.toml"), "").unwrap();
        let inner = |outer: &RunFolder| outer.inner(Path::new("controls/one"), "recipe.toml");
        let outer = open(&path, Existing::Resume).unwrap();
        let begun = inner(&outer).unwrap();
        assert_eq!((begun.name(), begun.is_resumed()), ("out/controls/one", false));
        drop(begun);
        std::fs::write(path.join("controls/one/else"), "").unwrap();
        assert!(inner(&outer).err().unwrap().to_string().contains("already exists"), "somebody else's");
        std::fs::write(path.join("controls/one/recipe.toml"), "").unwrap();
        assert!(inner(&outer).unwrap().is_resumed());
    }

    #[test]
    fn two_runs_do_not_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path(), Existing::Refuse).unwrap();
        assert!(open(folder.path(), Existing::Refuse).err().unwrap().contains("another process"));
        drop(first);
        drop(open(folder.path(), Existing::Refuse).unwrap());
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(open(file.path(), Existing::Overwrite).err().unwrap().contains("as a folder"));
    }
}
