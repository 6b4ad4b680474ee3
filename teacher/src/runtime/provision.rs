//! Fetches the pinned wheel with pip and keeps the library inside it in the cache.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::pins::{Pin, VERSION};
use crate::python::Python;
use crate::{Error, pip, sha256};

/// Where a download grows, in the library's folder.
const PARTIAL: &str = "partial";

/// Returns the folder of the cache in which the library is kept.
pub(super) fn folder(cache: &Path) -> PathBuf {
    cache.join(format!("onnxruntime-{VERSION}"))
}

/// Returns the library in the cache, or why it is not there.
///
/// It was hashed when it came; its size tells later whether it is still whole.
pub(super) fn cached(cache: &Path, pin: &Pin) -> Result<PathBuf, String> {
    let path = folder(cache).join(pin.library);
    let found = fs::metadata(&path).map_err(|error| format!("`{}`: {error}", path.display()))?.len();
    if found == pin.library_bytes {
        return Ok(path);
    }
    Err(format!("`{}` has {found} bytes, not {}", path.display(), pin.library_bytes))
}

/// Fetches the library into the cache and returns its path.
///
/// Of several processes one fetches, and the others wait for it.
pub(super) fn provision(
    cache: &Path,
    pin: &Pin,
    pythons: &[Python],
    notify: &dyn Fn(&str),
) -> Result<PathBuf, Error> {
    let folder = folder(cache);
    fs::create_dir_all(&folder).map_err(|source| Error::Write { path: folder.clone(), source })?;
    let _lock = Lock::wait(&folder.join("lock"), notify)?;
    if let Ok(path) = cached(cache, pin) {
        return Ok(path);
    }
    let python = Python::first_working(pythons)?;
    let megabytes = (pin.wheel_bytes + 500_000) / 1_000_000;
    notify(&format!(
        "fetching ONNX Runtime {VERSION} with pip, once ({megabytes} MB, into `{}`)",
        folder.display()
    ));
    // A temporary folder in the cache: what is complete moves by renaming, what is not goes with it, and what a killed
    // process left goes now.
    let unwritable = |source| Error::Write { path: folder.clone(), source };
    let _ = fs::remove_dir_all(folder.join(PARTIAL));
    let scratch =
        tempfile::Builder::new().prefix(PARTIAL).rand_bytes(0).tempdir_in(&folder).map_err(unwritable)?;
    let requirement = format!("onnxruntime=={VERSION}");
    let arguments = [
        "--only-binary=:all:",
        "--platform",
        pin.platform,
        "--python-version",
        "3.12",
        "--implementation",
        "cp",
        "--abi",
        "cp312",
    ];
    let wheel = pip::download_with(&python, &requirement, pin.wheel_sha256, &arguments, scratch.path())?;
    let library = scratch.path().join(pin.library);
    unpack(&wheel, pin, &library)?;
    sha256::check(&library, pin.library_sha256)?;
    let target = folder.join(pin.library);
    fs::rename(&library, &target).map_err(|source| Error::Write { path: target.clone(), source })?;
    Ok(target)
}

/// A file lock that this process alone holds.
struct Lock(File);

