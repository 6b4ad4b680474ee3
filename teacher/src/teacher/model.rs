//! One model, as all its workers share it: asks one batch and reads what comes back.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use ndarray::{Array2, ArrayD, ArrayViewD, Ix2};
use ort::session::Session;
use ort::value::DynValue;

use super::library::{Runtime, open_session};
use super::values::{feed, floats, floats_at, only};
use crate::batching::{self, Batch, Fill};
use crate::taps::{LayerScores, Misfit, Places, Plan};
use crate::{Error, ModelConfig, Signature, TensorInfo, Tokens, signature};

/// What all workers share.
#[derive(Debug)]
pub(super) struct Model {
    pub runtime: Arc<Runtime>,
    /// The graph's file.
    pub path: PathBuf,
    /// What errors call the model.
    pub name: String,
    pub signature: Signature,
    /// What the graph gives out by itself.
    pub outputs: Vec<TensorInfo>,
    /// What it is made to give out besides.
    pub plan: Plan,
    pub config: ModelConfig,
    /// C, known from the first run at the latest.
    pub num_classes: OnceLock<usize>,
    pub intra_threads: usize,
    pub fill: Fill,
    /// Held while a copy of the model is in memory: one at a time is enough.
    pub copying: Mutex<()>,
}

impl Model {
    /// Returns the logits of one batch, [batch, C]; opens the worker's session first, unless it is open.
    pub(super) fn logits(
        &self,
        worker: &mut Option<Session>,
        batch: &Batch,
        sequences: &[Tokens<'_>],
    ) -> Result<Array2<f32>, Error> {
        let Some(logits) = &self.signature.logits else {
            return Err(signature::not_a_classifier(&self.graph(), &self.outputs));
        };
        let name = [logits.name.as_str()];
        self.ask(worker, batch, sequences, &name, |outputs| {
            let logits = floats(outputs[0]).map_err(|error| self.failed(batch, &error))?;
            self.checked(batch, logits.into_owned())
        })
    }

    /// Takes the logits of all words at some places out of what a batch gave, [places, V]; no others are copied.
    fn words_of(
        &self,
        batch: &Batch,
        logits: &DynValue,
        places: &[[usize; 2]],
    ) -> Result<Array2<f32>, Error> {
        let (model, rows) = (self.name.clone(), batch.rows.len());
        let found = floats_at(logits, places, [rows, batch.length]);
        let found = found.map_err(|error| self.failed(batch, &error))?;
        found.map_err(|found| Error::LogitsShape { model, rows, found })
    }

    /// Copies what was asked for of one batch to its places, and returns its logits and scores: logits of classes, or of
    /// words at the places that are `asked` about.
    pub(super) fn signals(
        &self,
        worker: &mut Option<Session>,
        (number, batch): (usize, &Batch),
        sequences: &[Tokens<'_>],
        lengths: &[usize],
        (places, asked): (&Places<'_>, Option<&[[usize; 2]]>),
    ) -> Result<(Array2<f32>, LayerScores), Error> {
        let logits = self.signature.logits.as_ref().map(|logits| logits.name.as_str());
        let inner = self.plan.outputs.iter().map(String::as_str);
        let names: Vec<&str> = inner.chain(logits).collect();
        self.ask(worker, batch, sequences, &names, |outputs| {
            let (inner, logits) = outputs.split_at(self.plan.outputs.len());
            let inner = inner.iter().map(|output| floats(output)).collect::<ort::Result<Vec<_>>>();
            let inner = inner.map_err(|error| self.failed(batch, &error))?;
            let inner: Vec<_> = inner.iter().map(|floats| floats.view()).collect();
            let scores = self.plan.take(&inner, (number, batch), lengths, places);
            let scores =
                scores.map_err(|(output, misfit)| self.misfit(batch, &inner[output], output, misfit))?;
            let logits = match (logits.first(), asked) {
                (None, Some(_)) => return Err(signature::not_a_classifier(&self.graph(), &self.outputs)),
                (None, None) => Array2::default([0, 0]),
                (Some(logits), Some(asked)) => self.words_of(batch, logits, asked)?,
                (Some(logits), None) => {
                    let logits = floats(logits).map_err(|error| self.failed(batch, &error))?;
                    self.checked(batch, logits.into_owned())?
                }
            };
            Ok((logits, scores))
        })
    }

    /// Runs one batch for the outputs named, and those alone: what else the graph may return is not copied out.
    pub(super) fn ask<R>(
        &self,
        worker: &mut Option<Session>,
        batch: &Batch,
        sequences: &[Tokens<'_>],
        names: &[&str],
        read: impl FnOnce(&[&DynValue]) -> Result<R, Error>,
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
        read(&names.iter().map(|name| &outputs[*name]).collect::<Vec<_>>())
    }

    /// Holds the shape of a batch's logits against what is known.
    pub(super) fn checked(&self, batch: &Batch, logits: ArrayD<f32>) -> Result<Array2<f32>, Error> {
        let (rows, shape) = (batch.rows.len(), logits.shape().to_vec());
        let same = |classes| classes > 0 && *self.num_classes.get_or_init(|| classes) == classes;
        match logits.into_dimensionality::<Ix2>() {
            Ok(logits) if logits.nrows() == rows && same(logits.ncols()) => {
                self.check_classes(logits.ncols()).map(|()| logits)
            }
            _ => Err(Error::LogitsShape { model: self.name.clone(), rows, found: shape }),
        }
    }

    pub(super) fn misfit(
        &self,
        batch: &Batch,
        tensor: &ArrayViewD<'_, f32>,
        output: usize,
        misfit: Misfit,
    ) -> Error {
        let (model, found) = (self.name.clone(), tensor.shape().to_vec());
        let tensor = self.plan.outputs[output].clone();
        match misfit {
            Misfit::Shape(expected) => Error::TapShape { model, tensor, found, expected },
            Misfit::NotFinite(row, value) => {
                Error::TapNotFinite { model, tensor, sequence: batch.rows[row], value }
            }
        }
    }

    /// Says that a logit of a sequence is no number.
    pub(super) fn not_finite(&self, sequence: usize, (class, value): (usize, f32)) -> Error {
        Error::NotFinite { model: self.name.clone(), sequence, class, value }
    }

    pub(super) fn open_session(&self, tail: &[u8]) -> Result<Session, Error> {
        let _copying = (!tail.is_empty()).then(|| self.copying.lock());
        open_session(&self.runtime, &self.path, tail, self.intra_threads)
    }

    /// Returns what errors call the graph.
    pub(super) fn graph(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into()
    }

    /// Holds the number of classes against what `config.json` says.
    pub(super) fn check_classes(&self, found: usize) -> Result<(), Error> {
        let config = self.config.num_labels.unwrap_or(found);
        if config == found {
            return Ok(());
        }
        Err(Error::ClassCountMismatch { graph: self.graph(), config, found })
    }

    pub(super) fn failed(&self, batch: &Batch, error: &ort::Error) -> Error {
        let (model, reason) = (self.name.clone(), error.to_string());
        if reason.contains("out of data bounds") {
            return Error::OutsideEmbedding { model, reason };
        }
        Error::Inference { model, rows: batch.rows.len(), tokens: batch.length, reason }
    }
}
