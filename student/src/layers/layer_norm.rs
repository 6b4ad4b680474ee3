//! Layer normalisation (Ba, Kiros and Hinton 2016).

use crate::kernels::{self, Affine, NormGrads, Normalized};
use crate::{Arena, Real, Scope, Slot};
use ndarray::{Array2, ArrayView1, ArrayViewMut1};

/// Normalises each row to mean 0 and variance 1, then scales and shifts it.
pub struct LayerNorm {
    /// The address of the scale γ, `[H]`.
    pub weight: Slot<1>,
    /// The address of the shift β, `[H]`.
    pub bias: Slot<1>,
    /// What is added to the variance, ε.
    pub epsilon: f64,
}

/// What the backward pass of a [`LayerNorm`] needs: the normalised rows.
pub struct LayerNormSaved<F> {
    normalized: Normalized<F>,
}

impl LayerNorm {
    /// Declares the normalisation of rows of `width`.
    pub fn declare(mut scope: Scope<'_>, width: usize, epsilon: f64) -> Self {
        LayerNorm { weight: scope.scale("weight", width), bias: scope.bias("bias", width), epsilon }
    }

    /// `x̂ = (x − mean x) / √(var x + ε)`, `y = γ x̂ + β`, row by row.  `x`, `y`: [N, H].
    pub fn forward<F: Real>(&self, params: &Arena<F>, x: Array2<F>) -> (Array2<F>, LayerNormSaved<F>) {
        let (y, normalized) = kernels::norm(x, self.affine(params));
        (y, LayerNormSaved { normalized })
    }

    /// `dx = (g − mean g − x̂ · mean(g x̂)) / σ` with `g = γ dy`; `dγ += Σₙ dy x̂`, `dβ += Σₙ dy`.
    pub fn backward<F: Real>(
        &self,
        params: &Arena<F>,
        saved: LayerNormSaved<F>,
        d_y: Array2<F>,
        grads: &mut Arena<F>,
    ) -> Array2<F> {
        let d = kernels::norm_backward(saved.normalized, self.affine(params).gamma, d_y);
        self.add_gradients(&d, grads);
        d.x
    }

    /// Returns γ, β and ε.
    pub(super) fn affine<'a, F: Real>(&self, params: &'a Arena<F>) -> Affine<'a, F> {
        let slice =
            |vector: ArrayView1<'a, F>| vector.to_slice().expect("a vector of an arena is contiguous");
        let [gamma, beta] = [self.weight, self.bias].map(|slot| slice(params.vector(slot)));
        Affine { gamma, beta, epsilon: F::of(self.epsilon) }
    }

    /// Adds the gradients of γ and β.
    pub(super) fn add_gradients<F: Real>(&self, d: &NormGrads<F>, grads: &mut Arena<F>) {
        let add = |mut sum: ArrayViewMut1<'_, F>, d: &[F]| sum += &ArrayView1::from(d);
        add(grads.vector_mut(self.weight), &d.gamma);
        add(grads.vector_mut(self.bias), &d.beta);
    }
}
