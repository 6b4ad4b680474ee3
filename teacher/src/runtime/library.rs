//! What a file's name tells about an ONNX Runtime library: that it is one, and its version.
//!
//! Nothing is loaded to find out: loading runs the library's code, and a second library cannot be loaded afterwards.

use std::path::{Path, PathBuf};

use super::pins::FLOOR;

/// Returns the ONNX Runtime libraries in a folder, newest first, those without a version last.
pub(super) fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut libraries: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_library_name))
        .filter(|path| path.is_file())
        .collect();
    libraries
        .sort_by_cached_key(|path| std::cmp::Reverse((version_of(path).map(|v| parts(&v)), path.clone())));
    libraries
}

/// Returns the version in the name of the file, or of the file it is a link to.
pub(super) fn version_of(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    version_in(path.file_name()?.to_str()?)
}

/// Returns whether the version is one that works.
pub(super) fn is_new_enough(version: &str) -> bool {
    let parts = parts(version);
    parts.len() >= 2 && parts >= vec![u64::from(FLOOR.0), u64::from(FLOOR.1)]
}

fn is_library_name(name: &str) -> bool {
    if cfg!(windows) {
        name.eq_ignore_ascii_case("onnxruntime.dll")
    } else if cfg!(target_os = "macos") {
        name.starts_with("libonnxruntime.") && name.ends_with(".dylib")
    } else {
        name == "libonnxruntime.so" || name.starts_with("libonnxruntime.so.")
    }
}

/// Reads `libonnxruntime.so.1.31.1` and `libonnxruntime.1.31.1.dylib`.
fn version_in(name: &str) -> Option<String> {
    let rest = name.strip_prefix("libonnxruntime.")?;
    let version = rest.strip_prefix("so.").or(rest.strip_suffix(".dylib"))?;
    version.split('.').all(|part| part.parse::<u64>().is_ok()).then(|| version.to_owned())
}

/// Splits `1.31.1` into its numbers, up to the first that is none.
fn parts(version: &str) -> Vec<u64> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_name() {
        for (name, version) in [
            ("libonnxruntime.so.1.31.1", Some("1.31.1")),
            ("libonnxruntime.so.1", Some("1")),
            ("libonnxruntime.1.31.1.dylib", Some("1.31.1")),
            ("libonnxruntime.so", None),
            ("libonnxruntime.dylib", None),
            ("libonnxruntime.so.1.31.1.bak", None),
            ("libonnxruntime_providers_shared.so", None),
            ("onnxruntime.dll", None),
        ] {
            assert_eq!(version_in(name).as_deref(), version, "{name}");
        }
    }

    #[test]
    fn releases_from_the_floor_on_are_new_enough() {
        for (version, enough) in [
            ("1.31.1", true),
            ("1.18.0", true),
            ("1.18", true),
            ("2.0.0", true),
            ("1.17.3", false),
            ("1.9.0", false),
            ("1", false),
            ("", false),
            ("nightly", false),
        ] {
            assert_eq!(is_new_enough(version), enough, "{version}");
        }
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    #[test]
    fn libraries_are_listed_newest_first_through_their_links() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in
            ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.22.0", "libonnxruntime_providers_shared.so"]
        {
            std::fs::write(path(name), "").expect("written");
        }
        std::os::unix::fs::symlink("libonnxruntime.so.1.22.0", path("libonnxruntime.so")).expect("linked");
        std::fs::create_dir(path("libonnxruntime.so.1.99.0")).expect("made");
        let found = libraries_in(folder.path());
        assert_eq!(
            found,
            ["libonnxruntime.so.1.22.0", "libonnxruntime.so", "libonnxruntime.so.1.9.0"].map(path)
        );
        assert_eq!(version_of(&path("libonnxruntime.so")).as_deref(), Some("1.22.0"));
    }
}
