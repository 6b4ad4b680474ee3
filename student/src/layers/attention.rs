//! Scaled dot-product attention over packed sequences (Vaswani et al. 2017, equation 1).
//!
//! Each sequence attends to itself alone, so there is no mask. Queries may be fewer than keys: a sentence head asks the
//! last layer about the first token only.

use super::Dropout;
use crate::Real;
use crate::architecture::Mode;
use crate::batch::Readout;
use crate::kernels::attention::{self, Batch, Normaliser};
use crate::kernels::{self, Mask, Precision};
use ndarray::{Array2, Array3};

/// What is wanted of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Which tokens it is asked about.
    pub readout: Readout,
    /// Whether its attention scores are shown; then it is asked about every token.
    pub scores: bool,
    /// Whether its queries, keys and values are shown; then it is asked about every token.
    pub qkv: bool,
}

/// The inside of a layer's attention, or the gradient of a loss with respect to it. What was not wanted is not there.
#[derive(Clone, Debug, PartialEq)]
pub struct Inside<F> {
    /// The scores before the softmax, of each sequence [A, T, T].
    pub scores: Option<Vec<Array3<F>>>,
    /// Queries, keys and values, each [N, H], head by head.
    pub qkv: Option<[Array2<F>; 3]>,
}

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

impl Want {
    /// Wants the output alone.
    pub fn output(readout: Readout) -> Self {
        Want { readout, scores: false, qkv: false }
    }
}

impl<F> Default for Inside<F> {
    fn default() -> Self {
        Inside { scores: None, qkv: None }
    }
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

    /// Returns what is wanted of the inside: `scores = q kᵀ / √D`.  `q`, `k`, `v`: [N, H].
    pub fn inside<F: Real>(&self, [q, k, v]: [&Array2<F>; 3], offsets: &[usize], want: Want) -> Inside<F> {
        assert!(
            want.readout == Readout::Every || !(want.scores || want.qkv),
            "a layer that is asked about first tokens has not the queries of others"
        );
        let batch = self.batch(q.ncols(), offsets, offsets, None, Precision::F32);
        Inside {
            scores: want.scores.then(|| attention::scores(&batch, q.view(), k.view())),
            qkv: want.qkv.then(|| [q, k, v].map(Array2::clone)),
        }
    }

    /// Returns the gradients of `q` [Nq, H], `k` and `v` [N, H]. `d_inside`: the gradients of what was shown.
    ///
    /// With `p` the probabilities and `m` the dropout mask: `dv = (p m)ᵀ dc`, `dp = (dc vᵀ) m`,
    /// `ds = p (dp − Σ p dp)`, `dq = ds k / √D`, `dk = dsᵀ q / √D`; shown scores add to `ds`, shown projections to theirs.
    pub fn backward<F: Real>(
        &self,
        saved: AttentionSaved<F>,
        d_context: &Array2<F>,
        d_inside: Inside<F>,
    ) -> [Array2<F>; 3] {
        let AttentionSaved { mut q, mut k, mut v, q_offsets, offsets, normalisers, mask, precision } = saved;
        let batch = self.batch(q.ncols(), &q_offsets, &offsets, mask, precision);
        let through_scores =
            d_inside.scores.map(|d| attention::scores_backward(&batch, q.view(), k.view(), &d));
        let qkv = [q.view_mut(), k.view_mut(), v.view_mut()];
        attention::backward(&batch, qkv, &normalisers, d_context.view());
        if let Some([d_q, d_k]) = through_scores {
            kernels::add(&mut q, &d_q);
            kernels::add(&mut k, &d_k);
        }
        let mut d_qkv = [q, k, v];
        if let Some(shown) = d_inside.qkv {
            d_qkv.iter_mut().zip(&shown).for_each(|(d, shown)| kernels::add(d, shown));
        }
        d_qkv
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
