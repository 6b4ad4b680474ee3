//! Passes over flat arrays of activations: activation functions, dropout, sums.

use super::fresh::fresh;
use super::simd::{Unit, Work, on_best_unit};
use super::{Mask, vectorized};
use crate::Real;
use ndarray::Array2;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Elements that one task handles. A constant: sums must not depend on the number of threads.
const BLOCK: usize = 1 << 14;

/// Replaces `x` by `GELU(x) = x Φ(x)` and returns the derivative `Φ(x) + x φ(x)`, in the shape of `x`.
///
/// Hendrycks and Gimpel 2016, in the exact form with the error function.
pub(crate) fn gelu<F: Real>(x: &mut Array2<F>) -> Array2<F> {
    let shape = x.dim();
    let write = |derivative: &mut [MaybeUninit<F>]| {
        let blocks = elements(x).par_chunks_mut(BLOCK).zip(derivative.par_chunks_mut(BLOCK));
        blocks.for_each(|(x, derivative)| on_best_unit(Gelu { x, derivative }));
    };
    // SAFETY: `x` and the derivative are equally long, and an element is written for each of `x`.
    unsafe { fresh(shape, write) }
}

/// Returns `x Φ(x)` and `Φ(x) + x φ(x)`, with `mul_add(a, b, c)` for every `a b + c`.
#[inline(always)]
pub(super) fn gelu_of<F: Real>(x: F, mul_add: impl Fn(F, F, F) -> F) -> (F, F) {
    let (cdf, density) = x.normal_with(&mul_add);
    (x * cdf, mul_add(x, density, cdf))
}

struct Gelu<'a, F> {
    x: &'a mut [F],
    derivative: &'a mut [MaybeUninit<F>],
}

impl<F: Real> Work for Gelu<'_, F> {
    type Output = ();

    #[inline(always)]
    fn on<U: Unit>(self, unit: U) {
        for (x, d) in self.x.iter_mut().zip(self.derivative) {
            let (value, derivative) = gelu_of(*x, |a, b, c| unit.mul_add(a, b, c));
            d.write(derivative);
            *x = value;
        }
    }
}

/// Multiplies `x` by `y`, element by element.
pub(crate) fn multiply<F: Real>(x: &mut Array2<F>, y: &Array2<F>) {
    for_pairs(x, y, |x, y| *x *= y);
}

/// Adds `y` to `x`, element by element.
pub(crate) fn add<F: Real>(x: &mut Array2<F>, y: &Array2<F>) {
    for_pairs(x, y, |x, y| *x += y);
}

/// Replaces each element of `x` by 0 or by `x / (1 - rate)`.
pub(crate) fn drop_out<F: Real>(x: &mut Array2<F>, mask: Mask) {
    let blocks = elements(x).par_chunks_mut(BLOCK).enumerate();
    blocks.for_each(|(block, x)| on_best_unit(DropOut { mask, x, first: block * BLOCK }));
}

struct DropOut<'a, F> {
    mask: Mask,
    x: &'a mut [F],
    first: usize,
}

impl<F: Real> Work for DropOut<'_, F> {
    type Output = ();

    #[inline(always)]
    fn on<U: Unit>(self, _: U) {
        self.mask.apply(self.x, self.first);
    }
}

#[inline(always)]
fn for_pairs<F: Real>(x: &mut Array2<F>, y: &Array2<F>, f: impl Fn(&mut F, F) + Sync) {
    assert_eq!(x.dim(), y.dim(), "both matrices have one shape");
    let y = y.as_slice().expect("layers make contiguous matrices");
    elements(x).par_chunks_mut(BLOCK).zip(y.par_chunks(BLOCK)).for_each(|(x, y)| {
        vectorized(|| x.iter_mut().zip(y).for_each(|(x, &y)| f(x, y)));
    });
}

fn elements<F: Real>(x: &mut Array2<F>) -> &mut [F] {
    x.as_slice_mut().expect("layers make contiguous matrices")
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::noise2;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn gelu_agrees_with_its_definition(rows in 0..4_usize, columns in 1..300_usize, seed in 0..1000_u64) {
            let x = noise2::<f32>([rows, columns], seed) * 6.0;
            let mut y = x.clone();
            let derivative = gelu(&mut y);
            for ((&x, &y), &derivative) in x.iter().zip(&y).zip(&derivative) {
                let (cdf, density) = f64::from(x).normal();
                let exact = [f64::from(x) * cdf, cdf + f64::from(x) * density];
                for (ours, exact) in [f64::from(y), f64::from(derivative)].into_iter().zip(exact) {
                    // The error of the distribution, times x.
                    prop_assert!((ours - exact).abs() < 4e-7 * f64::from(x).abs().max(1.0), "{x}: {ours}, {exact}");
                }
            }
        }

        #[test]
        fn sums_and_products_of_matrices_agree_with_ndarray(rows in 0..60_usize, columns in 1..600_usize) {
            let (x, y) = (noise2::<f32>([rows, columns], 1), noise2::<f32>([rows, columns], 2));
            let (mut sum, mut product) = (x.clone(), x.clone());
            add(&mut sum, &y);
            multiply(&mut product, &y);
            prop_assert_eq!(sum, &x + &y);
            prop_assert_eq!(product, &x * &y);
        }
    }

    #[test]
    fn what_is_not_a_number_goes_through_gelu() {
        let mut x = Array2::from_elem((1, 40), 0.5_f32);
        x[[0, 33]] = f32::NAN;
        x[[0, 7]] = f32::INFINITY;
        let derivative = gelu(&mut x);
        assert!(x[[0, 33]].is_nan() && derivative[[0, 33]].is_nan());
        assert_eq!(x[[0, 7]], f32::INFINITY);
        assert_eq!(x.iter().filter(|x| !x.is_finite()).count(), 2);
    }
}
