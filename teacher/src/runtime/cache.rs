//! The folder that keeps what was downloaded.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::Error;

// Variables that name a cache folder, and our place below it.
#[cfg(windows)]
const PLACES: [(&str, &str); 3] =
    [("DISTILL_CACHE", ""), ("XDG_CACHE_HOME", "distill"), ("LOCALAPPDATA", "distill")];
#[cfg(target_os = "macos")]
const PLACES: [(&str, &str); 3] =
    [("DISTILL_CACHE", ""), ("XDG_CACHE_HOME", "distill"), ("HOME", "Library/Caches/distill")];
#[cfg(not(any(windows, target_os = "macos")))]
const PLACES: [(&str, &str); 3] =
    [("DISTILL_CACHE", ""), ("XDG_CACHE_HOME", "distill"), ("HOME", ".cache/distill")];

/// Returns the folder for downloaded files, which need not exist yet.
///
/// `$DISTILL_CACHE`, or else `$XDG_CACHE_HOME/distill`, or else `~/.cache/distill` (`~/Library/Caches/distill` on
/// macOS, `%LOCALAPPDATA%\distill` on Windows). An empty variable counts as unset.
///
/// # Errors
/// [`Error::NoCacheFolder`] where none of them is set.
pub fn cache_dir() -> Result<PathBuf, Error> {
    cache_dir_from(|name| std::env::var_os(name))
}

fn cache_dir_from(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Error> {
    let set = |(name, below): &(&str, &str)| {
        let value = variable(name).filter(|value| !value.is_empty())?;
        // `join("")` would leave a slash at the end.
        let folder = if below.is_empty() { PathBuf::from(value) } else { Path::new(&value).join(below) };
        std::path::absolute(folder).ok()
    };
    PLACES
        .iter()
        .find_map(set)
        .ok_or_else(|| Error::NoCacheFolder { variables: PLACES.map(|(name, _)| name.into()).to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(unix, not(target_os = "macos")))]
    #[test]
    fn our_own_variable_comes_first_then_the_desktops_then_home() {
        for (variables, folder) in [
            (&[("DISTILL_CACHE", "/c"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")][..], "/c"),
            (&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")], "/x/distill"),
            (&[("DISTILL_CACHE", ""), ("XDG_CACHE_HOME", ""), ("HOME", "/h")], "/h/.cache/distill"),
        ] {
            let lookup =
                |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            assert_eq!(cache_dir_from(lookup).expect(folder), Path::new(folder));
        }
    }

    #[test]
    fn a_relative_folder_is_taken_from_where_we_are() {
        let folder =
            cache_dir_from(|name| (name == "DISTILL_CACHE").then(|| "here".into())).expect("a folder");
        assert_eq!(folder, std::env::current_dir().expect("a folder").join("here"));
    }

    #[test]
    fn without_any_variable_each_is_named() {
        let error = cache_dir_from(|_| None).expect_err("none is set").to_string();
        assert!(PLACES.iter().all(|(name, _)| error.contains(name)), "{error}");
    }
}
