//! The feed-forward block: widen, activate, narrow.

use super::{GeluSaved, Linear, LinearSaved, Shared, gelu};
use crate::{Arena, Real, Scope};
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
    gelu: GeluSaved<F>,
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
    pub fn forward<F: Real>(&self, params: &Arena<F>, x: Shared<F>) -> (Array2<F>, FeedForwardSaved<F>) {
        let (x, intermediate) = self.intermediate.forward(params, x);
        let (x, gelu) = gelu(x);
        let (y, output) = self.output.forward(params, x.into_shared());
        (y, FeedForwardSaved { intermediate, gelu, output })
    }

    /// Returns the gradient of `x`.  `d_y`, `d_x`: [R, H].
    pub fn backward<F: Real>(
        &self,
        params: &Arena<F>,
        saved: FeedForwardSaved<F>,
        d_y: &Array2<F>,
        grads: &mut Arena<F>,
    ) -> Array2<F> {
        let d = self.output.backward(params, saved.output, d_y, grads);
        let d = saved.gelu.backward(d);
        self.intermediate.backward(params, saved.intermediate, &d, grads)
    }
}
