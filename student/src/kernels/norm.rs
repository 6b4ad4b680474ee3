//! Layer normalisation of all rows in one pass over memory, with whatever comes before and after it in the same pass.
//!
//! A strip of rows stays in the innermost cache while it is summed, dropped out, normalised, scaled and written.

use super::fresh::{fresh, write, written};
use super::rows::{BLOCK_ROWS, add_in_order};
use super::simd::{Unit, Work, on_best_unit};
use super::sums::sums;
use crate::Real;
use ndarray::Array2;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Rows of a strip. Eight rows of a width divisible by four are whole blocks of a dropout mask.
const STRIP_ROWS: usize = 8;

/// The scale γ and the shift β of a normalisation, both `[H]`, and its ε.
#[derive(Clone, Copy)]
pub(crate) struct Affine<'a, F> {
    pub gamma: &'a [F],
    pub beta: &'a [F],
    pub epsilon: F,
}

/// Rows with mean 0 and variance 1, [N, H], and `1 / σ` of what they were, `[N]`.
pub(crate) struct Normalized<F> {
    rows: Array2<F>,
    inverse_deviations: Vec<F>,
}

/// The gradients that a normalisation returns.
pub(crate) struct NormGrads<F> {
    /// The gradient of γ, `[H]`.
    pub gamma: Vec<F>,
    /// The gradient of β, `[H]`.
    pub beta: Vec<F>,
    /// The gradient of what was normalised, [N, H].
    pub x: Array2<F>,
    /// What `finish` made of the normalised rows, which are needed no more, [N, H].
    pub rows: Array2<F>,
}

/// What else happens to a strip of rows, of which the first element has the number `first`, while it is in the cache.
pub(super) trait Around<F>: Sync {
    /// Changes rows before they are normalised.
    fn before(&self, _first: usize, _x: &mut [F]) {}

    /// Changes rows after they have been scaled and shifted.
    fn after(&self, _first: usize, _y: &mut [F]) {}
}

/// The same on the way back.
pub(super) trait AroundBackward<F>: Sync {
    /// Changes the gradient of `y` before it becomes that of `x`.
    fn before(&self, _first: usize, _d_y: &mut [F]) {}

    /// Puts what it likes in place of the normalised rows, which are needed no more.
    fn after(&self, _first: usize, _d_x: &[F], _rows: &mut [F]) {}
}

/// Computes `x̂ = (x − mean x) / σ`, `σ = √(var x + ε)`, and `y = γ x̂ + β`, row by row; returns `y` and `x̂`, [N, H].
pub(super) fn normalize<F: Real>(
    mut x: Array2<F>,
    affine: Affine<'_, F>,
    around: &impl Around<F>,
) -> (Array2<F>, Normalized<F>) {
    let (shape, size) = (x.dim(), BLOCK_ROWS * x.ncols());
    assert_eq!(affine.gamma.len(), x.ncols(), "the scale is as wide as the rows");
    let mut inverse_deviations = vec![F::zero(); x.nrows()];
    let write_y = |y: &mut [MaybeUninit<F>]| {
        let x = x.as_slice_mut().expect("layers make contiguous matrices");
        let blocks = x.par_chunks_mut(size).zip(y.par_chunks_mut(size));
        let blocks = blocks.zip(inverse_deviations.par_chunks_mut(BLOCK_ROWS)).enumerate();
        blocks.for_each(|(i, ((x, y), inverses))| {
            on_best_unit(Forward { first: i * size, x, y, inverses, affine, around });
        });
    };
    // SAFETY: the blocks are all of `y`, and each is written.
    let y = unsafe { fresh(shape, write_y) };
    (y, Normalized { rows: x, inverse_deviations })
}

/// Computes the gradients of [`normalize`] from that of `y`, [N, H].
///
/// `dx = (g − mean g − x̂ · mean(g x̂)) / σ` with `g = γ dy`; `dγ = Σₙ dy x̂`, `dβ = Σₙ dy`.
pub(super) fn normalize_backward<F: Real>(
    normalized: Normalized<F>,
    gamma: &[F],
    mut d_y: Array2<F>,
    around: &impl AroundBackward<F>,
) -> NormGrads<F> {
    let Normalized { mut rows, inverse_deviations } = normalized;
    let (width, size) = (d_y.ncols(), BLOCK_ROWS * d_y.ncols());
    let d = d_y.as_slice_mut().expect("layers make contiguous matrices");
    let x = rows.as_slice_mut().expect("layers make contiguous matrices");
    let blocks = d.par_chunks_mut(size).zip(x.par_chunks_mut(size));
    let blocks = blocks.zip(inverse_deviations.par_chunks(BLOCK_ROWS)).enumerate();
    let sums = blocks.map(|(i, ((d, x), inverses))| {
        on_best_unit(Backward { first: i * size, d, x, inverses, gamma, around })
    });
    let mut gamma = add_in_order(&sums.collect::<Vec<_>>(), 2 * width);
    let beta = gamma.split_off(width);
    NormGrads { gamma, beta, x: d_y, rows }
}

