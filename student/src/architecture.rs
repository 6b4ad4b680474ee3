//! How the mathematics of a student goes: one trait, generic over the number type.

use crate::export::onnx::GraphBuilder;
use crate::{Arena, Layout, PackedBatch, Params, Real};
use ndarray::{Array2, Array3};

pub use crate::kernels::DropoutKey;

/// What of a model is asked for. Layers count from 1 to L; what comes out of the embeddings is hidden state 0.
///
/// A model computes no more than is asked of it: not the layers above, nor in the last layer what only a head on first
/// tokens would read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Whether the head is asked.
    pub logits: bool,
    /// Whether the chosen tokens of the batch are asked which word stands there.
    pub words: bool,
    /// The hidden states, ascending: what comes out of these layers.
    pub hidden: Vec<usize>,
    /// The layers, ascending, whose attention scores are asked for.
    pub scores: Vec<usize>,
    /// The layers, ascending, whose queries, keys and values are asked for.
    pub qkv: Vec<usize>,
}

impl Asked {
    /// Asks the head alone.
    pub fn logits() -> Self {
        Asked { logits: true, ..Asked::default() }
    }

    /// Returns the highest layer from which something inside is asked, 0 for none above the embeddings.
    pub fn deepest(&self) -> usize {
        [&self.hidden, &self.scores, &self.qkv].into_iter().flatten().copied().max().unwrap_or(0)
    }
}

/// What a model says about one packed batch. What was not asked for is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs<F = f32> {
    /// One row for each read-out position, [R, C]; for a sentence head R = B.
    pub logits: Array2<F>,
    /// One row for each chosen token, [M, V].
    pub words: Array2<F>,
    /// Of each layer that was asked, [N, H]; as wide as the projection where the model has one.
    pub hidden: Vec<Array2<F>>,
    /// Of each layer that was asked and each sequence, the scores before the softmax, [A, T, T].
    pub scores: Vec<Vec<Array3<F>>>,
    /// Of each layer that was asked, queries, keys and values, each [N, H], head by head.
    pub qkv: Vec<[Array2<F>; 3]>,
}

/// The gradient of a loss with respect to each part of [`Outputs`], in the same shape.
pub type OutputGrads<F = f32> = Outputs<F>;

impl<F> Default for Outputs<F> {
    fn default() -> Self {
        Outputs::of_logits(nothing())
    }
}

impl<F> Outputs<F> {
    /// Makes outputs of logits alone.
    pub fn of_logits(logits: Array2<F>) -> Self {
        Outputs { logits, words: nothing(), hidden: Vec::new(), scores: Vec::new(), qkv: Vec::new() }
    }
}

fn nothing<F>() -> Array2<F> {
    Array2::from_shape_vec((0, 0), Vec::new()).expect("no number for no place")
}

/// Whether a forward pass is for use or for training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout is off.
    Evaluate,
    /// Dropout is on, with the masks that the key determines.
    Train(DropoutKey),
}

/// The mathematics of a model: forward, backward, and the same wiring as a graph for export.
pub trait Architecture: Send + Sync {
    /// What the backward pass needs of the forward pass.
    type Saved<F: Real>: Send;

    /// Returns the table of all tensors.
    fn layout(&self) -> &Layout;

    /// Returns what the model says about the batch, as far as it is asked, and what the backward pass will need.
    fn forward<F: Real>(
        &self,
        params: &Params<'_, F>,
        batch: &PackedBatch,
        asked: &Asked,
        mode: Mode,
    ) -> (Outputs<F>, Self::Saved<F>);

    /// Adds the gradient of every parameter to `grads`.
    fn backward<F: Real>(
        &self,
        params: &Params<'_, F>,
        saved: Self::Saved<F>,
        d_outputs: OutputGrads<F>,
        grads: &mut Arena<F>,
    );

    /// Writes the model as a padded and masked graph.
    fn lower(&self, params: &Arena, graph: &mut GraphBuilder);
}
