//! The passes over rows of scores: softmax with dropout, and its gradient.
//!
//! Each pass is a few sweeps over a row, vector by vector, with little in each: loops of this shape the compiler turns
//! into vector instructions without exception.

use super::panel::Panel;
use super::{LANES, Normaliser};
use crate::Real;
use crate::kernels::Mask;
use crate::kernels::simd::{Unit, Work};
use std::hint::black_box;

/// Replaces scores `s` by `e^(s - max) m`, and notes for each row `max` and `1 / Σ e^(s - max)`.
///
/// The mask `m` is 0 or 1 here: its scale is left to the caller, as is that of the sum.
pub(super) struct Exponentials<'a, F> {
    /// Queries of the block by keys.
    pub scores: &'a mut Panel<F>,
    /// The mask, and the number of the block's first probability in it.
    pub mask: Option<Mask>,
    pub first: usize,
    pub normalisers: &'a mut [Normaliser<F>],
}

impl<F: Real> Work for Exponentials<'_, F> {
    type Output = ();

    #[inline(always)]
    fn on<U: Unit>(self, unit: U) {
        let (keys, stride) = (self.scores.width(), self.scores.stride());
        let tail = Tail::new(keys);
        let rows = self.scores.lanes_mut().chunks_exact_mut(stride).zip(self.normalisers);
        for (i, (row, normaliser)) in rows.enumerate() {
            let row = tail.add_to(&mut row[..keys.div_ceil(LANES)]);
            let max = fold(row, F::neg_infinity(), larger);
            let mut sums = [F::zero(); LANES];
            for x in row.iter_mut() {
                for l in 0..LANES {
                    let e = exp(unit, x[l] - max);
                    x[l] = e;
                    sums[l] += e;
                }
            }
            let sum = reduce(sums, |a, b| a + b);
            *normaliser = Normaliser { max, inverse_sum: sum.recip() };
            if let Some(mask) = self.mask {
                let first = (self.first + i * keys) as u32;
                for (v, x) in row.iter_mut().enumerate() {
                    let factor = factors(mask, first.wrapping_add((v * LANES) as u32), F::one());
                    *x = map2(*x, factor, |x, factor| x * factor);
                }
            }
        }
    }
}

/// Turns a block of scores and the gradient of its dropped probabilities into what backward multiplies with.
///
/// With `p = e^(s - max) / Σ` and the scaled mask `m`: `scores` becomes `p m`, and `d` becomes
/// `p (d m - Σ p d m)`, the gradient of the scores.
pub(super) struct Gradients<'a, F> {
    /// Queries of the block by keys.
    pub scores: &'a mut Panel<F>,
    pub d: &'a mut Panel<F>,
    /// Room for a row.
    pub probs: &'a mut Vec<[F; LANES]>,
    /// The mask, and the number of the block's first probability in it.
    pub mask: Option<Mask>,
    pub first: usize,
    pub normalisers: &'a [Normaliser<F>],
}

impl<F: Real> Work for Gradients<'_, F> {
    type Output = ();

    #[inline(always)]
    fn on<U: Unit>(self, unit: U) {
        let (keys, stride) = (self.scores.width(), self.scores.stride());
        let vectors = keys.div_ceil(LANES);
        let tail = Tail::new(keys);
        let keep = self.mask.map_or(F::one(), |mask| F::of(mask.keep_scale()));
        self.probs.resize(vectors, [F::zero(); LANES]);
        let probs = &mut self.probs[..];
        let rows = self.scores.lanes_mut().chunks_exact_mut(stride);
        let rows = rows.zip(self.d.lanes_mut().chunks_exact_mut(stride)).zip(self.normalisers);
        for (i, ((s, d), normaliser)) in rows.enumerate() {
            let (s, d) = (tail.add_to(&mut s[..vectors]), &mut d[..vectors]);
            let Normaliser { max, inverse_sum } = *normaliser;
            for (p, s) in probs.iter_mut().zip(s.iter()) {
                *p = map(*s, |s| exp(unit, s - max) * inverse_sum);
            }
            let first = (self.first + i * keys) as u32;
            for (v, s) in s.iter_mut().enumerate() {
                *s = match self.mask {
                    Some(mask) => factors(mask, first.wrapping_add((v * LANES) as u32), keep),
                    None => [F::one(); LANES],
                };
            }
            let mut dot = [F::zero(); LANES];
            for ((s, d), p) in s.iter_mut().zip(d.iter_mut()).zip(probs.iter()) {
                *d = map2(*d, *s, |d, factor| d * factor);
                *s = map2(*p, *s, |p, factor| p * factor);
                let pd = (*p, *d);
                for l in 0..LANES {
                    dot[l] = unit.mul_add(pd.0[l], pd.1[l], dot[l]);
                }
            }
            let dot = reduce(dot, |a, b| a + b);
            for (d, p) in d.as_flattened_mut().iter_mut().zip(probs.as_flattened()) {
                *d = *p * (*d - dot);
            }
        }
    }
}

