//! Scaled dot-product attention over packed sequences (Vaswani et al. 2017, equation 1).
//!
//! Each sequence attends to itself alone, so there is no mask. Queries may be fewer than keys: a sentence head asks the
//! last layer about the first token only.

use super::Dropout;
use crate::Real;
use crate::architecture::Mode;
use crate::kernels::{Mask, Onto, for_pieces, gemm, vectorized};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

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
    probs: Vec<F>,
    cuts: Cuts,
    mask: Option<Mask>,
}

/// Where each sequence's queries, keys and probabilities begin, each [B + 1], in elements.
struct Cuts {
    queries: Vec<usize>,
    keys: Vec<usize>,
    probs: Vec<usize>,
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
        let width = q.ncols();
        let cuts = Cuts::new(self.heads, width, q_offsets, offsets);
        let mask = self.dropout.mask(mode);
        let mut context = Array2::<F>::zeros(q.dim());
        let mut probs = vec![F::zero(); cuts.probs[cuts.probs.len() - 1]];
        let scale = F::of((width / self.heads) as f64).sqrt().recip();
        let context_rows = context.as_slice_mut().expect("a new matrix is contiguous");
        for_pieces([(context_rows, &cuts.queries), (&mut probs, &cuts.probs)], |b, [context, probs]| {
            let [q, k, v] = self.sequence([&q, &k, &v], b, q_offsets, offsets);
            let mut context = rows_mut(context, width);
            let mut dropped = vec![F::zero(); q.nrows() * k.nrows()];
            for (head, probs) in probs.chunks_mut(q.nrows() * k.nrows()).enumerate() {
                let columns = self.columns(head, width);
                let (q, k, v) = (q.slice(columns), k.slice(columns), v.slice(columns));
                gemm(rows_mut(probs, k.nrows()), q, k.t(), scale, Onto::Nothing);
                vectorized(|| probs.chunks_mut(k.nrows()).for_each(softmax));
                dropped.copy_from_slice(probs);
                drop_out(mask, &mut dropped, cuts.probs[b] + head * probs.len());
                gemm(context.slice_mut(columns), rows(&dropped, k.nrows()), v, F::one(), Onto::Nothing);
            }
        });
        (context, AttentionSaved { q, k, v, probs, cuts, mask })
    }

    /// Returns the gradients of `q` [Nq, H], `k` and `v` [N, H].
    ///
    /// With `p` the probabilities and `m` the dropout mask: `dv = (p m)ᵀ dc`, `dp = (dc vᵀ) m`,
    /// `ds = p (dp − Σ p dp)`, `dq = ds k / √D`, `dk = dsᵀ q / √D`.
    pub fn backward<F: Real>(&self, saved: AttentionSaved<F>, d_context: &Array2<F>) -> [Array2<F>; 3] {
        let AttentionSaved { q, k, v, probs, cuts, mask } = saved;
        let width = q.ncols();
        let scale = F::of((width / self.heads) as f64).sqrt().recip();
        let (q_offsets, offsets) = (in_rows(&cuts.queries, width), in_rows(&cuts.keys, width));
        let mut d = [&q, &k, &v].map(|x| Array2::<F>::zeros(x.dim()));
        let [d_q, d_k, d_v] = d.each_mut().map(|d| d.as_slice_mut().expect("a new matrix is contiguous"));
        for_pieces([(d_q, &cuts.queries), (d_k, &cuts.keys), (d_v, &cuts.keys)], |b, pieces| {
            let [mut d_q, mut d_k, mut d_v] = pieces.map(|piece| rows_mut(piece, width));
            let [q, k, v] = self.sequence([&q, &k, &v], b, &q_offsets, &offsets);
            let d_context = d_context.slice(s![q_offsets[b]..q_offsets[b + 1], ..]);
            let probs = &probs[cuts.probs[b]..cuts.probs[b + 1]];
            let size = q.nrows() * k.nrows();
            let (mut dropped, mut d_scores) = (vec![F::zero(); size], vec![F::zero(); size]);
            for (head, probs) in probs.chunks(size).enumerate() {
                let (columns, first) = (self.columns(head, width), cuts.probs[b] + head * size);
                let (q, k, v) = (q.slice(columns), k.slice(columns), v.slice(columns));
                let d_context = d_context.slice(columns);
                dropped.copy_from_slice(probs);
                drop_out(mask, &mut dropped, first);
                gemm(
                    d_v.slice_mut(columns),
                    rows(&dropped, k.nrows()).t(),
                    d_context,
                    F::one(),
                    Onto::Nothing,
                );
                gemm(rows_mut(&mut d_scores, k.nrows()), d_context, v.t(), F::one(), Onto::Nothing);
                drop_out(mask, &mut d_scores, first);
                vectorized(|| {
                    let pairs = d_scores.chunks_mut(k.nrows()).zip(probs.chunks(k.nrows()));
                    pairs.for_each(|(d, p)| softmax_backward(d, p));
                });
                let d_scores = rows(&d_scores, k.nrows());
                gemm(d_q.slice_mut(columns), d_scores, k, scale, Onto::Nothing);
                gemm(d_k.slice_mut(columns), d_scores.t(), q, scale, Onto::Nothing);
            }
        });
        d
    }

    /// Returns the rows of sequence `b` in queries, keys and values.
    fn sequence<'a, F: Real>(
        &self,
        [q, k, v]: [&'a Array2<F>; 3],
        b: usize,
        q_offsets: &[usize],
        offsets: &[usize],
    ) -> [ArrayView2<'a, F>; 3] {
        let keys = s![offsets[b]..offsets[b + 1], ..];
        [q.slice(s![q_offsets[b]..q_offsets[b + 1], ..]), k.slice(keys), v.slice(keys)]
    }

    /// Returns the columns of one head.
    fn columns(
        &self,
        head: usize,
        width: usize,
    ) -> ndarray::SliceInfo<[ndarray::SliceInfoElem; 2], ndarray::Ix2, ndarray::Ix2> {
        let size = width / self.heads;
        s![.., head * size..(head + 1) * size]
    }
}

