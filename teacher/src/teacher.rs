//! A model that answers. The only file that knows ONNX Runtime: nothing outside names `ort`.
//!
//! A session is one copy of the model and serves one thread; `logits` gives each worker its own and lets them take
//! batches, longest first, from a common counter. One thread for each session, and no spinning: at these batch sizes
//! that is faster than sessions with several threads, and it keeps the arithmetic of a batch the same everywhere.

use std::collections::BTreeMap;
use std::env;
use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use half::f16;
use ndarray::{Array2, ArrayD, ArrayViewD, CowArray, Ix2, IxDyn};
use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session};
use ort::value::{DynValue, Outlet, Tensor, TensorElementType, ValueType};

use crate::batching::{self, Batch, Fill};
use crate::model_files::ModelFiles;
use crate::runtime::{self, Found};
use crate::taps::{LayerScores, Misfit, Places, Plan};
use crate::{
    Anatomy, Dimension, Element, Error, ModelConfig, Names, Options, Signals, Signature, Taps, TensorInfo,
    Tokens, fingerprint, signature, tokens, workers,
};

/// An ONNX classifier that is ready to answer.
#[derive(Debug)]
pub struct Teacher {
    model: Model,
    /// As many as have had work so far, at least one.
    workers: Vec<Option<Session>>,
    max_workers: usize,
    batch_tokens: usize,
    metadata: BTreeMap<String, String>,
    load_seconds: f64,
    fingerprint: OnceLock<String>,
    anatomy: OnceLock<Anatomy>,
}

/// Assigns roles to the inputs and outputs of a graph.
type Assign = fn(&str, &[TensorInfo], &[TensorInfo], &Names) -> Result<Signature, Error>;

/// What all workers share.
#[derive(Debug)]
struct Model {
    runtime: Arc<Runtime>,
    /// The graph's file.
    path: PathBuf,
    /// What errors call the model.
    name: String,
    signature: Signature,
    /// What the graph gives out by itself.
    outputs: Vec<TensorInfo>,
    /// What it is made to give out besides.
    plan: Plan,
    config: ModelConfig,
    /// C, known from the first run at the latest.
    num_classes: OnceLock<usize>,
    intra_threads: usize,
    fill: Fill,
    /// Held while a copy of the model is in memory: one at a time is enough.
    copying: Mutex<()>,
}

/// ONNX Runtime in this process, of which there can be only one.
#[derive(Debug)]
struct Runtime {
    environment: Environment,
    found: Found,
}

impl Teacher {
    /// Opens a folder (`model.onnx` or `onnx/model.onnx` in it) or a bare ONNX file.
    ///
    /// A `config.json` beside the graph, or above its folder `onnx/`, is read and believed.
    ///
    /// # Errors
    /// Where there is no such model; where ONNX Runtime cannot be found, fetched or loaded, or cannot load the graph;
    /// where the graph is not a classifier of token sequences, or not the one that `config.json` describes.
    pub fn open(path: &Path, options: &Options) -> Result<Teacher, Error> {
        Teacher::open_as(path, options, Signature::of)
    }

    /// Opens the body of a model, with or without a classifier, to be asked for its [signals](Teacher::signals).
    ///
    /// # Errors
    /// As [`Teacher::open`], but for outputs that are not a classifier's.
    pub fn open_body(path: &Path, options: &Options) -> Result<Teacher, Error> {
        Teacher::open_as(path, options, Signature::of_body)
    }

