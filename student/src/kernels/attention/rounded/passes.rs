//! The passes over transposed scores of 32 queries: softmax with dropout, and its gradient.

use crate::kernels::packed::{SIDE, Square};
use crate::kernels::simd::{Unit, Work};
use std::hint::black_box;

/// Queries of a vector.
const LANES: usize = 16;

/// A number for each of 32 queries.
pub(super) type Lanes = [f32; SIDE];

/// Replaces products `s` by `e^((s - max) scale) m`, and notes for each query `max` and
/// `1 / Σ e^((s - max) scale)`.
///
/// The mask `m` is 0 or 1 here: its scale is left to the caller, as is that of the sum.
pub(super) struct Exponentials<'a> {
    /// Keys by queries.
    pub scores: &'a mut [Square<f32>],
    /// What scores are multiplied by.
    pub scale: f32,
    /// How many keys and queries there are; what lies beyond is padding.
    pub shape: [usize; 2],
    pub kept: &'a [[u32; SIDE]],
    pub max: &'a mut Lanes,
    pub inverse_sum: &'a mut Lanes,
}

/// Returns how many keys are in the square of this number.
fn keys_of(square: usize, keys: usize) -> usize {
    SIDE.min(keys - square * SIDE)
}

impl Work for Exponentials<'_> {
    type Output = ();

    #[inline(always)]
    fn on<U: Unit>(self, unit: U) {
        let Exponentials { scores, scale, shape: [keys, queries], kept, max, inverse_sum } = self;
        let exp = Exp::new(scale);
        for v in 0..queries.div_ceil(LANES) {
            let mut most = [f32::NEG_INFINITY; LANES];
            for (j, square) in scores.iter().enumerate() {
                for row in square.0.as_chunks::<SIDE>().0[..keys_of(j, keys)].iter() {
                    let s = vector(row, v);
                    for l in 0..LANES {
                        most[l] = if s[l] > most[l] { s[l] } else { most[l] };
                    }
                }
            }
            let mut sums = [0.0; LANES];
            for (j, (square, kept)) in scores.iter_mut().zip(kept).enumerate() {
                let kept = *vector(kept, v);
                let rows = &mut square.0.as_chunks_mut::<SIDE>().0[..keys_of(j, keys)];
                for (key, row) in rows.iter_mut().enumerate() {
                    let s = vector_mut(row, v);
                    for l in 0..LANES {
                        let e = exp.of(unit, s[l] - most[l]);
                        sums[l] += e;
                        s[l] = if kept[l] & (1 << key) != 0 { e } else { 0.0 };
                    }
                }
            }
            *vector_mut(max, v) = most;
            *vector_mut(inverse_sum, v) = sums.map(|sum| 1.0 / sum);
        }
    }
}

/// Turns scores and the gradient of dropped probabilities into what backward multiplies with.
///
/// With `p = e^((s - max) scale) / Σ` and the mask `m`, 0 or 1: `probs` becomes `p m`, and `scores` becomes
/// `p (d m - Σ p d m)`, the gradient of the scores. The scale of the mask is left to the caller.
pub(super) struct Gradients<'a> {
    /// Keys by queries.
    pub scores: &'a mut [Square<f32>],
    pub d_probs: &'a mut [Square<f32>],
    pub probs: &'a mut [Square<f32>],
    /// What scores are multiplied by.
    pub scale: f32,
    /// How many keys and queries there are; what lies beyond is padding.
    pub shape: [usize; 2],
    pub kept: &'a [[u32; SIDE]],
    pub max: &'a Lanes,
    pub inverse_sum: &'a Lanes,
}

impl Work for Gradients<'_> {
    type Output = ();

    #[inline(always)]
    fn on<U: Unit>(self, unit: U) {
        let Gradients { scores, d_probs, probs, scale, shape: [keys, queries], kept, max, inverse_sum } =
            self;
        let exp = Exp::new(scale);
        for v in 0..queries.div_ceil(LANES) {
            let (max, inverse_sum) = (*vector(max, v), *vector(inverse_sum, v));
            let mut dot = [0.0; LANES];
            for j in 0..scores.len() {
                let kept = *vector(&kept[j], v);
                let [s, d, p] = [&mut scores[j], &mut d_probs[j], &mut probs[j]]
                    .map(|square| &mut square.0.as_chunks_mut::<SIDE>().0[..keys_of(j, keys)]);
                for (key, ((s, d), p)) in s.iter_mut().zip(d).zip(p).enumerate() {
                    let (mut probs, mut d_probs) = (*vector(s, v), *vector(d, v));
                    let mut dropped = [0.0; LANES];
                    for l in 0..LANES {
                        let keep = if kept[l] & (1 << key) != 0 { 1.0 } else { 0.0 };
                        probs[l] = exp.of(unit, probs[l] - max[l]) * inverse_sum[l];
                        d_probs[l] *= keep;
                        dot[l] = unit.mul_add(probs[l], d_probs[l], dot[l]);
                        dropped[l] = probs[l] * keep;
                    }
                    (*vector_mut(s, v), *vector_mut(d, v), *vector_mut(p, v)) = (probs, d_probs, dropped);
                }
            }
            for j in 0..scores.len() {
                let [s, d] =
                    [&mut scores[j], &mut d_probs[j]].map(|square| square.0.as_chunks_mut::<SIDE>().0);
                for key in 0..keys_of(j, keys) {
                    // If the compiler saw that rows follow each other, it would gather one lane of 16 rows.
                    let (s, d) = (&mut s[black_box(key) % SIDE], &d[key]);
                    let (mut probs, d_probs) = (*vector(s, v), *vector(d, v));
                    for l in 0..LANES {
                        probs[l] *= d_probs[l] - dot[l];
                    }
                    *vector_mut(s, v) = probs;
                }
            }
        }
    }
}

/// The function `e^(x scale)` for `x ≤ 0`, and zero below `e⁻⁸⁰`: subnormal numbers would take a hundred times as long.
#[derive(Clone, Copy)]
struct Exp {
    /// `scale · log₂ e`.
    factor: f32,
    least: f32,
}

impl Exp {
    fn new(scale: f32) -> Self {
        Exp { factor: scale * std::f32::consts::LOG2_E, least: -80.0 / scale }
    }

    /// Relative error below 2e-7 and that of the product: `2ʸ = 2ⁿ 2ʳ` with `n = round(y)`, and a polynomial for `2ʳ`.
    #[inline(always)]
    fn of<U: Unit>(self, unit: U, x: f32) -> f32 {
        const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it leaves the rounded integer in the low bits
        let shifted = unit.mul_add(x, self.factor, ROUND);
        let n = shifted - ROUND;
        let r = unit.mul_add(x, self.factor, -n);
        let mut p = 1.327_46e-3;
        for c in [9.671_96e-3, 5.550_678e-2, 2.402_223_5e-1, 6.931_470_6e-1, 1.0] {
            p = unit.mul_add(p, r, c);
        }
        let e = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
        if x < self.least { 0.0 } else { e }
    }
}

/// Returns vector `v` of a row.
#[inline(always)]
fn vector<T>(row: &[T; SIDE], v: usize) -> &[T; LANES] {
    &row.as_chunks().0[v]
}

/// Returns vector `v` of a row, to be written.
#[inline(always)]
fn vector_mut<T>(row: &mut [T; SIDE], v: usize) -> &mut [T; LANES] {
    &mut row.as_chunks_mut().0[v]
}