/// The forward pass of a block of rows; `first` is the number of its first element.
struct Forward<'a, F, A> {
    first: usize,
    x: &'a mut [F],
    y: &'a mut [MaybeUninit<F>],
    inverses: &'a mut [F],
    affine: Affine<'a, F>,
    around: &'a A,
}

impl<F: Real, A: Around<F>> Work for Forward<'_, F, A> {
    type Output = ();

    #[inline(always)]
    fn on<U: Unit>(self, _: U) {
        let Forward { first, x, y, inverses, affine, around } = self;
        let size = STRIP_ROWS * affine.gamma.len();
        let strips = x.chunks_mut(size).zip(y.chunks_mut(size)).zip(inverses.chunks_mut(STRIP_ROWS));
        for (((x, y), inverses), first) in strips.zip((first..).step_by(size)) {
            around.before(first, x);
            normalize_strip(x, y, inverses, affine);
            // SAFETY: `normalize_strip` has written every element.
            around.after(first, unsafe { written(y) });
        }
    }
}

/// The backward pass of a block of rows; returns its share of the gradients of γ and β, one after the other.
struct Backward<'a, F, A> {
    first: usize,
    d: &'a mut [F],
    x: &'a mut [F],
    inverses: &'a [F],
    gamma: &'a [F],
    around: &'a A,
}

impl<F: Real, A: AroundBackward<F>> Work for Backward<'_, F, A> {
    type Output = Vec<F>;

    #[inline(always)]
    fn on<U: Unit>(self, _: U) -> Vec<F> {
        let Backward { first, d, x, inverses, gamma, around } = self;
        let size = STRIP_ROWS * gamma.len();
        let mut sums = vec![F::zero(); 2 * gamma.len()];
        let strips = d.chunks_mut(size).zip(x.chunks_mut(size)).zip(inverses.chunks(STRIP_ROWS));
        for (((d, x), inverses), first) in strips.zip((first..).step_by(size)) {
            around.before(first, d);
            denormalize_strip(d, x, inverses, gamma, &mut sums);
            around.after(first, d, x);
        }
        sums
    }
}

/// Normalises rows in place, writes `γ x̂ + β` to `y` and `1 / σ` to `inverses`.
#[inline(always)]
fn normalize_strip<F: Real>(
    x: &mut [F],
    y: &mut [MaybeUninit<F>],
    inverses: &mut [F],
    affine: Affine<'_, F>,
) {
    let Affine { gamma, beta, epsilon } = affine;
    let (width, share) = (gamma.len(), F::of(gamma.len() as f64).recip());
    for ((x, y), inverse) in x.chunks_exact_mut(width).zip(y.chunks_exact_mut(width)).zip(inverses) {
        let [sum] = sums([x], |[x]| [x]);
        let mean = sum * share;
        let [squares] = sums([x], |[x]| [(x - mean) * (x - mean)]);
        *inverse = (squares * share + epsilon).sqrt().recip();
        x.iter_mut().for_each(|x| *x = (*x - mean) * *inverse);
        write(y, [x, gamma, beta], |[x, gamma, beta]| gamma * x + beta);
    }
}

/// Replaces the gradient of the rows of `y` by that of the rows of `x`, and adds those of γ and β to `sums`.
#[inline(always)]
fn denormalize_strip<F: Real>(d: &mut [F], x: &[F], inverses: &[F], gamma: &[F], sums_of: &mut [F]) {
    let (width, share) = (gamma.len(), F::of(gamma.len() as f64).recip());
    let (d_gamma, d_beta) = sums_of.split_at_mut(width);
    for ((d, x), &inverse) in d.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(inverses) {
        let columns = d.iter().zip(x).zip(d_gamma.iter_mut().zip(d_beta.iter_mut()));
        columns.for_each(|((&d, &x), (d_gamma, d_beta))| {
            *d_gamma += d * x;
            *d_beta += d;
        });
        let [sum, product] = sums([d, x, gamma], |[d, x, gamma]| [d * gamma, d * gamma * x]);
        let (mean, mean_product) = (sum * share, product * share);
        let rows = d.iter_mut().zip(x).zip(gamma);
        rows.for_each(|((d, &x), &gamma)| *d = (*d * gamma - mean - x * mean_product) * inverse);
    }
}