    fn open_as(path: &Path, options: &Options, signature: Assign) -> Result<Teacher, Error> {
        let files = ModelFiles::find(path)?;
        let config = files.config.as_deref().map(ModelConfig::read).transpose()?.unwrap_or_default();
        let runtime = Runtime::get(options)?;

        let start = Instant::now();
        let session = open_session(&runtime, &files.onnx, &[], options.intra_threads)?;
        let load_seconds = start.elapsed().as_secs_f64();

        let graph = files.onnx.file_name().unwrap_or_default().to_string_lossy();
        let [inputs, outputs] = [session.inputs(), session.outputs()].map(describe);
        let signature = signature(&graph, &inputs, &outputs, &options.names)?;
        let model = Model {
            runtime,
            name: path.display().to_string(),
            path: files.onnx,
            fill: Fill {
                pad_id: options.pad_id.or(config.pad_token_id).unwrap_or(0),
                first_position: config.first_position(),
            },
            intra_threads: options.intra_threads,
            copying: Mutex::new(()),
            num_classes: OnceLock::new(),
            signature,
            outputs,
            plan: Plan::default(),
            config,
        };
        model.signature.num_classes().map(|classes| model.check_classes(classes)).transpose()?;
        let metadata = metadata(&session);
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        Ok(Teacher {
            workers: vec![Some(session)],
            model,
            max_workers: if options.workers == 0 { cores() } else { options.workers },
            batch_tokens: options.batch_tokens,
            metadata,
            load_seconds,
            fingerprint: OnceLock::new(),
            anatomy: OnceLock::new(),
        })
    }

