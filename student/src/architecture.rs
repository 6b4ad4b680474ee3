//! How the mathematics of a student goes: one trait, generic over the number type.

use crate::export::onnx::GraphBuilder;
use crate::{Arena, Layout, PackedBatch, Params, Real};
use ndarray::Array2;

pub use crate::kernels::DropoutKey;

/// What a model says about one packed batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs<F = f32> {
    /// One row for each read-out position, [R, C]; for a sentence head R = B.
    pub logits: Array2<F>,
}

/// The gradient of a loss with respect to each part of [`Outputs`], in the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputGrads<F = f32> {
    /// The gradient with respect to the logits, [R, C].
    pub logits: Array2<F>,
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

    /// Returns what the model says about the batch, and what the backward pass will need.
    fn forward<F: Real>(
        &self,
        params: &Params<'_, F>,
        batch: &PackedBatch,
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
