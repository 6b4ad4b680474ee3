//! The backward pass of some heads of one sequence.

use super::super::Normaliser;
use super::super::head::{Backward, Heads};
use super::factor::{pack, write};
use super::passes::{Gradients, Lanes};
use super::{IS_F32, Scratch, some, strips};
use crate::Real;
use crate::kernels::Onto;
use crate::kernels::packed::{Bf16Block as Block, Bf16Unit as Unit, Order, SIDE, Square, round_over};
use crate::kernels::simd::on_best_unit;
use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use std::ops::Range;

/// Blocks of probabilities that wait for the products along the queries.
const RUN: usize = 64;

/// Replaces `q` [Nq, A D], `k` and `v` [Nk, A D] by their gradients.
///
/// # Panics
/// When `F` is not `f32`.
pub(in super::super) fn backward<F: Real>(unit: Unit, backward: Backward<'_, F>) {
    let Backward { heads, q, k, v, normalisers, d_context, scratch } = backward;
    let mut qkv = [q, k, v].map(|x| F::view_f32_mut(x).expect(IS_F32));
    let (d_context, width) = (F::view_f32(d_context).expect(IS_F32), d_context.ncols() / heads.heads);
    unit.ready(|| {
        let [q, k, v] = qkv.each_mut().map(|x| x.axis_chunks_iter_mut(Axis(1), width));
        let d_contexts = d_context.axis_chunks_iter(Axis(1), width);
        let normalisers = normalisers.chunks_exact(heads.queries);
        for (head, ((((q, k), v), d_context), normalisers)) in
            q.zip(k).zip(v).zip(d_contexts).zip(normalisers).enumerate()
        {
            one_head(unit, &heads.one(head), [q, k, v], d_context, normalisers, &mut scratch.rounded);
        }
    });
}

