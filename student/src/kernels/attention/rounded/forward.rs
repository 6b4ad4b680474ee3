//! The forward pass of some heads of one sequence.

use super::super::Normaliser;
use super::super::head::{Forward, Heads};
use super::factor::{expect_next, pack, write};
use super::passes::{Exponentials, Lanes};
use super::{IS_F32, Scratch, some, strips};
use crate::Real;
use crate::kernels::Onto;
use crate::kernels::packed::{Bf16Block as Block, Bf16Unit as Unit, Order, SIDE, Square, round_over};
use crate::kernels::simd::on_best_unit;
use ndarray::{ArrayView2, ArrayViewMut2, Axis};

/// Fills `context` [Nq, A D] and `normalisers` [A Nq].
///
/// # Panics
/// When `F` is not `f32`.
pub(in super::super) fn forward<F: Real>(unit: Unit, forward: Forward<'_, F>) {
    let Forward { heads, q, k, v, context, normalisers, scratch } = forward;
    let [q, k, v] = [q, k, v].map(|x| F::view_f32(x).expect(IS_F32));
    let (mut context, width) = (F::view_f32_mut(context).expect(IS_F32), q.ncols() / heads.heads);
    unit.ready(|| {
        let [q, k, v] = [&q, &k, &v].map(|x| x.axis_chunks_iter(Axis(1), width));
        let contexts = context.axis_chunks_iter_mut(Axis(1), width);
        let normalisers = normalisers.chunks_exact_mut(heads.queries);
        for (head, ((((q, k), v), context), normalisers)) in
            q.zip(k).zip(v).zip(contexts).zip(normalisers).enumerate()
        {
            one_head(unit, &heads.one(head), [q, k, v], context, normalisers, &mut scratch.rounded);
        }
    });
}

fn one_head<F: Real>(
    unit: Unit,
    head: &Heads<f32>,
    [q, k, v]: [ArrayView2<'_, f32>; 3],
    mut context: ArrayViewMut2<'_, f32>,
    normalisers: &mut [Normaliser<F>],
    scratch: &mut Scratch,
) {
    let Scratch { square, scores, kept, queries, keys, values, row: probs, .. } = scratch;
    pack(unit, q, [(Order::RightTransposed, queries)]);
    pack(unit, k, [(Order::Left, keys)]);
    pack(unit, v, [(Order::Right, values)]);
    expect_next(context.view());
    let scores = some(scores, strips(head.keys), Square::zero());
    let probs = some(probs, strips(head.keys), Block::ZERO);
    for (strip, normalisers) in normalisers.chunks_mut(SIDE).enumerate() {
        for (j, scores) in scores.iter_mut().enumerate() {
            unit.multiply(keys.strip(j), queries.strip(strip), scores, Onto::Nothing);
        }
        let (mut max, mut inverse_sum): (Lanes, Lanes) = ([0.0; SIDE], [0.0; SIDE]);
        on_best_unit(Exponentials {
            scores,
            scale: head.scale,
            shape: [head.keys, normalisers.len()],
            kept: kept.draw(head.mask, head.first + strip * SIDE * head.keys, head.keys),
            max: &mut max,
            inverse_sum: &mut inverse_sum,
        });
        for (scores, probs) in scores.iter().zip(probs.iter_mut()) {
            round_over(unit, scores, Order::LeftTransposed, probs);
        }
        let scales = inverse_sum.map(|inverse_sum| inverse_sum * head.keep());
        for d in 0..strips(context.ncols()) {
            unit.multiply(probs, values.strip(d), square, Onto::Nothing);
            write(square, &mut context, [strip, d], &scales);
        }
        for ((normaliser, max), inverse_sum) in normalisers.iter_mut().zip(max).zip(inverse_sum) {
            let [max, inverse_sum] = [max, inverse_sum].map(|x| F::of(f64::from(x)));
            *normaliser = Normaliser { max, inverse_sum };
        }
    }
}