impl Cuts {
    fn new(heads: usize, width: usize, q_offsets: &[usize], offsets: &[usize]) -> Self {
        let in_elements = |offsets: &[usize]| offsets.iter().map(|n| n * width).collect();
        let mut probs = vec![0];
        for (q, k) in q_offsets.windows(2).zip(offsets.windows(2)) {
            probs.push(probs[probs.len() - 1] + heads * (q[1] - q[0]) * (k[1] - k[0]));
        }
        Cuts { queries: in_elements(q_offsets), keys: in_elements(offsets), probs }
    }
}

fn in_rows(cuts: &[usize], width: usize) -> Vec<usize> {
    cuts.iter().map(|cut| cut / width).collect()
}

fn rows<F>(x: &[F], width: usize) -> ArrayView2<'_, F> {
    ArrayView2::from_shape((x.len() / width, width), x).expect("a piece holds whole rows")
}

fn rows_mut<F>(x: &mut [F], width: usize) -> ArrayViewMut2<'_, F> {
    ArrayViewMut2::from_shape((x.len() / width, width), x).expect("a piece holds whole rows")
}

fn drop_out<F: Real>(mask: Option<Mask>, x: &mut [F], first: usize) {
    if let Some(mask) = mask {
        vectorized(|| mask.apply(x, first));
    }
}

/// Replaces a row of scores by `eˢ / Σ eˢ`.
#[inline(always)]
fn softmax<F: Real>(row: &mut [F]) {
    let max = row.iter().fold(F::neg_infinity(), |max, &x| if x > max { x } else { max });
    row.iter_mut().for_each(|x| *x = (*x - max).fast_exp());
    let inverse = row.iter().copied().sum::<F>().recip();
    row.iter_mut().for_each(|x| *x *= inverse);
}

/// Replaces the gradient of the probabilities by that of the scores.
#[inline(always)]
fn softmax_backward<F: Real>(d: &mut [F], probs: &[F]) {
    let dot: F = d.iter().zip(probs).map(|(&d, &p)| d * p).sum();
    d.iter_mut().zip(probs).for_each(|(d, &p)| *d = p * (*d - dot));
}