impl Lock {
    /// Waits until nobody else holds the lock.
    fn wait(path: &Path, notify: &dyn Fn(&str)) -> Result<Lock, Error> {
        let failed = |source| Error::Write { path: path.into(), source };
        let file = File::create(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                notify("waiting for another process that is fetching ONNX Runtime");
                file.lock().map_err(failed)?;
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        Ok(Lock(file))
    }
}

impl Drop for Lock {
    /// Closing the file is not enough: a program that another thread is just starting has it open too, for a moment.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Copies the library out of the wheel.
fn unpack(wheel: &Path, pin: &Pin, library: &Path) -> Result<(), Error> {
    let member = format!("onnxruntime/capi/{}", pin.library);
    let bad = |error: zip::result::ZipError| Error::BadArchive {
        path: wheel.into(),
        reason: format!("{member}: {error}"),
    };
    let file = File::open(wheel).map_err(|source| Error::Read { path: wheel.into(), source })?;
    let mut archive = zip::ZipArchive::new(file).map_err(bad)?;
    // One byte more than there should be is enough for the hash to differ.
    let mut content = archive.by_name(&member).map_err(bad)?.take(pin.library_bytes + 1);
    let unwritable = |source| Error::Write { path: library.into(), source };
    let mut target = File::create_new(library).map_err(unwritable)?;
    io::copy(&mut content, &mut target).map_err(unwritable)?;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use super::*;
    use crate::pip::tests::fake_python;

    const LIBRARY: &[u8] = b"a library, of sorts";

    /// A cache, a pin for a small wheel, and a Python that "downloads" that wheel and keeps a log.
    struct Stage {
        folder: tempfile::TempDir,
        pin: Pin,
        python: Python,
    }

    fn stage(member: &str) -> Stage {
        let folder = tempfile::tempdir().expect("a folder");
        let wheel = folder.path().join("small.whl");
        let mut zip = zip::ZipWriter::new(File::create(&wheel).expect("made"));
        zip.start_file(member, zip::write::SimpleFileOptions::default()).expect("started");
        zip.write_all(LIBRARY).expect("written");
        zip.finish().expect("finished");
        let library = folder.path().join("library");
        fs::write(&library, LIBRARY).expect("written");
        let leak = |path: PathBuf| &*sha256::of_files(&[path]).expect("hashed").leak();
        let pin = Pin {
            platform: "any",
            library: "libonnxruntime.so.1.31.1",
            wheel_bytes: 1,
            wheel_sha256: leak(wheel),
            library_bytes: LIBRARY.len() as u64,
            library_sha256: leak(library),
        };
        let root = folder.path().display();
        let script = format!(r#"echo "$@" >> {root}/log; mkdir "$dest"; cp {root}/small.whl "$dest""#);
        let python = fake_python(folder.path(), &script);
        Stage { folder, pin, python }
    }

    impl Stage {
        fn provision(&self) -> Result<PathBuf, Error> {
            provision(&self.cache(), &self.pin, std::slice::from_ref(&self.python), &|_| {})
        }

        fn cache(&self) -> PathBuf {
            self.folder.path().join("cache")
        }

        fn downloads(&self) -> usize {
            fs::read_to_string(self.folder.path().join("log")).map_or(0, |log| log.lines().count())
        }
    }

    const MEMBER: &str = "onnxruntime/capi/libonnxruntime.so.1.31.1";

    #[test]
    fn the_library_lands_in_the_cache_and_nothing_else_stays() {
        let stage = stage(MEMBER);
        assert!(cached(&stage.cache(), &stage.pin).is_err());
        let left_by_a_killed_process = folder(&stage.cache()).join(PARTIAL).join("half a wheel");
        fs::create_dir_all(left_by_a_killed_process).expect("made");
        let path = stage.provision().expect("fetched");
        assert_eq!(fs::read(&path).expect("readable"), LIBRARY);
        assert_eq!(cached(&stage.cache(), &stage.pin).as_ref(), Ok(&path));
        let mut left: Vec<_> = fs::read_dir(folder(&stage.cache()))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        left.sort();
        assert_eq!(left, [stage.pin.library, "lock"]);
    }

    #[test]
    fn many_at_once_fetch_once() {
        let stage = stage(MEMBER);
        let paths = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| paths.lock().expect("no panic").push(stage.provision().expect("fetched")));
            }
        });
        let mut paths = paths.into_inner().expect("no panic");
        paths.dedup();
        assert_eq!((paths.len(), stage.downloads()), (1, 1));
    }

    #[test]
    fn a_truncated_library_is_fetched_again() {
        let stage = stage(MEMBER);
        let path = stage.provision().expect("fetched");
        fs::write(&path, "a lib").expect("written");
        let reason = cached(&stage.cache(), &stage.pin).expect_err("it is too short");
        assert!(reason.ends_with("has 5 bytes, not 19"), "{reason}");
        stage.provision().expect("fetched again");
        assert_eq!(fs::read(&path).expect("readable"), LIBRARY);
        assert_eq!(stage.downloads(), 2);
    }

    #[test]
    fn what_is_not_pinned_is_not_kept() {
        let mut other = stage(MEMBER);
        other.pin.library_sha256 = other.pin.wheel_sha256;
        let mut altered = stage(MEMBER);
        altered.pin.wheel_sha256 = altered.pin.library_sha256;
        let lacking = stage("onnxruntime/capi/something_else");
        let mut longer = stage(MEMBER);
        longer.pin.library_bytes = 3;
        for (stage, message) in
            [(other, "is pinned"), (altered, "is pinned"), (lacking, "not found"), (longer, "is pinned")]
        {
            let error = stage.provision().expect_err(message).to_string();
            assert!(error.contains(message), "{error}");
            assert!(!folder(&stage.cache()).join(stage.pin.library).exists());
        }
    }

    #[test]
    fn a_download_is_announced_with_its_size() {
        let mut stage = stage(MEMBER);
        stage.pin.wheel_bytes = 23_760_988;
        let lines = std::cell::RefCell::new(Vec::new());
        let notify = |line: &str| lines.borrow_mut().push(line.to_owned());
        for _ in 0..2 {
            provision(&stage.cache(), &stage.pin, std::slice::from_ref(&stage.python), &notify)
                .expect("fetched");
        }
        let lines = lines.into_inner();
        assert!(
            matches!(&lines[..], [line] if line.contains("1.31.1") && line.contains("24 MB")),
            "{lines:?}"
        );
    }
}
