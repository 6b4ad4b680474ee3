//! Scaled dot-product attention over packed sequences (Vaswani et al. 2017, equation 1).
//!
//! Each sequence attends to itself alone, so there is no mask. Queries may be fewer than keys: a sentence head asks the
//! last layer about the first token only.

use super::Dropout;
use crate::Real;
use crate::architecture::Mode;
use crate::kernels::attention::{self, Batch, Normaliser};
use crate::kernels::{Mask, Precision};
use ndarray::Array2;

/// Multi-head attention without parameters.
pub struct Attention {
    heads: usize,
    dropout: Dropout,
}

/// What the backward pass of an [`Attention`] needs.
pub struct AttentionSaved<F> {
    q: Array2<F>,
    k: Array2<F>,
    v: Array2<F>,
    q_offsets: Vec<usize>,
    offsets: Vec<usize>,
    normalisers: Vec<Normaliser<F>>,
    mask: Option<Mask>,
    precision: Precision,
}

impl Attention {
    /// Makes attention with `heads` heads.
    pub fn new(heads: usize, dropout: Dropout) -> Self {
        Attention { heads, dropout }
    }

    /// `context = dropout(softmax(q kᵀ / √D)) v`, for each sequence and head.
    ///
    /// `q`, `context`: [Nq, H]; `k`, `v`: [N, H]; offsets of the sequences in the rows of each: [B + 1].
    pub fn forward<F: Real>(
        &self,
        [q, k, v]: [Array2<F>; 3],
        q_offsets: &[usize],
        offsets: &[usize],
        mode: Mode,
        precision: Precision,
    ) -> (Array2<F>, AttentionSaved<F>) {
        let mask = self.dropout.mask(mode);
        let batch = self.batch(q.ncols(), q_offsets, offsets, mask, precision);
        let (context, normalisers) = attention::forward(&batch, [q.view(), k.view(), v.view()]);
        let (q_offsets, offsets) = (q_offsets.to_vec(), offsets.to_vec());
        (context, AttentionSaved { q, k, v, q_offsets, offsets, normalisers, mask, precision })
    }

    /// Returns the gradients of `q` [Nq, H], `k` and `v` [N, H].
    ///
    /// With `p` the probabilities and `m` the dropout mask: `dv = (p m)ᵀ dc`, `dp = (dc vᵀ) m`,
    /// `ds = p (dp − Σ p dp)`, `dq = ds k / √D`, `dk = dsᵀ q / √D`.
    pub fn backward<F: Real>(&self, saved: AttentionSaved<F>, d_context: &Array2<F>) -> [Array2<F>; 3] {
        let AttentionSaved { mut q, mut k, mut v, q_offsets, offsets, normalisers, mask, precision } = saved;
        let batch = self.batch(q.ncols(), &q_offsets, &offsets, mask, precision);
        let qkv = [q.view_mut(), k.view_mut(), v.view_mut()];
        attention::backward(&batch, qkv, &normalisers, d_context.view());
        [q, k, v]
    }

    fn batch<'a, F: Real>(
        &self,
        hidden: usize,
        q_offsets: &'a [usize],
        offsets: &'a [usize],
        mask: Option<Mask>,
        precision: Precision,
    ) -> Batch<'a, F> {
        let scale = F::of((hidden / self.heads) as f64).sqrt().recip();
        Batch { q_offsets, offsets, heads: self.heads, scale, mask, unit: precision.unit() }
    }
}
