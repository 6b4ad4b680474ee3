//! What a model says inside, packed.

use std::sync::{Mutex, PoisonError};

use ndarray::{Array2, Array3, ArrayViewD};

use super::pack::{self, Misfit, Sink, Sizes};
use super::plan::{Plan, RowsPlan, ScoresPlan};
use crate::batching::Batch;

/// What a model says, and what it says inside: packed, in the order of the sequences as given.
///
/// N is the number of tokens of all sequences together; there is no padding.
#[derive(Debug, Clone, PartialEq)]
pub struct Signals {
    /// The logits, [B, C]; C is 0 for a body without a classifier.
    pub logits: Array2<f32>,
    /// For each hidden state asked for, [N, H].
    pub hidden: Vec<Array2<f32>>,
    /// For each layer asked for, for each sequence, what its softmax reads: [A, T, T].
    ///
    /// Scaled as the model scales (by `1 / sqrt(D)`), with its relative position bias if it has one, and without the
    /// padding mask.
    pub scores: Vec<Vec<Array3<f32>>>,
    /// For each layer asked for, its queries, keys and values, [N, H] each, heads side by side, not scaled.
    pub qkv: Vec<[Array2<f32>; 3]>,
}

/// For each layer asked for, the scores of each sequence of a batch.
pub(crate) type LayerScores = Vec<Vec<Array3<f32>>>;

/// The places that wait for what the batches give.
pub(crate) struct Places<'a> {
    sinks: Vec<Mutex<Sink<'a>>>,
}

impl Plan {
    /// Returns the packed arrays, still empty; `lengths` are the tokens of each sequence.
    pub fn arrays(&self, lengths: &[usize]) -> Vec<Array2<f32>> {
        let shape = [lengths.iter().sum(), self.hidden_size];
        self.rows.iter().map(|_| Array2::zeros(shape)).collect()
    }

    /// Copies what a batch gave to its places, and returns its scores.
    ///
    /// # Errors
    /// Which output does not fit, and why.
    pub fn take(
        &self,
        outputs: &[ArrayViewD<'_, f32>],
        (number, batch): (usize, &Batch),
        lengths: &[usize],
        places: &Places<'_>,
    ) -> Result<LayerScores, (usize, Misfit)> {
        let lengths: Vec<usize> = batch.rows.iter().map(|&sequence| lengths[sequence]).collect();
        let sizes = Sizes { lengths: &lengths, padded: batch.length, hidden: self.hidden_size };
        let mut sink = places.sinks[number].lock().unwrap_or_else(PoisonError::into_inner);
        for (&RowsPlan { output, layout }, rows) in self.rows.iter().zip(&mut sink.rows) {
            pack::rows(&outputs[output], layout, sizes, rows).map_err(|misfit| (output, misfit))?;
        }
        let scores = |plan: &ScoresPlan| match *plan {
            ScoresPlan::Tensor { output } => {
                pack::scores(&outputs[output], sizes).map_err(|misfit| (output, misfit))
            }
            ScoresPlan::Product { query, key, heads, scale, bias } => {
                let sides = [query, key].map(|side| (&outputs[side.output], side.layout));
                let bias = bias.map(|bias| &outputs[bias]);
                pack::products(sides, bias, (heads, scale), sizes).map_err(|misfit| (key.output, misfit))
            }
        };
        self.scores.iter().map(scores).collect()
    }

    /// Puts together what was asked for.
    pub fn finish(
        &self,
        logits: Array2<f32>,
        mut arrays: Vec<Array2<f32>>,
        batches: &[Batch],
        answers: Vec<LayerScores>,
    ) -> Signals {
        let sequences = logits.nrows();
        let mut scores: Vec<Vec<_>> =
            self.scores.iter().map(|_| vec![Array3::zeros([0, 0, 0]); sequences]).collect();
        for (batch, answer) in batches.iter().zip(answers) {
            for (layer, of_batch) in scores.iter_mut().zip(answer) {
                batch.rows.iter().zip(of_batch).for_each(|(&sequence, scores)| layer[sequence] = scores);
            }
        }
        let mut projections = arrays.split_off(self.num_hidden).into_iter();
        let mut qkv = Vec::new();
        while let (Some(q), Some(k), Some(v)) = (projections.next(), projections.next(), projections.next()) {
            qkv.push([q, k, v]);
        }
        Signals { logits, hidden: arrays, scores, qkv }
    }
}

impl<'a> Places<'a> {
    /// Shares the packed arrays out among the batches.
    pub fn new(arrays: &'a mut [Array2<f32>], lengths: &[usize], batches: &[Batch]) -> Places<'a> {
        Places { sinks: pack::sinks(arrays, lengths, batches) }
    }
}
