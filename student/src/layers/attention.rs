//! Scaled dot-product attention over packed sequences (Vaswani et al. 2017, equation 1).
//!
//! Each sequence attends to itself alone, so there is no mask. Queries may be fewer than keys: a sentence head asks the
//! last layer about the first token only.

use super::Dropout;
use crate::Real;
use crate::architecture::Mode;
use crate::kernels::Mask;
use crate::kernels::attention::{self, Batch, Normaliser};
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
    ) -> (Array2<F>, AttentionSaved<F>) {
        let mask = self.dropout.mask(mode);
        let (context, normalisers) = attention::forward(&self.batch([&q, &k, &v], q_offsets, offsets, mask));
        let (q_offsets, offsets) = (q_offsets.to_vec(), offsets.to_vec());
        (context, AttentionSaved { q, k, v, q_offsets, offsets, normalisers, mask })
    }

    /// Returns the gradients of `q` [Nq, H], `k` and `v` [N, H].
    ///
    /// With `p` the probabilities and `m` the dropout mask: `dv = (p m)ᵀ dc`, `dp = (dc vᵀ) m`,
    /// `ds = p (dp − Σ p dp)`, `dq = ds k / √D`, `dk = dsᵀ q / √D`.
    pub fn backward<F: Real>(&self, saved: AttentionSaved<F>, d_context: &Array2<F>) -> [Array2<F>; 3] {
        let AttentionSaved { q, k, v, q_offsets, offsets, normalisers, mask } = saved;
        let batch = self.batch([&q, &k, &v], &q_offsets, &offsets, mask);
        attention::backward(&batch, &normalisers, d_context.view())
    }

    fn batch<'a, F: Real>(
        &self,
        [q, k, v]: [&'a Array2<F>; 3],
        q_offsets: &'a [usize],
        offsets: &'a [usize],
        mask: Option<Mask>,
    ) -> Batch<'a, F> {
        let scale = F::of((q.ncols() / self.heads) as f64).sqrt().recip();
        let [q, k, v] = [q, k, v].map(|x| x.view());
        Batch { q, k, v, q_offsets, offsets, heads: self.heads, scale, mask }
    }
}
