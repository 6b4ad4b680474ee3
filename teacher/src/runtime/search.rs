//! Looks at each place where ONNX Runtime may be, by files alone.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::pins::{self, FLOOR, Pin, VERSION};
use super::{Attempt, Found, Origin, cache_dir, library, provision};
use crate::python::{Python, last_words};
use crate::{Error, sha256};

/// A place of the search and how to look there.
type Place = (Origin, fn(&Surroundings) -> Result<Found, String>);

/// The places of the search, in order; a download comes after them.
const PLACES: [Place; 4] = [
    (Origin::Executable, Surroundings::beside_the_executable),
    (Origin::Cache, Surroundings::in_the_cache),
    (Origin::System, Surroundings::in_the_loaders_folders),
    (Origin::Python, Surroundings::in_python),
];

/// Prints the folder of the `onnxruntime` package, or an empty line, without importing it.
const ASK_PYTHON: &str = "\
import importlib.util
spec = importlib.util.find_spec('onnxruntime')
print((spec and spec.submodule_search_locations or [''])[0])";

/// Everything that the search depends on, so that a test can make its own.
pub(super) struct Surroundings {
    /// The path that the caller names.
    explicit: Option<PathBuf>,
    /// The value of `ORT_DYLIB_PATH`.
    variable: Option<PathBuf>,
    /// The folder of the running executable.
    executable: Option<PathBuf>,
    /// The cache, or why there is none.
    cache: Result<PathBuf, String>,
    /// Folders of the system's loader.
    loader: Vec<PathBuf>,
    /// How Python may be started.
    pythons: Vec<Python>,
    /// What may be fetched.
    pin: Option<&'static Pin>,
}

