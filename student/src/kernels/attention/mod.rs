//! Attention within packed sequences, one head of one sequence at a time, while its scores are in the cache.
//!
//! Probabilities are not kept for the backward pass: it computes them again from queries, keys and two numbers for each
//! row, as FlashAttention does (Dao et al. 2022).

// Sums in arrays that are indexed stay in registers; iterated over, they are spilled, at a third of the speed.
#![allow(clippy::needless_range_loop)]

mod head;
mod panel;
mod product;
mod rounded;
mod scores;
mod single;
mod softmax;
mod tasks;

pub(crate) use scores::{scores, scores_backward};
pub(crate) use tasks::{Batch, Normaliser, backward, forward};

/// Elements of a vector, in every number type.
const LANES: usize = 16;
