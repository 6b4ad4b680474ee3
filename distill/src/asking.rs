//! Asking an ONNX model about encoded texts.

use crate::tokens::Encodings;
use anyhow::Result;
use ndarray::Array2;
use teacher::{Teacher, Tokens};

/// Returns what a model says about the chosen texts, [chosen, C]. `progress` is told how many more are done.
///
/// # Errors
/// When the model fails, or cannot take a text.
pub fn ask(
    model: &mut Teacher,
    encodings: &Encodings,
    chosen: impl IntoIterator<Item = usize>,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Array2<f32>> {
    let tokens: Vec<Tokens<'_>> = chosen
        .into_iter()
        .map(|i| {
            let (ids, type_ids) = encodings.get(i);
            Tokens { ids, type_ids }
        })
        .collect();
    Ok(model.logits(&tokens, progress)?)
}
