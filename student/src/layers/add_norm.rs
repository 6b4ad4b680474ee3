//! "Add & Norm" (Vaswani et al. 2017, figure 1): what closes each half of an encoder layer.

use super::{Dropout, LayerNorm};
use crate::architecture::Mode;
use crate::kernels::{self, Mask, Normalized};
use crate::{Arena, Real};
use ndarray::{Array2, ArrayView2};

/// Dropout, a residual connection and normalisation, in one pass over memory.
pub struct AddNorm {
    /// The normalisation of the sum.
    pub norm: LayerNorm,
    dropout: Dropout,
}

/// What the backward pass of an [`AddNorm`] needs: the normalised rows, and how to draw the mask again.
pub struct AddNormSaved<F> {
    normalized: Normalized<F>,
    mask: Option<Mask>,
}

impl AddNorm {
    /// Joins a normalisation and the dropout before it.
    pub fn new(norm: LayerNorm, dropout: Dropout) -> Self {
        AddNorm { norm, dropout }
    }

    /// `y = LayerNorm(residual + dropout(x))`.  `x`, `residual`, `y`: [N, H].
    pub fn forward<F: Real>(
        &self,
        params: &Arena<F>,
        x: Array2<F>,
        residual: ArrayView2<'_, F>,
        mode: Mode,
    ) -> (Array2<F>, AddNormSaved<F>) {
        let mask = self.dropout.mask(mode);
        let (y, normalized) = kernels::add_norm(x, residual, mask, self.norm.affine(params));
        (y, AddNormSaved { normalized, mask })
    }

    /// Returns the gradients of `x` and of `residual`: `d_residual` is that of the sum, `d_x = d_residual m / (1 − rate)`
    /// with the mask `m`.  `d_y`, `d_x`, `d_residual`: [N, H].
    pub fn backward<F: Real>(
        &self,
        params: &Arena<F>,
        saved: AddNormSaved<F>,
        d_y: Array2<F>,
        grads: &mut Arena<F>,
    ) -> (Array2<F>, Array2<F>) {
        let gamma = self.norm.affine(params).gamma;
        let d = kernels::add_norm_backward(saved.normalized, gamma, d_y, saved.mask);
        self.norm.add_gradients(&d, grads);
        (d.rows, d.x)
    }
}
