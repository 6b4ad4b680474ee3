//! The mathematics of sequences with one query: products of a vector and a matrix.
//!
//! Every key and value is met once, so it is used where it lies: token after token, all heads of it side by side.

use super::LANES;
use super::head::{Backward, Forward, Scratch};
use super::panel::{Panel, load, store};
use super::softmax::{Exponentials, Gradients, reduce};
use crate::Real;
use crate::kernels::simd::{Unit, Work};
use ndarray::ArrayView1;

/// As [`Forward`], for one query.
pub(super) struct SingleForward<'a, F>(pub Forward<'a, F>);

impl<F: Real> Work for SingleForward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn on<U: Unit>(self, unit: U) {
        let Forward { heads, q: q_row, k, v, context: mut context_row, normalisers, scratch } = self.0;
        let Scratch { q, scores, context, .. } = scratch;
        let (num_heads, width) = (heads.heads, q_row.len() / heads.heads);
        factors(q, row(q_row.row(0)), num_heads, width, heads.scale);
        scores.reshape(num_heads, heads.keys);
        for (j, k) in k.rows().into_iter().map(row).enumerate() {
            dots(unit, q, k, scores, j);
        }
        unit.run(Exponentials { scores, mask: heads.mask, first: heads.first, normalisers });
        zeros(context, num_heads, width);
        for (j, v) in v.rows().into_iter().map(row).enumerate() {
            add_scaled(unit, context, scores, j, v);
        }
        let keep = heads.mask.map_or(F::one(), |mask| F::of(mask.keep_scale()));
        let context_row = context_row.as_slice_mut().expect("a row is contiguous");
        write(context_row, context, |head| normalisers[head].inverse_sum * keep);
    }
}

/// As [`Backward`], for one query.
pub(super) struct SingleBackward<'a, F>(pub Backward<'a, F>);

impl<F: Real> Work for SingleBackward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn on<U: Unit>(self, unit: U) {
        let Backward { heads, q: mut q_row, mut k, mut v, normalisers, d_context, scratch } = self.0;
        let Scratch { q, scores, d_scores, context: d_context_factors, d_q, probs, .. } = scratch;
        let (num_heads, width) = (heads.heads, q_row.len() / heads.heads);
        let q_row = q_row.as_slice_mut().expect("a row is contiguous");
        let d_context = row(d_context.row(0));
        factors(q, q_row, num_heads, width, heads.scale);
        factors(d_context_factors, d_context, num_heads, width, F::one());
        scores.reshape(num_heads, heads.keys);
        d_scores.reshape(num_heads, heads.keys);
        for (j, (k, v)) in k.rows().into_iter().zip(v.rows()).enumerate() {
            dots(unit, q, row(k), scores, j);
            dots(unit, d_context_factors, row(v), d_scores, j);
        }
        unit.run(Gradients { scores, d: d_scores, probs, mask: heads.mask, first: heads.first, normalisers });
        zeros(d_q, num_heads, width);
        for (j, k) in k.rows().into_iter().enumerate() {
            add_scaled(unit, d_q, d_scores, j, row(k));
        }
        for (j, (mut k, mut v)) in k.rows_mut().into_iter().zip(v.rows_mut()).enumerate() {
            scaled(k.as_slice_mut().expect("rows are contiguous"), q_row, d_scores, j, heads.scale);
            scaled(v.as_slice_mut().expect("rows are contiguous"), d_context, scores, j, F::one());
        }
        write(q_row, d_q, |_| heads.scale);
    }
}

fn row<'a, F>(row: ArrayView1<'a, F>) -> &'a [F] {
    row.to_slice().expect("a row is contiguous")
}

/// Takes the heads of a row for [`dots`]: what the last vector of a head has in common with the one before is zero.
#[inline(always)]
fn factors<F: Real>(out: &mut Panel<F>, x: &[F], heads: usize, width: usize, scale: F) {
    out.reshape(heads, width);
    for (head, x) in x.chunks_exact(width).take(heads).enumerate() {
        for (v, out) in out.row_mut(head).iter_mut().enumerate() {
            let vector = load(x, v);
            let common = (v * LANES).saturating_sub(width.saturating_sub(LANES)).min(LANES);
            for l in 0..LANES {
                out[l] = if l < common && v > 0 { F::zero() } else { vector[l] * scale };
            }
        }
    }
}

fn zeros<F: Real>(out: &mut Panel<F>, heads: usize, width: usize) {
    out.reshape(heads, width);
    out.lanes_mut().as_flattened_mut().fill(F::zero());
}

/// Puts the dot products of the heads of `x` and of a token into column `j` of `out`.
#[inline(always)]
fn dots<U: Unit, F: Real>(unit: U, x: &Panel<F>, token: &[F], out: &mut Panel<F>, j: usize) {
    let (rows, out_stride) = (x.all(), out.stride() * LANES);
    let out = out.lanes_mut().as_flattened_mut();
    let heads = rows.lanes.chunks_exact(rows.stride).zip(token.chunks_exact(rows.width));
    for (head, (x, token)) in heads.enumerate() {
        let mut sums = [F::zero(); LANES];
        for (v, x) in x.iter().enumerate() {
            let y = load(token, v);
            for l in 0..LANES {
                sums[l] = unit.mul_add(x[l], y[l], sums[l]);
            }
        }
        out[head * out_stride + j] = reduce(sums, |a, b| a + b);
    }
}

/// Adds to each head's row of `sum` that of a token times the factor in column `j` of `factors`.
#[inline(always)]
fn add_scaled<U: Unit, F: Real>(unit: U, sum: &mut Panel<F>, factors: &Panel<F>, j: usize, token: &[F]) {
    let (width, stride) = (sum.width(), sum.stride());
    let (factors, factor_stride) = (factors.all().lanes.as_flattened(), factors.stride() * LANES);
    let rows = sum.lanes_mut().chunks_exact_mut(stride).zip(token.chunks_exact(width));
    for (head, (sum, token)) in rows.enumerate() {
        let factor = factors[head * factor_stride + j];
        for (v, sum) in sum.iter_mut().enumerate() {
            let (x, before) = (load(token, v), *sum);
            for l in 0..LANES {
                sum[l] = unit.mul_add(factor, x[l], before[l]);
            }
        }
    }
}

/// Fills a token with the heads of `x`, each times the factor in column `j` of `factors`, times `scale`.
#[inline(always)]
fn scaled<F: Real>(token: &mut [F], x: &[F], factors: &Panel<F>, j: usize, scale: F) {
    let (factor_stride, rows) = (factors.stride() * LANES, factors.all());
    let width = token.len() / rows.rows;
    let factors = rows.lanes.as_flattened();
    for (head, (token, x)) in token.chunks_exact_mut(width).zip(x.chunks_exact(width)).enumerate() {
        let factor = factors[head * factor_stride + j] * scale;
        for v in 0..width.div_ceil(LANES) {
            store(token, v, load(x, v).map(|x| x * factor));
        }
    }
}

/// Writes the heads of a row, each times its scale.
#[inline(always)]
fn write<F: Real>(out: &mut [F], heads: &Panel<F>, scale: impl Fn(usize) -> F) {
    for (head, out) in out.chunks_exact_mut(heads.width()).enumerate() {
        for (v, vector) in heads.row(head).iter().enumerate() {
            store(out, v, vector.map(|x| x * scale(head)));
        }
    }
}