fn one_head<F: Real>(
    unit: Unit,
    head: &Heads<f32>,
    [mut q, mut k, mut v]: [ArrayViewMut2<'_, f32>; 3],
    d_context: ArrayView2<'_, f32>,
    normalisers: &[Normaliser<F>],
    scratch: &mut Scratch,
) {
    scratch.pack(unit, [q.view(), k.view(), v.view(), d_context], head);
    let [query_strips, key_strips, depth] = [head.queries, head.keys, q.ncols()].map(strips);
    let len = (RUN / key_strips).max(1);
    for first in (0..query_strips).step_by(len) {
        let run = first..(first + len).min(query_strips);
        for strip in run.clone() {
            scratch.gradients(unit, head, strip, &normalisers[strip * SIDE..]);
            scratch.round(unit, key_strips, len, strip - first);
            for d in 0..depth {
                let (row, keys) = (&scratch.row[..key_strips], scratch.keys_right.strip(d));
                unit.multiply(row, keys, &mut scratch.square, Onto::Nothing);
                write(&scratch.square, &mut q, [strip, d], &[head.scale * head.keep(); SIDE]);
            }
        }
        scratch.add_products(unit, head, [&mut k, &mut v], len, run);
    }
}

impl Scratch {
    /// Rounds queries, keys, values and the gradient of the context of a head, and makes room for the rest.
    fn pack(&mut self, unit: Unit, [q, k, v, d_context]: [ArrayView2<'_, f32>; 4], head: &Heads<f32>) {
        let [queries, d_contexts] = [&mut self.queries, &mut self.d_context];
        let [keys, values] = [&mut self.keys, &mut self.values];
        let [queries_right, d_contexts_right] = [&mut self.queries_right, &mut self.d_context_right];
        pack(unit, q, [(Order::RightTransposed, queries), (Order::Right, queries_right)]);
        pack(unit, k, [(Order::Left, keys), (Order::Right, &mut self.keys_right)]);
        pack(unit, v, [(Order::Left, values)]);
        pack(unit, d_context, [(Order::RightTransposed, d_contexts), (Order::Right, d_contexts_right)]);
        let [key_strips, depth] = [head.keys, q.ncols()].map(strips);
        for squares in [&mut self.scores, &mut self.d_probs, &mut self.probs] {
            some(squares, key_strips, Square::zero());
        }
        for squares in [&mut self.d_keys, &mut self.d_values] {
            some(squares, key_strips * depth, Square::zero());
        }
        some(&mut self.row, key_strips, Block::ZERO);
        for blocks in [&mut self.probs_left, &mut self.d_scores_left] {
            some(blocks, RUN.max(key_strips), Block::ZERO);
        }
    }

    /// Leaves in `probs` the dropped probabilities of a strip of queries, and in `scores` the gradient of its scores.
    fn gradients<F: Real>(
        &mut self,
        unit: Unit,
        head: &Heads<f32>,
        strip: usize,
        normalisers: &[Normaliser<F>],
    ) {
        let (mut max, mut inverse_sum): (Lanes, Lanes) = ([0.0; SIDE], [0.0; SIDE]);
        for ((normaliser, max), inverse_sum) in normalisers.iter().zip(&mut max).zip(&mut inverse_sum) {
            [*max, *inverse_sum] = [normaliser.max, normaliser.inverse_sum].map(|x| x.f64() as f32);
        }
        let key_strips = strips(head.keys);
        let (scores, d_probs) = (&mut self.scores[..key_strips], &mut self.d_probs[..key_strips]);
        for (j, (scores, d_probs)) in scores.iter_mut().zip(d_probs.iter_mut()).enumerate() {
            unit.multiply(self.keys.strip(j), self.queries.strip(strip), scores, Onto::Nothing);
            unit.multiply(self.values.strip(j), self.d_context.strip(strip), d_probs, Onto::Nothing);
        }
        on_best_unit(Gradients {
            scores,
            d_probs,
            probs: &mut self.probs[..key_strips],
            scale: head.scale,
            shape: [head.keys, normalisers.len().min(SIDE)],
            kept: self.kept.draw(head.mask, head.first + strip * SIDE * head.keys, head.keys),
            max: &max,
            inverse_sum: &inverse_sum,
        });
    }

    /// Rounds what [`Scratch::gradients`] left for the products that follow, as number `place` of a run of `len` strips.
    fn round(&mut self, unit: Unit, key_strips: usize, len: usize, place: usize) {
        for j in 0..key_strips {
            let to = j * len + place;
            round_over(unit, &self.probs[j], Order::Left, &mut self.probs_left[to]);
            round_over(unit, &self.scores[j], Order::Left, &mut self.d_scores_left[to]);
            round_over(unit, &self.scores[j], Order::LeftTransposed, &mut self.row[j]);
        }
    }

    /// Adds to the gradients of keys and values what a run of at most `len` strips of queries contributes, and writes them
    /// after the last one.
    fn add_products(
        &mut self,
        unit: Unit,
        head: &Heads<f32>,
        [k, v]: [&mut ArrayViewMut2<'_, f32>; 2],
        len: usize,
        run: Range<usize>,
    ) {
        let [query_strips, key_strips, depth] = [head.queries, head.keys, k.ncols()].map(strips);
        let onto = if run.start == 0 { Onto::Nothing } else { Onto::Sum };
        // Sums that are finished at once stay in one place in the first cache.
        let places = if query_strips <= len { 1 } else { key_strips * depth };
        for place in 0..key_strips * depth {
            let (j, d, left) = (place / depth, place % depth, place / depth * len..);
            let (probs, d_scores) =
                (&self.probs_left[left.clone()][..run.len()], &self.d_scores_left[left][..run.len()]);
            let d_context = &self.d_context_right.strip(d)[run.clone()];
            let queries = &self.queries_right.strip(d)[run.clone()];
            let [d_values, d_keys] =
                [&mut self.d_values, &mut self.d_keys].map(|sums| &mut sums[place % places]);
            unit.multiply(probs, d_context, d_values, onto);
            unit.multiply(d_scores, queries, d_keys, onto);
            if run.end == query_strips {
                write(d_values, v, [j, d], &[head.keep(); SIDE]);
                write(d_keys, k, [j, d], &[head.scale * head.keep(); SIDE]);
            }
        }
    }
}