impl Surroundings {
    pub(super) fn of_this_process(explicit: Option<&Path>) -> Surroundings {
        Surroundings {
            explicit: explicit.map(Path::to_owned),
            variable: variable("ORT_DYLIB_PATH").map(PathBuf::from),
            executable: env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned)),
            cache: cache_dir().map_err(|error| error.to_string()),
            loader: loader_folders(),
            pythons: Python::usual_names(),
            pin: pins::for_this_platform(),
        }
    }

    pub(super) fn locate(&self, notify: &dyn Fn(&str)) -> Result<Found, Error> {
        if let Some((origin, path)) = self.named() {
            let unusable =
                |reason| Error::RuntimeUnusable { path: path.into(), origin: origin.to_string(), reason };
            return named_library(origin, path).map_err(unusable);
        }
        let mut attempts = Vec::new();
        for (origin, look) in PLACES {
            match look(self) {
                Ok(found) => return Ok(found),
                Err(reason) => attempts.push(format!("{origin}: {reason}")),
            }
        }
        self.fetch(notify).map_err(|reason| {
            attempts.push(format!("{}: {reason}", Origin::Download));
            Error::RuntimeNotFound { attempts }
        })
    }

    pub(super) fn report(&self) -> Vec<Attempt> {
        let named = |origin, path: &Option<PathBuf>| {
            let outcome = path.as_deref().ok_or("none".into()).and_then(|path| named_library(origin, path));
            Attempt { origin, outcome }
        };
        let named = [named(Origin::Given, &self.explicit), named(Origin::Variable, &self.variable)];
        let others = PLACES.map(|(origin, look)| Attempt { origin, outcome: look(self) });
        named.into_iter().chain(others).collect()
    }

    /// Returns the path that somebody named.
    fn named(&self) -> Option<(Origin, &Path)> {
        let given = self.explicit.as_deref().map(|path| (Origin::Given, path));
        given.or(self.variable.as_deref().map(|path| (Origin::Variable, path)))
    }

    fn beside_the_executable(&self) -> Result<Found, String> {
        let folder = self.executable.as_deref().ok_or("the executable's folder is unknown")?;
        let path = library::libraries_in(folder).into_iter().next();
        let path = path.ok_or_else(|| format!("none in `{}`", folder.display()))?;
        Ok(Found { version: library::version_of(&path), path, origin: Origin::Executable })
    }

    fn in_the_cache(&self) -> Result<Found, String> {
        let path = provision::cached(self.cache.as_deref()?, self.pin()?)?;
        Ok(Found { path, origin: Origin::Cache, version: Some(VERSION.into()) })
    }

    fn in_the_loaders_folders(&self) -> Result<Found, String> {
        let candidates = self.loader.iter().flat_map(|folder| library::libraries_in(folder));
        first_new_enough(candidates, Origin::System, None).map_err(|rejected| match rejected.as_slice() {
            [] => format!("none in {}", list(&self.loader)),
            _ => rejected.join("; "),
        })
    }

    fn in_python(&self) -> Result<Found, String> {
        let python = Python::first_working(&self.pythons).map_err(|error| error.to_string())?;
        let output = python.run(["-c", ASK_PYTHON]).map_err(|error| format!("`{python}`: {error}"))?;
        if !output.status.success() {
            return Err(format!("`{python}`: {}", last_words(&output)));
        }
        let answer = String::from_utf8_lossy(&output.stdout);
        let package = Path::new(answer.trim_end_matches(['\r', '\n']));
        if package.as_os_str().is_empty() {
            return Err(format!("`{python}` has no package `onnxruntime`"));
        }
        let version = package.parent().and_then(package_version);
        let folder = package.join("capi");
        let candidates = library::libraries_in(&folder);
        if candidates.is_empty() {
            return Err(format!("none in `{}`", folder.display()));
        }
        self.pinned_among(&candidates)
            .map_or_else(|| first_new_enough(candidates, Origin::Python, version), Ok)
            .map_err(|rejected| rejected.join("; "))
    }

    /// Returns the very library that would be fetched, told by its size and hash, if it is among these.
    fn pinned_among(&self, candidates: &[PathBuf]) -> Option<Found> {
        let pin = self.pin?;
        let same_size = |path: &&PathBuf| path.metadata().is_ok_and(|file| file.len() == pin.library_bytes);
        let path = candidates
            .iter()
            .filter(same_size)
            .find(|path| sha256::check(path, pin.library_sha256).is_ok())?;
        Some(Found { path: path.clone(), origin: Origin::Python, version: Some(VERSION.into()) })
    }

    fn fetch(&self, notify: &dyn Fn(&str)) -> Result<Found, String> {
        let (cache, pin) = (self.cache.as_deref()?, self.pin()?);
        let path =
            provision::provision(cache, pin, &self.pythons, notify).map_err(|error| error.to_string())?;
        Ok(Found { path, origin: Origin::Download, version: Some(VERSION.into()) })
    }

    fn pin(&self) -> Result<&'static Pin, String> {
        self.pin.ok_or_else(|| {
            format!("ONNX Runtime {VERSION} has no wheel for {} on {}", env::consts::OS, env::consts::ARCH)
        })
    }
}

/// Returns the variable's value unless it is unset or empty.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn named_library(origin: Origin, path: &Path) -> Result<Found, String> {
    let file = path.metadata().map_err(|error| error.to_string())?;
    if file.is_dir() {
        return Err("it is a folder, not a library".into());
    }
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    Ok(Found { version: library::version_of(&path), path, origin })
}

/// Returns the first library that is new enough, or else what is wrong with each.
///
/// `package_version` stands in where a file's name tells no version.
fn first_new_enough(
    candidates: impl IntoIterator<Item = PathBuf>,
    origin: Origin,
    package_version: Option<String>,
) -> Result<Found, Vec<String>> {
    let mut rejected = Vec::new();
    for path in candidates {
        match library::version_of(&path).or(package_version.clone()) {
            Some(version) if library::is_new_enough(&version) => {
                return Ok(Found { path, origin, version: Some(version) });
            }
            Some(version) => rejected.push(format!(
                "`{}` is version {version}, older than {}.{}",
                path.display(),
                FLOOR.0,
                FLOOR.1
            )),
            None => rejected.push(format!("`{}` does not tell its version", path.display())),
        }
    }
    Err(rejected)
}

