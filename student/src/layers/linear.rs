//! The affine map `y = x Wᵀ + b`.

use super::Shared;
use crate::kernels::{matmul, matmul_add, sum_rows};
use crate::{Arena, Real, Scope, Slot};
use ndarray::Array2;

/// An affine map; its weight is stored `[out, in]`, as PyTorch does.
pub struct Linear {
    /// The address of the weight, [out, in].
    pub weight: Slot<2>,
    /// The address of the bias, `[out]`.
    pub bias: Slot<1>,
}

/// What the backward pass of a [`Linear`] needs: its input.
pub struct LinearSaved<F> {
    x: Shared<F>,
}

impl Linear {
    /// Declares a map from `input` to `output` features.
    pub fn declare(mut scope: Scope<'_>, input: usize, output: usize) -> Self {
        Linear { weight: scope.matrix("weight", output, input), bias: scope.bias("bias", output) }
    }

    /// `y = x Wᵀ + b`.  `x`: [N, in], `y`: [N, out].
    pub fn forward<F: Real>(&self, params: &Arena<F>, x: Shared<F>) -> (Array2<F>, LinearSaved<F>) {
        let bias = params.vector(self.bias);
        let mut y = Array2::zeros((x.nrows(), bias.len()));
        y += &bias;
        matmul_add(y.view_mut(), x.view(), params.matrix(self.weight).t());
        (y, LinearSaved { x })
    }

    /// `dx = dy W`, `dW += dyᵀ x`, `db += Σₙ dy`.  `d_y`: [N, out], `d_x`: [N, in].
    pub fn backward<F: Real>(
        &self,
        params: &Arena<F>,
        saved: LinearSaved<F>,
        d_y: &Array2<F>,
        grads: &mut Arena<F>,
    ) -> Array2<F> {
        matmul_add(grads.matrix_mut(self.weight), d_y.t(), saved.x.view());
        let d_bias = sum_rows(d_y.nrows(), d_y.ncols(), |n, sum| {
            sum.iter_mut().zip(d_y.row(n)).for_each(|(sum, &d)| *sum += d);
        });
        let mut bias = grads.vector_mut(self.bias);
        bias += &d_bias;
        matmul(d_y.view(), params.matrix(self.weight))
    }
}
