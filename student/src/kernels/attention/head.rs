//! The mathematics of one head of one sequence, block of queries by block of queries.

use super::panel::Panel;
use super::product::{Left, Product};
use super::softmax::{Exponentials, Gradients};
use super::{LANES, Normaliser, rounded};
use crate::Real;
use crate::kernels::simd::{Unit, Work};
use crate::kernels::{Mask, Onto};
use ndarray::{ArrayView2, ArrayViewMut2};
use std::ops::Range;

/// Panels that are used again for every head.
pub(super) struct Scratch<F> {
    pub q: Panel<F>,
    pub k: Panel<F>,
    pub v: Panel<F>,
    pub k_t: Panel<F>,
    pub v_t: Panel<F>,
    pub scores: Panel<F>,
    pub d_scores: Panel<F>,
    pub context: Panel<F>,
    pub d_q: Panel<F>,
    pub d_k: Panel<F>,
    pub d_v: Panel<F>,
    pub probs: Vec<[F; LANES]>,
    pub rounded: rounded::Scratch,
}

impl<F: Real> Scratch<F> {
    pub fn new() -> Self {
        Scratch {
            q: Panel::new(),
            k: Panel::new(),
            v: Panel::new(),
            k_t: Panel::new(),
            v_t: Panel::new(),
            scores: Panel::new(),
            d_scores: Panel::new(),
            context: Panel::new(),
            d_q: Panel::new(),
            d_k: Panel::new(),
            d_v: Panel::new(),
            probs: Vec::new(),
            rounded: rounded::Scratch::default(),
        }
    }
}

/// Some heads of a sequence.
pub(super) struct Heads<F> {
    /// How many queries.
    pub queries: usize,
    /// How many keys.
    pub keys: usize,
    /// How many heads.
    pub heads: usize,
    pub scale: F,
    /// The mask of the probabilities, from number `first` on.
    pub mask: Option<Mask>,
    pub first: usize,
}

/// A block of queries of one head.
struct Block {
    /// Its rows in the panels of all heads.
    queries: Range<usize>,
    /// The number of its first probability in the mask.
    first: usize,
}

impl<F: Real> Heads<F> {
    /// Returns one of the heads.
    pub fn one(&self, head: usize) -> Heads<f32> {
        let Heads { queries, keys, mask, .. } = *self;
        let first = self.first + head * queries * keys;
        Heads { queries, keys, heads: 1, scale: self.scale.f64() as f32, mask, first }
    }

    /// Returns what kept probabilities are multiplied by.
    pub fn keep(&self) -> F {
        self.mask.map_or(F::one(), |mask| F::of(mask.keep_scale()))
    }

    /// Returns the rows of a head's keys in the panels of all heads.
    fn keys(&self, head: usize) -> Range<usize> {
        head * self.keys..(head + 1) * self.keys
    }

    /// Cuts the queries of a head into blocks whose scores fit into the first cache.
    fn blocks(&self, head: usize) -> impl Iterator<Item = Block> + use<F> {
        let (queries, keys, first) = (self.queries, self.keys, self.first);
        let size = (2048 / keys).next_multiple_of(8).max(16);
        let (start, end) = (head * queries, (head + 1) * queries);
        (start..end)
            .step_by(size)
            .map(move |start| Block { queries: start..(start + size).min(end), first: first + start * keys })
    }
}

/// Fills `context` [Nq, A D] and `normalisers` [A Nq].
///
/// Shapes: `q`: [Nq, A D]; `k`, `v`: [Nk, A D].
pub(super) struct Forward<'a, F> {
    pub heads: Heads<F>,
    pub q: ArrayView2<'a, F>,
    pub k: ArrayView2<'a, F>,
    pub v: ArrayView2<'a, F>,
    pub context: ArrayViewMut2<'a, F>,
    pub normalisers: &'a mut [Normaliser<F>],
    pub scratch: &'a mut Scratch<F>,
}