/// Returns the version of the `onnxruntime` that is installed in `folder`, in whichever variant (`onnxruntime_gpu`, …).
fn package_version(folder: &Path) -> Option<String> {
    let entries = folder.read_dir().ok()?.filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.starts_with("onnxruntime"))
        .find_map(|name| Some(name.strip_suffix(".dist-info")?.split_once('-')?.1.to_owned()))
}

/// Returns the folders of the loader: those in its variable, conda's, and the usual ones.
fn loader_folders() -> Vec<PathBuf> {
    let path = if cfg!(windows) {
        "PATH"
    } else if cfg!(target_os = "macos") {
        "DYLD_LIBRARY_PATH"
    } else {
        "LD_LIBRARY_PATH"
    };
    let conda = if cfg!(windows) { "Library/bin" } else { "lib" };
    let usual: &[&str] = if cfg!(windows) {
        &[]
    } else if cfg!(target_os = "macos") {
        &["/opt/homebrew/lib", "/usr/local/lib"]
    } else if cfg!(target_arch = "aarch64") {
        &["/usr/local/lib", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"]
    } else {
        &["/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"]
    };
    let named = variable(path).map(|value| env::split_paths(&value).collect::<Vec<_>>()).unwrap_or_default();
    let conda = variable("CONDA_PREFIX").map(|prefix| Path::new(&prefix).join(conda));
    named
        .into_iter()
        .chain(conda)
        .chain(usual.iter().map(PathBuf::from))
        .filter(|path| path.is_absolute())
        .collect()
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| format!("`{}`", folder.display())).collect::<Vec<_>>().join(", ")
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    const NAME: &str =
        if cfg!(target_os = "macos") { "libonnxruntime.1.31.1.dylib" } else { "libonnxruntime.so.1.31.1" };
    const OLD: &str =
        if cfg!(target_os = "macos") { "libonnxruntime.1.17.3.dylib" } else { "libonnxruntime.so.1.17.3" };

    const PIN: Pin = Pin {
        platform: "any",
        library: NAME,
        wheel_bytes: 1,
        wheel_sha256: "00",
        library_bytes: 5,
        library_sha256: "00",
    };

    /// A machine with nothing on it, below a temporary folder.
    fn bare_machine(root: &Path) -> Surroundings {
        Surroundings {
            explicit: None,
            variable: None,
            executable: Some(root.join("bin")),
            cache: Ok(root.join("cache")),
            loader: vec![root.join("lib")],
            pythons: vec![Python(vec![root.join("no-python").into()])],
            pin: Some(&PIN),
        }
    }

    fn put(path: PathBuf) -> PathBuf {
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(&path, "bytes").expect("written");
        path
    }

    /// A Python that says that the package lies in `site/onnxruntime`.
    fn python_with_package(root: &Path) -> Python {
        let answer = format!("echo {}/site/onnxruntime", root.display());
        Python(["sh", "-c", &answer].map(OsString::from).to_vec())
    }

    fn locate(machine: &Surroundings) -> Result<Found, Error> {
        machine.locate(&|_| {})
    }

    #[test]
    fn each_place_goes_before_the_next() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path();
        let mut machine = bare_machine(root);
        machine.pythons = vec![python_with_package(root)];
        let check = |machine: &Surroundings, origin, path: PathBuf| {
            let found = locate(machine).expect("found");
            assert_eq!(found, Found { path, origin, version: Some("1.31.1".into()) });
        };
        let path = put(root.join("site/onnxruntime/capi").join(NAME));
        check(&machine, Origin::Python, path);
        let path = put(root.join("lib").join(NAME));
        check(&machine, Origin::System, path);
        let path = put(root.join("cache/onnxruntime-1.31.1").join(NAME));
        check(&machine, Origin::Cache, path);
        let path = put(root.join("bin").join(NAME));
        check(&machine, Origin::Executable, path);
        let path = put(root.join("variable").join(NAME));
        machine.variable = Some(path.clone());
        check(&machine, Origin::Variable, path);
        let path = put(root.join("given").join(NAME));
        machine.explicit = Some(path.clone());
        check(&machine, Origin::Given, path);
    }

    #[test]
    fn a_named_library_that_is_wrong_is_an_error_without_a_search() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path();
        put(root.join("bin").join(NAME));
        for (path, message) in
            [(root.join("missing.so"), "No such file"), (root.join("bin"), "it is a folder")]
        {
            let machine = Surroundings { variable: Some(path.clone()), ..bare_machine(root) };
            let error = locate(&machine).expect_err(message).to_string();
            assert!(error.contains("environment variable ORT_DYLIB_PATH"), "{error}");
            assert!(error.contains(message), "{error}");
            let machine = Surroundings { explicit: Some(path), ..bare_machine(root) };
            assert!(matches!(locate(&machine), Err(Error::RuntimeUnusable { .. })));
        }
    }

    #[test]
    fn with_nothing_anywhere_each_place_is_named_with_a_way_out() {
        let root = tempfile::tempdir().expect("a folder");
        let error = locate(&bare_machine(root.path())).expect_err("there is nothing");
        let text = error.to_string();
        for (origin, word) in [
            ("beside the executable", "bin"),
            ("cache", NAME),
            ("system loader", "lib"),
            ("Python package", "no-python"),
            ("download", "no-python"),
        ] {
            let line = text.lines().find(|line| line.starts_with(&format!("- {origin}: ")));
            assert!(line.is_some_and(|line| line.contains(word)), "{origin}: {text}");
        }
        let hint = error.hint().expect("a hint");
        assert_eq!(hint.lines().filter(|line| line.starts_with("- ")).count(), 3, "{hint}");
    }

    #[test]
    fn what_is_too_old_or_nameless_is_passed_over_and_told() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path();
        let nameless = if cfg!(target_os = "macos") { "libonnxruntime.dylib" } else { "libonnxruntime.so" };
        put(root.join("lib").join(OLD));
        put(root.join("lib").join(nameless));
        put(root.join("site/onnxruntime/capi").join(OLD));
        let machine = Surroundings { pythons: vec![python_with_package(root)], ..bare_machine(root) };
        let text = locate(&machine).expect_err("too old").to_string();
        assert_eq!(text.matches("is version 1.17.3, older than 1.18").count(), 2, "{text}");
        assert!(text.contains("does not tell its version"), "{text}");
    }

    #[test]
    fn a_package_tells_the_version_that_its_library_does_not() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path();
        let nameless = if cfg!(target_os = "macos") { "libonnxruntime.dylib" } else { "libonnxruntime.so" };
        put(root.join("site/onnxruntime/capi").join(nameless));
        put(root.join("site/onnxruntime_gpu-1.20.1.dist-info/METADATA"));
        let machine = Surroundings { pythons: vec![python_with_package(root)], ..bare_machine(root) };
        assert_eq!(locate(&machine).expect("found").version.as_deref(), Some("1.20.1"));
    }

    #[test]
    fn the_report_has_every_place_and_fetches_nothing() {
        let root = tempfile::tempdir().expect("a folder");
        let report = bare_machine(root.path()).report();
        let origins: Vec<_> = report.iter().map(|attempt| attempt.origin).collect();
        let named = [Origin::Given, Origin::Variable];
        assert_eq!(origins, [&named[..], &PLACES.map(|(origin, _)| origin)].concat());
        assert!(report.iter().all(|attempt| attempt.outcome.is_err()), "{report:?}");
        assert!(!root.path().join("cache").exists());
    }

    #[test]
    fn a_platform_without_a_wheel_is_told_so() {
        let root = tempfile::tempdir().expect("a folder");
        let machine = Surroundings { pin: None, ..bare_machine(root.path()) };
        let text = locate(&machine).expect_err("no wheel").to_string();
        assert!(text.contains("download: ONNX Runtime 1.31.1 has no wheel for"), "{text}");
    }
}
