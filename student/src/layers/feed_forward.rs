//! The feed-forward block: widen, activate, narrow.

use super::{Linear, LinearSaved};
use crate::kernels::{Derivative, Gradient, Input};
use crate::{Arena, Params, Real, Scope};
use ndarray::Array2;

/// Two linear maps around a GELU.
pub struct FeedForward {
    /// H to I.
    pub intermediate: Linear,
    /// I to H.
    pub output: Linear,
}

/// What the backward pass of a [`FeedForward`] needs.
pub struct FeedForwardSaved<F> {
    intermediate: LinearSaved<F>,
    derivative: Derivative<F>,
    output: LinearSaved<F>,
}

impl FeedForward {
    /// Declares both maps with BERT's names.
    pub fn declare(mut scope: Scope<'_>, hidden: usize, intermediate: usize) -> Self {
        FeedForward {
            intermediate: Linear::declare(scope.at("intermediate").at("dense"), hidden, intermediate),
            output: Linear::declare(scope.at("output").at("dense"), intermediate, hidden),
        }
    }

    /// `y = W₂ GELU(W₁ x + b₁) + b₂`.  `x`, `y`: [R, H].
    pub fn forward<F: Real>(&self, params: &Params<'_, F>, x: Input<F>) -> (Array2<F>, FeedForwardSaved<F>) {
        let (h, derivative, intermediate) = self.intermediate.forward_gelu(params, x);
        let (y, output) = self.output.forward(params, h);
        (y, FeedForwardSaved { intermediate, derivative, output })
    }

    /// Returns the gradient of `x`.  `d_y`, `d_x`: [R, H].
    pub fn backward<F: Real>(
        &self,
        params: &Params<'_, F>,
        saved: FeedForwardSaved<F>,
        d_y: Gradient<F>,
        grads: &mut Arena<F>,
    ) -> Array2<F> {
        let FeedForwardSaved { intermediate, derivative, output } = saved;
        let d_u = self.output.backward_through(params, output, d_y, derivative, grads);
        self.intermediate.backward(params, intermediate, d_u, grads)
    }
}