impl<F: Real> Work for Forward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn on<U: Unit>(self, unit: U) {
        let Forward { heads, q: q_rows, k: k_rows, v: v_rows, context: context_rows, normalisers, scratch } =
            self;
        let Scratch { q, k, v, k_t, scores, context, .. } = scratch;
        q.gather(q_rows, heads.heads, heads.scale);
        k.gather(k_rows, heads.heads, F::one());
        v.gather(v_rows, heads.heads, F::one());
        context.reshape_like(q);
        for head in 0..heads.heads {
            k_t.transpose(k.some(heads.keys(head)));
            let v = v.some(heads.keys(head));
            for Block { queries, first } in heads.blocks(head) {
                scores.reshape(queries.len(), heads.keys);
                let (q, c) = (q.some(queries.clone()), scores.all_mut());
                unit.run(Product { c, a: Left::rows(q), b: k_t.all(), onto: Onto::Nothing });
                let normalisers = &mut normalisers[queries.clone()];
                unit.run(Exponentials { scores, mask: heads.mask, first, normalisers });
                let c = context.some_mut(queries);
                unit.run(Product { c, a: Left::rows(scores.all()), b: v, onto: Onto::Nothing });
            }
        }
        let keep = heads.keep();
        context.scatter(context_rows, |i| normalisers[i].inverse_sum * keep);
    }
}

/// Replaces `q` [Nq, A D], `k` and `v` [Nk, A D] by their gradients.
pub(super) struct Backward<'a, F> {
    pub heads: Heads<F>,
    pub q: ArrayViewMut2<'a, F>,
    pub k: ArrayViewMut2<'a, F>,
    pub v: ArrayViewMut2<'a, F>,
    pub normalisers: &'a [Normaliser<F>],
    pub d_context: ArrayView2<'a, F>,
    pub scratch: &'a mut Scratch<F>,
}

impl<F: Real> Work for Backward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn on<U: Unit>(self, unit: U) {
        let Backward {
            heads,
            q: q_rows,
            k: k_rows,
            v: v_rows,
            normalisers,
            d_context: d_context_rows,
            scratch,
        } = self;
        let Scratch { q, k, v, k_t, v_t, scores, d_scores, context: d_context, d_q, d_k, d_v, probs, .. } =
            scratch;
        q.gather(q_rows.view(), heads.heads, heads.scale);
        k.gather(k_rows.view(), heads.heads, F::one());
        v.gather(v_rows.view(), heads.heads, F::one());
        d_context.gather(d_context_rows, heads.heads, F::one());
        d_q.reshape_like(q);
        d_k.reshape_like(k);
        d_v.reshape_like(v);
        for head in 0..heads.heads {
            let keys = heads.keys(head);
            let k = k.some(keys.clone());
            k_t.transpose(k);
            v_t.transpose(v.some(keys.clone()));
            let mut onto = Onto::Nothing;
            for Block { queries, first } in heads.blocks(head) {
                let (q, d_context) = (q.some(queries.clone()), d_context.some(queries.clone()));
                scores.reshape(queries.len(), heads.keys);
                d_scores.reshape(queries.len(), heads.keys);
                unit.run(Product {
                    c: scores.all_mut(),
                    a: Left::rows(q),
                    b: k_t.all(),
                    onto: Onto::Nothing,
                });
                unit.run(Product {
                    c: d_scores.all_mut(),
                    a: Left::rows(d_context),
                    b: v_t.all(),
                    onto: Onto::Nothing,
                });
                let normalisers = &normalisers[queries.clone()];
                unit.run(Gradients { scores, d: d_scores, probs, mask: heads.mask, first, normalisers });
                unit.run(Product {
                    c: d_v.some_mut(keys.clone()),
                    a: Left::columns(scores.all()),
                    b: d_context,
                    onto,
                });
                unit.run(Product {
                    c: d_q.some_mut(queries),
                    a: Left::rows(d_scores.all()),
                    b: k,
                    onto: Onto::Nothing,
                });
                unit.run(Product {
                    c: d_k.some_mut(keys.clone()),
                    a: Left::columns(d_scores.all()),
                    b: q,
                    onto,
                });
                onto = Onto::Sum;
            }
        }
        d_q.scatter(q_rows, |_| heads.scale);
        d_k.scatter(k_rows, |_| F::one());
        d_v.scatter(v_rows, |_| F::one());
    }
}