    /// Returns the raw logits, [B, C]: row `b` is what the model says about sequence `b`.
    ///
    /// `progress` is told, from any worker, how many more sequences are done. The result does not depend on the number
    /// of workers. Sessions beyond the first are opened when there is work for them.
    ///
    /// # Errors
    /// Where a sequence is empty, too long or has ids outside the vocabulary; where ONNX Runtime fails; where the
    /// logits have another shape than [B, C] or are not finite.
    pub fn logits(
        &mut self,
        sequences: &[Tokens<'_>],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Array2<f32>, Error> {
        let batches = self.batches(sequences)?;
        let run = |worker: &mut _, _, batch: &_| self.model.logits(worker, batch, sequences);
        let results = workers::share(&mut self.workers, &batches, run, progress)?;
        self.restored(&batches, &results, sequences.len())
    }

    /// Returns what the model says inside of each sequence, beside its logits: what was asked for with
    /// [`Teacher::tap`], packed.
    ///
    /// Batches, workers and `progress` are as in [`Teacher::logits`]. Each number is copied once.
    ///
    /// # Errors
    /// As [`Teacher::logits`], but a body need not have logits; where an inner tensor has not the shape of what it was
    /// taken for, or holds something that is no number for a real token.
    pub fn signals(
        &mut self,
        sequences: &[Tokens<'_>],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Signals, Error> {
        let batches = self.batches(sequences)?;
        let lengths = lengths(sequences);
        let mut arrays = self.model.plan.arrays(&lengths);
        let places = Places::new(&mut arrays, &lengths, &batches);
        let run = |worker: &mut _, number, batch: &_| {
            self.model.signals(worker, (number, batch), sequences, &lengths, &places)
        };
        let results = workers::share(&mut self.workers, &batches, run, progress)?;
        drop(places);
        let (logits, scores): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        let logits = match self.model.signature.logits {
            Some(_) => self.restored(&batches, &logits, sequences.len())?,
            None => Array2::zeros([sequences.len(), 0]),
        };
        Ok(self.model.plan.finish(logits, arrays, &batches, scores))
    }

    /// Asks for inner tensors: [`Teacher::signals`] returns them from now on.
    ///
    /// Sessions are opened anew on a copy of the graph in memory with these tensors as outputs; the file is left alone.
    /// ONNX Runtime fuses fewer nodes of such a graph, so logits may differ in the last digits.
    ///
    /// # Errors
    /// Where a layer does not exist, or its tensor is hidden inside a node; where the graph cannot be read again.
    pub fn tap(&mut self, taps: &Taps) -> Result<(), Error> {
        let given = self.model.outputs.iter().map(|output| output.name.clone());
        let plan = Plan::new(&self.model.graph(), self.anatomy()?, taps, given)?;
        if plan.tail != self.model.plan.tail {
            // The old ones go first: two sets of weights need twice the room.
            self.workers.clear();
            self.workers.push(Some(self.model.open_session(&plan.tail)?));
        }
        self.model.plan = plan;
        Ok(())
    }

    /// Returns what the graph's layers are and what each can be asked for.
    ///
    /// It is read at the first call and kept.
    ///
    /// # Errors
    /// Where the graph cannot be read or does not hang together.
    pub fn anatomy(&self) -> Result<&Anatomy, Error> {
        if let Some(known) = self.anatomy.get() {
            return Ok(known);
        }
        let found = Anatomy::read(&self.model.path, &self.model.signature.attention_mask.name)?;
        Ok(self.anatomy.get_or_init(|| found))
    }

    /// Checks the sequences, cuts them into batches, and makes room for the workers.
    fn batches(&mut self, sequences: &[Tokens<'_>]) -> Result<Vec<Batch>, Error> {
        tokens::check(sequences, &self.model.signature, &self.model.config, &self.model.name)?;
        let batches = batching::plan(&lengths(sequences), self.batch_tokens);
        let num_workers = self.max_workers.min(batches.len()).max(self.workers.len());
        self.workers.resize_with(num_workers, || None);
        Ok(batches)
    }

    /// Puts the logits of all batches in the order of the sequences.
    fn restored(
        &self,
        batches: &[Batch],
        results: &[Array2<f32>],
        num_sequences: usize,
    ) -> Result<Array2<f32>, Error> {
        let num_classes = self.num_classes().unwrap_or(0);
        let logits = batching::restore(batches, results, [num_sequences, num_classes]);
        match logits.indexed_iter().find(|(_, logit)| !logit.is_finite()) {
            Some(((sequence, class), &value)) => {
                Err(Error::NotFinite { model: self.model.name.clone(), sequence, class, value })
            }
            None => Ok(logits),
        }
    }

    /// Returns the number of logits for each sequence, C, where the graph, `config.json` or an earlier run tells.
    pub fn num_classes(&self) -> Option<usize> {
        let known = self.model.num_classes.get().copied();
        known.or(self.model.signature.num_classes()).or(self.model.config.num_labels)
    }

    /// Returns which tensors of the graph play which role.
    pub fn signature(&self) -> &Signature {
        &self.model.signature
    }

    /// Returns what `config.json` says; all fields are empty where there is none.
    pub fn config(&self) -> &ModelConfig {
        &self.model.config
    }

    /// Returns the path of the ONNX file.
    pub fn path(&self) -> &Path {
        &self.model.path
    }

    /// Returns the graph's `metadata_props`.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Returns the ONNX Runtime library in use.
    pub fn runtime(&self) -> &Found {
        &self.model.runtime.found
    }

    /// Returns how long ONNX Runtime took to read and optimise the graph, in seconds.
    pub fn load_seconds(&self) -> f64 {
        self.load_seconds
    }

    /// Returns the SHA-256 of the model in hex: of the ONNX file, followed by its external data sorted by name.
    ///
    /// For a model in one file that is what `sha256sum` prints. It is computed at the first call and kept.
    ///
    /// # Errors
    /// Where a file cannot be read, or the graph names external data outside its folder.
    pub fn fingerprint(&self) -> Result<&str, Error> {
        if let Some(known) = self.fingerprint.get() {
            return Ok(known);
        }
        let computed = fingerprint::of_model(&self.model.path)?;
        Ok(self.fingerprint.get_or_init(|| computed))
    }
}

impl Model {
    /// Returns the logits of one batch, [batch, C]; opens the worker's session first, unless it is open.
    fn logits(
        &self,
        worker: &mut Option<Session>,
        batch: &Batch,
        sequences: &[Tokens<'_>],
    ) -> Result<Array2<f32>, Error> {
        let Some(logits) = &self.signature.logits else {
            return Err(signature::not_a_classifier(&self.graph(), &self.outputs));
        };
        let name = [logits.name.as_str()];
        self.ask(worker, batch, sequences, &name, |outputs| self.checked(batch, outputs[0].to_owned()))
    }

    /// Copies what was asked for of one batch to its places, and returns its logits and scores.
    fn signals(
        &self,
        worker: &mut Option<Session>,
        (number, batch): (usize, &Batch),
        sequences: &[Tokens<'_>],
        lengths: &[usize],
        places: &Places<'_>,
    ) -> Result<(Array2<f32>, LayerScores), Error> {
        let logits = self.signature.logits.as_ref().map(|logits| logits.name.as_str());
        let inner = self.plan.outputs.iter().map(String::as_str);
        let names: Vec<&str> = inner.chain(logits).collect();
        self.ask(worker, batch, sequences, &names, |outputs| {
            let (inner, logits) = outputs.split_at(self.plan.outputs.len());
            let scores = self.plan.take(inner, (number, batch), lengths, places);
            let scores =
                scores.map_err(|(output, misfit)| self.misfit(batch, &inner[output], output, misfit))?;
            let logits = logits.first().map(|logits| self.checked(batch, logits.to_owned()));
            Ok((logits.transpose()?.unwrap_or_default(), scores))
        })
    }

    /// Runs one batch for the outputs named, and those alone: what else the graph may return is not copied out.
    fn ask<R>(
        &self,
        worker: &mut Option<Session>,
        batch: &Batch,
        sequences: &[Tokens<'_>],
        names: &[&str],
        read: impl FnOnce(&[ArrayViewD<'_, f32>]) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let session = match worker {
            Some(session) => session,
            None => worker.insert(self.open_session(&self.plan.tail)?),
        };
        let inputs = batching::inputs(batch, sequences, &self.signature, self.fill);
        let failed = |error: ort::Error| self.failed(batch, &error);
        let options = only(names).map_err(failed)?;
        let inputs = inputs.into_iter().map(feed).collect::<ort::Result<Vec<_>>>().map_err(failed)?;
        let outputs = session.run_with_options(inputs, &options).map_err(failed)?;
        let floats = names.iter().map(|name| floats(&outputs[*name])).collect::<ort::Result<Vec<_>>>();
        let floats = floats.map_err(failed)?;
        read(&floats.iter().map(|floats| floats.view()).collect::<Vec<_>>())
    }

    /// Holds the shape of a batch's logits against what is known.
    fn checked(&self, batch: &Batch, logits: ArrayD<f32>) -> Result<Array2<f32>, Error> {
        let (rows, shape) = (batch.rows.len(), logits.shape().to_vec());
        let same = |classes| classes > 0 && *self.num_classes.get_or_init(|| classes) == classes;
        match logits.into_dimensionality::<Ix2>() {
            Ok(logits) if logits.nrows() == rows && same(logits.ncols()) => {
                self.check_classes(logits.ncols()).map(|()| logits)
            }
            _ => Err(Error::LogitsShape { model: self.name.clone(), rows, found: shape }),
        }
    }

    fn misfit(&self, batch: &Batch, tensor: &ArrayViewD<'_, f32>, output: usize, misfit: Misfit) -> Error {
        let (model, found) = (self.name.clone(), tensor.shape().to_vec());
        let tensor = self.plan.outputs[output].clone();
        match misfit {
            Misfit::Shape(expected) => Error::TapShape { model, tensor, found, expected },
            Misfit::NotFinite(row, value) => {
                Error::TapNotFinite { model, tensor, sequence: batch.rows[row], value }
            }
        }
    }

    fn open_session(&self, tail: &[u8]) -> Result<Session, Error> {
        let _copying = (!tail.is_empty()).then(|| self.copying.lock());
        open_session(&self.runtime, &self.path, tail, self.intra_threads)
    }

    /// Returns what errors call the graph.
    fn graph(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into()
    }

    /// Holds the number of classes against what `config.json` says.
    fn check_classes(&self, found: usize) -> Result<(), Error> {
        let config = self.config.num_labels.unwrap_or(found);
        if config == found {
            return Ok(());
        }
        Err(Error::ClassCountMismatch { graph: self.graph(), config, found })
    }

    fn failed(&self, batch: &Batch, error: &ort::Error) -> Error {
        let (model, reason) = (self.name.clone(), error.to_string());
        if reason.contains("out of data bounds") {
            return Error::OutsideEmbedding { model, reason };
        }
        Error::Inference { model, rows: batch.rows.len(), tokens: batch.length, reason }
    }
}

impl Runtime {
    /// Returns the runtime of this process, found and loaded at the first call.
    ///
    /// It is kept for ever: unloading and loading again is not possible.
    fn get(options: &Options) -> Result<Arc<Runtime>, Error> {
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

    fn load(found: Found) -> Result<Runtime, Error> {
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
fn open_session(runtime: &Runtime, path: &Path, tail: &[u8], intra_threads: usize) -> Result<Session, Error> {
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

/// Asks for the outputs named and no other.
fn only(names: &[&str]) -> ort::Result<RunOptions<HasSelectedOutputs>> {
    let selected = names.iter().fold(OutputSelector::no_default(), |all, name| all.with(*name));
    Ok(RunOptions::new()?.with_outputs(selected))
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

fn metadata(session: &Session) -> BTreeMap<String, String> {
    let Ok(metadata) = session.metadata() else { return BTreeMap::new() };
    let keys = metadata.custom_keys().unwrap_or_default();
    keys.into_iter().filter_map(|key| metadata.custom(&key).map(|value| (key, value))).collect()
}

fn describe(outlets: &[Outlet]) -> Vec<TensorInfo> {
    let describe = |outlet: &Outlet| {
        let (element, shape) = describe_type(outlet.dtype());
        TensorInfo { name: outlet.name().into(), element, shape }
    };
    outlets.iter().map(describe).collect()
}

fn describe_type(dtype: &ValueType) -> (Element, Vec<Dimension>) {
    let ValueType::Tensor { ty, shape, dimension_symbols } = dtype else {
        return (Element::Other(dtype.to_string()), Vec::new());
    };
    let element = match ty {
        TensorElementType::Int32 => Element::Int32,
        TensorElementType::Int64 => Element::Int64,
        TensorElementType::Float16 => Element::Float16,
        TensorElementType::Float32 => Element::Float32,
        TensorElementType::Float64 => Element::Float64,
        other => Element::Other(other.to_string()),
    };
    let axes = shape.iter().zip(dimension_symbols.iter());
    let axis = |(&size, symbol): (&i64, &String)| {
        usize::try_from(size).map_or_else(|_| Dimension::Symbolic(symbol.clone()), Dimension::Fixed)
    };
    (element, axes.map(axis).collect())
}

/// Makes a tensor of the type that the input wants; what does not fit 32 bits saturates, and no table is that large.
fn feed((input, values): (&TensorInfo, Array2<i64>)) -> ort::Result<(String, DynValue)> {
    let narrow = |value| i32::try_from(value).unwrap_or(i32::MAX);
    let value = match input.element {
        Element::Int32 => Tensor::from_array(values.mapv(narrow))?.into_dyn(),
        _ => Tensor::from_array(values)?.into_dyn(),
    };
    Ok((input.name.clone(), value))
}

/// Returns a tensor as single-precision floats: as it lies there, where it holds such.
fn floats(value: &DynValue) -> ort::Result<CowArray<'_, f32, IxDyn>> {
    Ok(match value.dtype().tensor_type() {
        Some(TensorElementType::Float16) => value.try_extract_array::<f16>()?.mapv(f16::to_f32).into(),
        Some(TensorElementType::Float64) => {
            value.try_extract_array::<f64>()?.mapv(|value| value as f32).into()
        }
        _ => value.try_extract_array::<f32>()?.into(),
    })
}

fn lengths(sequences: &[Tokens<'_>]) -> Vec<usize> {
    sequences.iter().map(|tokens| tokens.ids.len()).collect()
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
