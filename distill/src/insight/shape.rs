//! What of a teacher's inside is kept of a text, and in which order: numbers of half precision, one text after the other.

use half::f16;
use half::slice::HalfFloatSliceExt;
use ndarray::{Array2, Array3, ArrayView, Dimension, s};
use std::ops::Range;
use student::{Asked, Outputs, PackedBatch};

/// What is kept of each text, and how wide it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The layers asked, as in [`Outputs`]; logits and words are not kept.
    pub asked: Asked,
    /// The width of hidden states, H.
    pub hidden: usize,
    /// The heads, A.
    pub heads: usize,
}

impl Shape {
    /// Returns how many numbers are kept of a text of so many tokens, T: for each hidden state [T, H], for each layer's
    /// scores [A, T, T], for each layer's queries, keys and values [T, H].
    pub fn numbers(&self, tokens: usize) -> usize {
        let rows = self.asked.hidden.len() + 3 * self.asked.qkv.len();
        rows * tokens * self.hidden + self.asked.scores.len() * self.heads * tokens * tokens
    }

    /// Appends what a model said inside of one sequence of a batch, whose tokens are at `tokens`.
    pub fn put(&self, outputs: &Outputs, sequence: usize, tokens: Range<usize>, into: &mut Vec<f16>) {
        let rows =
            |layer: &Array2<f32>, into: &mut Vec<f16>| append(layer.slice(s![tokens.clone(), ..]), into);
        outputs.hidden.iter().for_each(|layer| rows(layer, into));
        outputs.scores.iter().for_each(|layer| append(layer[sequence].view(), into));
        outputs.qkv.iter().flatten().for_each(|layer| rows(layer, into));
    }

    /// Returns what was kept of the sequences of a batch; `kept`: of each, the numbers as they were put.
    pub fn take<'a>(&self, batch: &PackedBatch, kept: impl Iterator<Item = &'a [f16]>) -> Outputs {
        let zeros = || Array2::<f32>::zeros([batch.num_tokens(), self.hidden]);
        let mut outputs = Outputs {
            hidden: self.asked.hidden.iter().map(|_| zeros()).collect(),
            scores: self.asked.scores.iter().map(|_| Vec::with_capacity(batch.num_sequences())).collect(),
            qkv: self.asked.qkv.iter().map(|_| [zeros(), zeros(), zeros()]).collect(),
            ..Outputs::default()
        };
        for (tokens, mut numbers) in batch.sequences().zip(kept) {
            let length = tokens.len();
            let fill = |numbers: &mut &[f16], layer: &mut Array2<f32>| {
                let mut rows = layer.slice_mut(s![tokens.clone(), ..]);
                let rows = rows.as_slice_mut().expect("whole rows lie one after the other");
                next(numbers, rows.len()).convert_to_f32_slice(rows);
            };
            outputs.hidden.iter_mut().for_each(|layer| fill(&mut numbers, layer));
            for layer in &mut outputs.scores {
                let mut scores = vec![0.0; self.heads * length * length];
                next(&mut numbers, scores.len()).convert_to_f32_slice(&mut scores);
                let shape = [self.heads, length, length];
                layer.push(Array3::from_shape_vec(shape, scores).expect("there are as many numbers"));
            }
            outputs.qkv.iter_mut().flatten().for_each(|layer| fill(&mut numbers, layer));
        }
        outputs
    }
}

/// Takes the first `count` numbers off.
fn next<'a>(numbers: &mut &'a [f16], count: usize) -> &'a [f16] {
    let (these, rest) = numbers.split_at(count);
    *numbers = rest;
    these
}

/// Appends an array, its last axis running fastest.
fn append<D: Dimension>(array: ArrayView<'_, f32, D>, into: &mut Vec<f16>) {
    match array.as_slice() {
        Some(numbers) => {
            let start = into.len();
            into.resize(start + numbers.len(), f16::ZERO);
            into[start..].convert_from_f32_slice(numbers);
        }
        None => into.extend(array.iter().map(|&number| f16::from_f32(number))),
    }
}