/// Returns `eˣ`, and zero where that is too small to matter: subnormal numbers would take a hundred times as long.
#[inline(always)]
fn exp<U: Unit, F: Real>(unit: U, x: F) -> F {
    let e = x.fast_exp_with(|a, b, c| unit.mul_add(a, b, c));
    if x < F::of(-80.0) { F::zero() } else { e }
}

/// Returns a vector of the mask: 0 or `keep`. `first`: the number of its first element.
#[inline(always)]
fn factors<F: Real>(mask: Mask, first: u32, keep: F) -> [F; LANES] {
    let mut factors = [F::zero(); LANES];
    for (l, factor) in factors.iter_mut().enumerate() {
        *factor = if mask.keeps(first.wrapping_add(l as u32)) { keep } else { F::zero() };
    }
    factors
}

#[inline(always)]
fn map<F: Real>(x: [F; LANES], f: impl Fn(F) -> F) -> [F; LANES] {
    let mut y = x;
    for l in 0..LANES {
        y[l] = f(x[l]);
    }
    y
}

#[inline(always)]
fn map2<F: Real>(x: [F; LANES], y: [F; LANES], f: impl Fn(F, F) -> F) -> [F; LANES] {
    let mut z = x;
    for l in 0..LANES {
        z[l] = f(x[l], y[l]);
    }
    z
}

/// What is added to the last vector of a row, so that lanes beyond the last key have probability zero.
struct Tail<F>([F; LANES]);

impl<F: Real> Tail<F> {
    fn new(keys: usize) -> Self {
        let rest = (keys - 1) % LANES + 1;
        Tail(std::array::from_fn(|l| if l < rest { F::zero() } else { F::neg_infinity() }))
    }

    #[inline(always)]
    fn add_to<'a>(&self, row: &'a mut [[F; LANES]]) -> &'a mut [[F; LANES]] {
        if let Some(last) = row.last_mut() {
            *last = map2(*last, self.0, |x, tail| x + tail);
        }
        row
    }
}

/// The larger of two numbers; the second when the first is not a number.
#[inline(always)]
fn larger<F: Real>(a: F, b: F) -> F {
    if a > b { a } else { b }
}

/// Folds a row, lane by lane, and then the lanes.
#[inline(always)]
fn fold<F: Real>(row: &[[F; LANES]], start: F, f: impl Fn(F, F) -> F + Copy) -> F {
    let mut lanes = [start; LANES];
    for x in row {
        lanes = map2(*x, lanes, f);
    }
    reduce(lanes, f)
}

/// Folds the lanes of a vector: halves onto halves.
#[inline(always)]
pub(super) fn reduce<F: Real>(lanes: [F; LANES], f: impl Fn(F, F) -> F + Copy) -> F {
    // If the compiler saw through this, it would take the vector apart to fold its lanes one by one.
    let half = black_box(halve::<F, 8>(&lanes, f));
    let [a, b] = halve::<F, 2>(&halve::<F, 4>(&half, f), f);
    f(a, b)
}

#[inline(always)]
fn halve<F: Real, const N: usize>(lanes: &[F], f: impl Fn(F, F) -> F) -> [F; N] {
    let mut half = [F::zero(); N];
    for l in 0..N {
        half[l] = f(lanes[l], lanes[l + N]);
    }
    half
}
