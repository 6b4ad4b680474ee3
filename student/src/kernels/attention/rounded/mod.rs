//! The same attention with products in bfloat16: squares of 32 keys by 32 queries on the [`Unit`] of the processor.
//!
//! Scores are computed transposed, `k qᵀ`: a row holds the scores of one key, a lane belongs to one query, and so no
//! maximum and no sum crosses lanes. Softmax, dropout and all sums are `f32`; the factors of products are rounded.

mod backward;
mod factor;
mod forward;
mod kept;
mod passes;

pub(super) use backward::backward;
pub(super) use forward::forward;

use crate::kernels::packed::{Bf16Block as Block, SIDE, Square};
use factor::Factor;
use kept::Kept;

/// Tells whether squares are faster than vectors of `f32` for a sequence of these lengths.
///
/// What is padded to squares is multiplied as well: measured (`benches/attention.rs`), up to one and a half times as much
/// padding as scores pays, for every width of a head. Of equal lengths, those are 21 to 32 and from 41 on.
pub(super) fn is_worthwhile(queries: usize, keys: usize) -> bool {
    let padded = queries.next_multiple_of(SIDE) * keys.next_multiple_of(SIDE);
    2 * padded <= 5 * queries * keys
}

const IS_F32: &str = "only `f32` is rounded";

/// Memory that is used again for every head.
#[derive(Default)]
pub(super) struct Scratch {
    /// A square of a result.
    square: Square<f32>,
    /// The scores of 32 queries: a square for 32 keys each. Then their gradient.
    scores: Vec<Square<f32>>,
    /// The gradient of the dropped probabilities.
    d_probs: Vec<Square<f32>>,
    /// The dropped probabilities.
    probs: Vec<Square<f32>>,
    kept: Kept,
    queries: Factor,
    keys: Factor,
    values: Factor,
    d_context: Factor,
    queries_right: Factor,
    keys_right: Factor,
    d_context_right: Factor,
    /// A factor of one product: probabilities, or the gradient of scores, of 32 queries.
    row: Vec<Block>,
    /// Dropped probabilities, and gradients of scores, of a run of queries: key strip by key strip.
    probs_left: Vec<Block>,
    d_scores_left: Vec<Block>,
    d_keys: Vec<Square<f32>>,
    d_values: Vec<Square<f32>>,
}

/// Returns how many squares cover a length.
fn strips(len: usize) -> usize {
    len.div_ceil(SIDE)
}

/// Returns the first `len` elements, after making more of them where there are fewer.
fn some<T: Clone>(of: &mut Vec<T>, len: usize, zero: T) -> &mut [T] {
    if of.len() < len {
        of.resize(len, zero);
    }
    &mut of[..len]
}

#[cfg(test)]
mod tests;
