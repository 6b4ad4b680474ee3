//! ONNX Runtime in this process, and the sessions that it opens.

use std::collections::BTreeMap;
use std::env;
use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::session::Session;

use crate::runtime::{self, Found};
use crate::{Error, Options};

/// ONNX Runtime in this process, of which there can be only one.
#[derive(Debug)]
pub(super) struct Runtime {
    pub environment: Environment,
    pub found: Found,
}

impl Runtime {
    /// Returns the runtime of this process, found and loaded at the first call.
    ///
    /// It is kept for ever: unloading and loading again is not possible.
    pub(super) fn get(options: &Options) -> Result<Arc<Runtime>, Error> {
        static LOADED: Mutex<Option<Arc<Runtime>>> = Mutex::new(None);
        let explicit = options.onnx_runtime.as_deref();
        let mut slot = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(loaded) = slot.as_ref() else {
            let runtime = Arc::new(Runtime::load(runtime::locate(explicit, options.notify)?)?);
            return Ok(slot.insert(runtime).clone());
        };
        match explicit {
            Some(wanted) if wanted.canonicalize().ok() != loaded.found.path.canonicalize().ok() => {
                Err(Error::RuntimeAlreadyLoaded { loaded: loaded.found.path.clone(), wanted: wanted.into() })
            }
            _ => Ok(loaded.clone()),
        }
    }

    pub(super) fn load(found: Found) -> Result<Runtime, Error> {
        let (path, origin) = (&found.path, found.origin.to_string());
        let unusable = |reason| Error::RuntimeUnusable { path: path.clone(), origin: origin.clone(), reason };
        let builder = ort::init_from(path).map_err(|error| unusable(cause(&error)))?;
        let environment =
            builder.with_telemetry(false).build().map_err(|error| unusable(error.to_string()))?;
        // What it would print comes back as an error as well; who sets its variable wants to see it all.
        if env::var_os("ORT_LOG").is_none() {
            environment.set_log_level(ort::logging::LogLevel::Fatal);
        }
        Ok(Runtime { environment, found })
    }
}

/// Returns what is wrong with a library; the loader's own words hide beneath a plain "dlopen failed".
fn cause(error: &LoadDynamicError) -> String {
    match error {
        LoadDynamicError::Dlopen { error, .. } => error.source().unwrap_or(error).to_string(),
        LoadDynamicError::MissingApi { .. } => "it is a library, but not ONNX Runtime".into(),
        LoadDynamicError::BadVersion { version_str, .. } => {
            format!("it is version {version_str}, older than 1.{}", ort::MINOR_VERSION)
        }
        LoadDynamicError::InvalidVersionString => error.to_string(),
    }
}

/// Opens a model, with what is laid behind it.
pub(super) fn open_session(
    runtime: &Runtime,
    path: &Path,
    tail: &[u8],
    intra_threads: usize,
) -> Result<Session, Error> {
    let builder = Session::builder(&runtime.environment)
        .map_err(bad_model(path))?
        .with_intra_threads(intra_threads)
        .map_err(bad_model(path))?
        .with_intra_op_spinning(false)
        .map_err(bad_model(path));
    if tail.is_empty() {
        return builder?.commit_from_file(path).map_err(bad_model(path));
    }
    let mut model = fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
    model.extend_from_slice(tail);
    // Large tensors may lie in files beside the model, which a model in memory does not know of.
    let folder = std::path::absolute(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let folder = folder.parent().unwrap_or(Path::new("")).to_string_lossy();
    builder?
        .with_config_entry("session.model_external_initializers_file_folder_path", folder)
        .map_err(bad_model(path))?
        .commit_from_memory(&model)
        .map_err(bad_model(path))
}

/// Tells what ONNX Runtime says of a model, less the file's name, which our own message begins with.
fn bad_model<R>(path: &Path) -> impl Fn(ort::Error<R>) -> Error {
    move |error| {
        let message = error.message();
        let reason = message.split_once(" failed:").filter(|(head, _)| head.starts_with("Load model from"));
        Error::BadModel {
            path: path.into(),
            reason: reason.map_or(message, |(_, reason)| reason).trim().into(),
        }
    }
}

pub(super) fn metadata(session: &Session) -> BTreeMap<String, String> {
    let Ok(metadata) = session.metadata() else { return BTreeMap::new() };
    let keys = metadata.custom_keys().unwrap_or_default();
    keys.into_iter().filter_map(|key| metadata.custom(&key).map(|value| (key, value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Origin;

    #[test]
    fn a_file_that_is_no_library_is_an_error_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = folder.path().join("libonnxruntime.so");
        fs::write(&text, "not a library").expect("written");
        for path in [text, folder.path().join("missing.so"), folder.path().to_owned()] {
            let found = Found { path: path.clone(), origin: Origin::Given, version: None };
            let Err(Error::RuntimeUnusable { path: named, .. }) = Runtime::load(found) else {
                panic!("{path:?}")
            };
            assert_eq!(named, path);
        }
    }

    #[test]
    fn the_oldest_release_that_is_accepted_is_the_one_that_the_bindings_ask_for() {
        assert_eq!((1, ort::MINOR_VERSION), runtime::FLOOR);
    }
}
