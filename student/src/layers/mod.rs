//! The layers, each with its forward and its backward pass side by side.
//!
//! A layer declares its tensors in a [`crate::Scope`] and keeps only their addresses. `forward` returns the output and
//! what backward needs; `backward` consumes that, adds to the gradients of its parameters and returns the gradient of
//! its input.

mod add_norm;
mod attention;
mod dropout;
mod embedding;
mod encoder_layer;
mod feed_forward;
mod heads;
mod layer_norm;
mod linear;
mod self_attention;
mod words_head;

pub use crate::kernels::{Derivative, Gradient, Input};
pub use add_norm::{AddNorm, AddNormSaved};
pub use attention::{Attention, AttentionSaved, Inside, Want};
pub use dropout::{Dropout, DropoutSaved, Sites};
pub use embedding::{EmbeddingSizes, Embeddings, EmbeddingsSaved};
pub use encoder_layer::{EncoderLayer, EncoderLayerSaved, EncoderSizes};
pub use feed_forward::{FeedForward, FeedForwardSaved};
pub use heads::{SequenceHead, SequenceHeadSaved, Squash};
pub use layer_norm::{LayerNorm, LayerNormSaved};
pub use linear::{Linear, LinearSaved};
pub use self_attention::{SelfAttention, SelfAttentionSaved};
pub use words_head::{WordsHead, WordsHeadSaved};

/// A matrix that several layers read, and that the backward pass still needs.
pub type Shared<F> = ndarray::ArcArray2<F>;

#[cfg(test)]
mod tests;
