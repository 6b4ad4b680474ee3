//! A model that answers. The only folder that knows ONNX Runtime: nothing outside names `ort`.
//!
//! A session is one copy of the model and serves one thread; `logits` gives each worker its own and lets them take
//! batches, longest first, from a common counter. One thread for each session, and no spinning: at these batch sizes
//! that is faster than sessions with several threads, and it keeps the arithmetic of a batch the same everywhere.

mod library;
mod model;
mod values;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Instant;

use library::{Runtime, metadata, open_session};
use model::Model;
use ndarray::Array2;
use ort::session::Session;
use values::describe;

use crate::batching::{self, Batch, Fill};
use crate::model_files::ModelFiles;
use crate::runtime::Found;
use crate::signature::Head;
use crate::taps::{Places, Plan};
use crate::words::{LikelyWords, Spots, WordsAsked};
use crate::{
    Anatomy, Error, ModelConfig, Options, Signals, Signature, Taps, Tokens, fingerprint, tokens, workers,
};

/// An ONNX classifier that is ready to answer.
#[derive(Debug)]
pub struct Teacher {
    model: Model,
    /// As many as have had work so far, at least one.
    workers: Vec<Option<Session>>,
    max_workers: usize,
    batch_tokens: usize,
    run_tokens: usize,
    metadata: BTreeMap<String, String>,
    load_seconds: f64,
    fingerprint: OnceLock<String>,
    anatomy: OnceLock<Anatomy>,
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
        Teacher::open_as(Head::Classes, path, options)
    }

    /// Opens the body of a model, with or without a classifier, to be asked for its [signals](Teacher::signals).
    ///
    /// # Errors
    /// As [`Teacher::open`], but for outputs that are not a classifier's.
    pub fn open_body(path: &Path, options: &Options) -> Result<Teacher, Error> {
        Teacher::open_as(Head::ClassesOrNone, path, options)
    }

    /// Opens a masked language model, to be asked for its [signals and words](Teacher::signals_and_words).
    ///
    /// # Errors
    /// As [`MaskedLm::open`](crate::MaskedLm::open).
    pub fn open_masked_lm(path: &Path, options: &Options) -> Result<Teacher, Error> {
        Teacher::open_as(Head::Words, path, options)
    }

    /// Opens a model of another kind in the same way.
    pub(crate) fn open_as(head: Head, path: &Path, options: &Options) -> Result<Teacher, Error> {
        let files = ModelFiles::find(path)?;
        let config = files.config.as_deref().map(ModelConfig::read).transpose()?.unwrap_or_default();
        let runtime = Runtime::get(options)?;

        let start = Instant::now();
        let session = open_session(&runtime, &files.onnx, &[], options.intra_threads)?;
        let load_seconds = start.elapsed().as_secs_f64();

        let graph = files.onnx.file_name().unwrap_or_default().to_string_lossy();
        let [inputs, outputs] = [session.inputs(), session.outputs()].map(describe);
        let signature = Signature::of(&graph, &inputs, &outputs, &options.names, head)?;
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
            run_tokens: options.run_tokens,
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
        let (batches, logits, signals) = self.look(sequences, None, |_, _, logits| Ok(logits), progress)?;
        let logits = match self.model.signature.logits {
            Some(_) => self.restored(&batches, &logits, sequences.len())?,
            None => signals.logits,
        };
        Ok(Signals { logits, ..signals })
    }

    /// Returns what a masked language model says inside of each sequence, as [`Teacher::signals`] does, and which words it
    /// thinks likely at some of their tokens.
    ///
    /// # Errors
    /// As [`Teacher::signals`].
    ///
    /// # Panics
    /// When a position lies outside the sequences, or positions do not rise.
    pub fn signals_and_words(
        &mut self,
        sequences: &[Tokens<'_>],
        asked: &WordsAsked<'_>,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<(Signals, LikelyWords), Error> {
        let spots = asked.spots(&lengths(sequences));
        let read = |model: &Model, batch: &Batch, logits: Array2<f32>| {
            asked.likeliest(logits.view()).map_err(|(number, found)| {
                let [row, _] = spots.of(batch).places[number];
                model.not_finite(batch.rows[row], found)
            })
        };
        let (batches, words, signals) = self.look(sequences, Some(&spots), read, progress)?;
        let numbers = batches.iter().map(|batch| spots.of(batch).numbers);
        Ok((signals, LikelyWords::gathered(asked.positions.len(), numbers.zip(words).collect())))
    }

    /// Asks every batch for what is tapped and for its logits: those of its sequences, or those of all words at some tokens.
    /// `read` makes of the logits of a batch what is wanted of them. Returns the batches, what was made of each, and the
    /// signals with no logits, [B, 0].
    fn look<L: Send>(
        &mut self,
        sequences: &[Tokens<'_>],
        words: Option<&Spots>,
        read: impl Fn(&Model, &Batch, Array2<f32>) -> Result<L, Error> + Sync,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<(Vec<Batch>, Vec<L>, Signals), Error> {
        let batches = self.batches(sequences)?;
        let (model, lengths) = (&self.model, lengths(sequences));
        let mut arrays = model.plan.arrays(&lengths);
        let places = Places::new(&mut arrays, &lengths, &batches);
        let run = |worker: &mut _, number, batch: &Batch| {
            let words = words.map(|spots| spots.of(batch).places);
            let wanted = (&places, words.as_deref());
            let (logits, scores) = model.signals(worker, (number, batch), sequences, &lengths, wanted)?;
            Ok((read(model, batch, logits)?, scores))
        };
        let results = workers::share(&mut self.workers, &batches, run, progress)?;
        drop(places);
        let (made, scores): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        let signals = model.plan.finish(Array2::zeros([sequences.len(), 0]), arrays, &batches, scores);
        Ok((batches, made, signals))
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
        let batches = batching::plan(&lengths(sequences), self.batch_tokens, self.run_tokens);
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
            Some(((sequence, class), &value)) => Err(self.model.not_finite(sequence, (class, value))),
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

fn lengths(sequences: &[Tokens<'_>]) -> Vec<usize> {
    sequences.iter().map(|tokens| tokens.ids.len()).collect()
}
