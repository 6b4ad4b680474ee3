//! Finds the ONNX Runtime library on this machine, or fetches the pinned one once.
//!
//! The order, first hit wins: the path that the caller names, `ORT_DYLIB_PATH`, beside the executable, our cache, the
//! loader's folders, the `onnxruntime` package of the active Python, and at last `pip download` into the cache. A named
//! path that is wrong is an error of its own: whoever names a library wants no other.
//!
//! The library is needed at run time only, so a build needs neither network nor Python.

mod cache;
mod library;
mod pins;
mod provision;
mod search;

use std::fmt;
use std::path::{Path, PathBuf};

pub use cache::cache_dir;
#[cfg(test)]
pub(crate) use pins::FLOOR;
use search::Surroundings;

use crate::Error;

/// Who or what led to a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The caller named it.
    Given,
    /// `ORT_DYLIB_PATH` names it.
    Variable,
    /// It lies beside the running executable.
    Executable,
    /// It lies in our cache.
    Cache,
    /// It lies in a folder of the system's loader.
    System,
    /// It belongs to the `onnxruntime` package of the active Python.
    Python,
    /// It was fetched with pip just now, by this process or by one that it waited for.
    Download,
}

/// A library of ONNX Runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// Who or what led to it.
    pub origin: Origin,
    /// Its version, where the file's name or its package tells.
    pub version: Option<String>,
}

/// One place of the search, and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The place.
    pub origin: Origin,
    /// The library, or why there is none that will do.
    pub outcome: Result<Found, String>,
}

/// Returns a library of ONNX Runtime, found or else fetched.
///
/// `explicit` is a path that goes before all else. `notify` is told in one line what takes long: a download with its
/// size, or waiting for another process that downloads.
///
/// # Errors
/// [`Error::RuntimeUnusable`] where a named path is wrong; [`Error::RuntimeNotFound`], with what each place said, where
/// nothing was found and the download failed.
pub fn locate(explicit: Option<&Path>, notify: &dyn Fn(&str)) -> Result<Found, Error> {
    Surroundings::of_this_process(explicit).locate(notify)
}

/// Returns every place of the search in order, with what is there; fetches nothing.
pub fn search_report(explicit: Option<&Path>) -> Vec<Attempt> {
    Surroundings::of_this_process(explicit).report()
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Given => "given path",
            Origin::Variable => "environment variable ORT_DYLIB_PATH",
            Origin::Executable => "beside the executable",
            Origin::Cache => "cache",
            Origin::System => "system loader",
            Origin::Python => "Python package",
            Origin::Download => "download",
        })
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.path.display())?;
        self.version.iter().try_for_each(|version| write!(f, ", version {version}"))
    }
}
