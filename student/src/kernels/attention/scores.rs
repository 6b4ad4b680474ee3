//! Attention scores as others see them: of every head and sequence, before the softmax.
//!
//! The pass that computes attention keeps no scores; who asks for them has them computed once more, from the same queries
//! and keys.

use super::head::Scratch;
use super::product::{Left, Product};
use super::tasks::Batch;
use crate::Real;
use crate::kernels::Onto;
use crate::kernels::simd::{Unit, Work, on_best_unit};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3, Axis, s};
use rayon::prelude::*;

/// Returns `q kᵀ · scale` of each sequence, [A, T, T].
///
/// Shapes: `q`, `k`: [N, H]; queries and keys have the same offsets.
pub(crate) fn scores<F: Real>(
    batch: &Batch<'_, F>,
    q: ArrayView2<'_, F>,
    k: ArrayView2<'_, F>,
) -> Vec<Array3<F>> {
    let sequences: Vec<_> = batch.offsets.windows(2).map(|pair| pair[0]..pair[1]).collect();
    let of = |scratch: &mut Scratch<F>, rows: std::ops::Range<usize>| {
        let mut out = Array3::zeros((batch.heads, rows.len(), rows.len()));
        let [q, k] = [q, k].map(|x| x.slice_move(s![rows.clone(), ..]));
        on_best_unit(Scores { scale: batch.scale, q, k, out: out.view_mut(), scratch });
        out
    };
    sequences.into_par_iter().map_init(Scratch::new, of).collect()
}

/// Returns the gradients of `q` and `k`, [N, H]: `dq = ds k · scale`, `dk = dsᵀ q · scale`.
///
/// Shapes: `q`, `k`: [N, H]; `d_scores`: for each sequence [A, T, T].
pub(crate) fn scores_backward<F: Real>(
    batch: &Batch<'_, F>,
    q: ArrayView2<'_, F>,
    k: ArrayView2<'_, F>,
    d_scores: &[Array3<F>],
) -> [Array2<F>; 2] {
    let mut gradients = [Array2::zeros(q.dim()), Array2::zeros(k.dim())];
    let [d_q, d_k] = gradients.each_mut().map(|d| rows_of(d.view_mut(), batch.offsets));
    let sequences: Vec<_> = batch.offsets.windows(2).map(|pair| pair[0]..pair[1]).zip(d_q).zip(d_k).collect();
    assert_eq!(sequences.len(), d_scores.len(), "there is a gradient for the scores of each sequence");
    sequences.into_par_iter().zip(d_scores).for_each_init(
        Scratch::new,
        |scratch, (((rows, d_q), d_k), d_scores)| {
            let [q, k] = [q, k].map(|x| x.slice_move(s![rows.clone(), ..]));
            let d_scores = d_scores.view();
            on_best_unit(ScoresBackward { scale: batch.scale, q, k, d_scores, d_q, d_k, scratch });
        },
    );
    gradients
}

/// Cuts `x` into the rows of each sequence.
fn rows_of<'a, F>(x: ArrayViewMut2<'a, F>, offsets: &[usize]) -> Vec<ArrayViewMut2<'a, F>> {
    let mut rest = x;
    let mut cut = Vec::with_capacity(offsets.len() - 1);
    for pair in offsets.windows(2) {
        let (rows, others) = rest.split_at(Axis(0), pair[1] - pair[0]);
        cut.push(rows);
        rest = others;
    }
    cut
}

/// Fills `out`, [A, T, T].
struct Scores<'a, F> {
    scale: F,
    q: ArrayView2<'a, F>,
    k: ArrayView2<'a, F>,
    out: ArrayViewMut3<'a, F>,
    scratch: &'a mut Scratch<F>,
}

impl<F: Real> Work for Scores<'_, F> {
    type Output = ();

    #[inline(always)]
    fn on<U: Unit>(self, unit: U) {
        let Scores { scale, q: q_rows, k: k_rows, mut out, scratch } = self;
        let Scratch { q, k, k_t, scores, .. } = scratch;
        let (heads, tokens) = (out.len_of(Axis(0)), q_rows.nrows());
        q.gather(q_rows, heads, scale);
        k.gather(k_rows, heads, F::one());
        scores.reshape(tokens, tokens);
        for (head, out) in out.outer_iter_mut().enumerate() {
            let rows = head * tokens..(head + 1) * tokens;
            k_t.transpose(k.some(rows.clone()));
            let a = Left::rows(q.some(rows));
            unit.run(Product { c: scores.all_mut(), a, b: k_t.all(), onto: Onto::Nothing });
            scores.scatter(out, |_| F::one());
        }
    }
}

/// Fills `d_q` and `d_k`, [T, H].
struct ScoresBackward<'a, F> {
    scale: F,
    q: ArrayView2<'a, F>,
    k: ArrayView2<'a, F>,
    d_scores: ArrayView3<'a, F>,
    d_q: ArrayViewMut2<'a, F>,
    d_k: ArrayViewMut2<'a, F>,
    scratch: &'a mut Scratch<F>,
}

impl<F: Real> Work for ScoresBackward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn on<U: Unit>(self, unit: U) {
        let ScoresBackward { scale, q: q_rows, k: k_rows, d_scores, d_q: d_q_rows, d_k: d_k_rows, scratch } =
            self;
        let Scratch { q, k, scores, d_q, d_k, .. } = scratch;
        let (heads, tokens) = (d_scores.len_of(Axis(0)), q_rows.nrows());
        q.gather(q_rows, heads, F::one());
        k.gather(k_rows, heads, F::one());
        d_q.reshape_like(q);
        d_k.reshape_like(k);
        for (head, d_scores) in d_scores.outer_iter().enumerate() {
            let rows = head * tokens..(head + 1) * tokens;
            scores.gather(d_scores, 1, scale);
            let (q, k) = (q.some(rows.clone()), k.some(rows.clone()));
            let c = d_q.some_mut(rows.clone());
            unit.run(Product { c, a: Left::rows(scores.all()), b: k, onto: Onto::Nothing });
            let c = d_k.some_mut(rows);
            unit.run(Product { c, a: Left::columns(scores.all()), b: q, onto: Onto::Nothing });
        }
        d_q.scatter(d_q_rows, |_| F::one());
        d_k.scatter(d_k_rows, |_| F::one());
    }
}
