//! Made-up sequences, and what a graph says of them under ONNX Runtime.

use super::tiny;
use ndarray::Array2;
use std::path::Path;
use student::PackedBatch;
use teacher::{Options, Teacher, Tokens};

/// A sequence of tokens.
pub struct Sequence {
    pub ids: Vec<u32>,
    pub type_ids: Vec<u32>,
}

/// Returns a sequence of which the second half, where there are several segments, is in the second one.
pub fn sequence(length: u32, seed: u32, segments: u32) -> Sequence {
    let vocab = tiny::vocabulary().len() as u32;
    let type_ids = (0..length).map(|i| u32::from(i > length / 2).min(segments - 1)).collect();
    Sequence { ids: (0..length).map(|i| (i * 31 + seed * 17) % vocab).collect(), type_ids }
}

impl Sequence {
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens { ids: &self.ids, type_ids: &self.type_ids }
    }
}

/// Returns sequences as the native student reads them.
pub fn packed(sequences: &[Sequence]) -> PackedBatch {
    PackedBatch::pack(sequences.iter().map(|it| (&it.ids[..], &it.type_ids[..])))
}

/// Returns what the graph says in batches of so many tokens: 1 asks about each sequence alone.
pub fn ask(path: &Path, sequences: &[Sequence], batch_tokens: usize) -> Array2<f32> {
    let tokens: Vec<_> = sequences.iter().map(Sequence::tokens).collect();
    let options = Options { workers: 1, batch_tokens, ..Options::default() };
    Teacher::open(path, &options).unwrap().logits(&tokens, &|_| {}).unwrap()
}

/// Returns the largest number of a difference, whatever its sign.
pub fn largest(difference: &Array2<f32>) -> f32 {
    difference.iter().fold(0.0_f32, |max, d| max.max(d.abs()))
}
