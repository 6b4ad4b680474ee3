//! The activation of the feed-forward block.

use crate::{Real, kernels};
use ndarray::Array2;

/// What the backward pass of [`gelu`] needs: its derivative, computed together with its value.
pub struct GeluSaved<F> {
    derivative: Array2<F>,
}

/// `y = x Φ(x)`, with the exact normal distribution Φ (Hendrycks and Gimpel 2016).  `x`, `y`: [N, I].
pub fn gelu<F: Real>(mut x: Array2<F>) -> (Array2<F>, GeluSaved<F>) {
    let derivative = kernels::gelu(&mut x);
    (x, GeluSaved { derivative })
}

impl<F: Real> GeluSaved<F> {
    /// `dx = dy (Φ(x) + x φ(x))`.  `d_y`, `d_x`: [N, I].
    pub fn backward(self, mut d_y: Array2<F>) -> Array2<F> {
        kernels::multiply(&mut d_y, &self.derivative);
        d_y
    }
}
