//! The affine map `y = x Wᵀ + b`, alone or with an activation behind it.

use crate::kernels::{Derivative, Gradient, Input};
use crate::{Arena, Params, Real, Scope, Slot};
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
    x: Input<F>,
}

impl Linear {
    /// Declares a map from `input` to `output` features.
    pub fn declare(mut scope: Scope<'_>, input: usize, output: usize) -> Self {
        Linear { weight: scope.matrix("weight", output, input), bias: scope.bias("bias", output) }
    }

    /// `y = x Wᵀ + b`.  `x`: [N, in], `y`: [N, out].
    pub fn forward<F: Real>(&self, params: &Params<'_, F>, x: Input<F>) -> (Array2<F>, LinearSaved<F>) {
        let y = x.affine(params.matrix(self.weight), params.vector(self.bias));
        (y, LinearSaved { x })
    }

    /// `y = GELU(x Wᵀ + b)`, with the derivative of GELU.  `x`: [N, in], `y`: [N, out].
    pub fn forward_gelu<F: Real>(
        &self,
        params: &Params<'_, F>,
        x: Input<F>,
    ) -> (Input<F>, Derivative<F>, LinearSaved<F>) {
        let (y, derivative) = x.affine_gelu(params.matrix(self.weight), params.vector(self.bias));
        (y, derivative, LinearSaved { x })
    }

    /// `dx = dy W`, `dW += dyᵀ x`, `db += Σₙ dy`.  `d_y`: [N, out], `d_x`: [N, in].
    pub fn backward<F: Real>(
        &self,
        params: &Params<'_, F>,
        saved: LinearSaved<F>,
        d_y: Gradient<F>,
        grads: &mut Arena<F>,
    ) -> Array2<F> {
        self.collect(&saved, &d_y, grads);
        d_y.times(params.matrix(self.weight))
    }

    /// As [`Linear::backward`], adding `dy W` to `d_x`: for one of several maps of the same input.
    pub fn backward_onto<F: Real>(
        &self,
        params: &Params<'_, F>,
        saved: LinearSaved<F>,
        d_y: Gradient<F>,
        grads: &mut Arena<F>,
        d_x: &mut Array2<F>,
    ) {
        self.collect(&saved, &d_y, grads);
        d_y.add_times(params.matrix(self.weight), d_x);
    }

    /// As [`Linear::backward`], through the activation before the map: `du = (dy W) ∘ derivative`.
    pub fn backward_through<F: Real>(
        &self,
        params: &Params<'_, F>,
        saved: LinearSaved<F>,
        d_y: Gradient<F>,
        derivative: Derivative<F>,
        grads: &mut Arena<F>,
    ) -> Gradient<F> {
        self.collect(&saved, &d_y, grads);
        d_y.times_derivative(params.matrix(self.weight), derivative)
    }

    fn collect<F: Real>(&self, saved: &LinearSaved<F>, d_y: &Gradient<F>, grads: &mut Arena<F>) {
        d_y.add_weight_gradient(&saved.x, grads.matrix_mut(self.weight));
        let mut bias = grads.vector_mut(self.bias);
        bias += &d_y.column_sums();
    }
}
