//! Passes over flat arrays of activations: activation functions, dropout, sums.

use super::simd::{Unit, Work, on_best_unit};
use super::{Mask, vectorized};
use crate::Real;
use ndarray::Array2;
use rayon::prelude::*;

/// Elements that one task handles. A constant: sums must not depend on the number of threads.
const BLOCK: usize = 1 << 14;

/// Returns `GELU(x) = x Φ(x)` and the derivative `Φ(x) + x φ(x)`, with `mul_add(a, b, c)` for every `a b + c`.
///
/// Hendrycks and Gimpel 2016, in the exact form with the error function.
#[inline(always)]
pub(super) fn gelu_of<F: Real>(x: F, mul_add: impl Fn(F, F, F) -> F) -> (F, F) {
    let (cdf, density) = x.normal_with(&mul_add);
    (x * cdf, mul_add(x, density, cdf))
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

/// Replaces each number by what `f` makes of its place.
pub(crate) fn fill<F: Real>(x: &mut [F], f: impl Fn(usize) -> F + Sync) {
    x.par_chunks_mut(BLOCK).enumerate().for_each(|(block, x)| {
        x.iter_mut().zip(block * BLOCK..).for_each(|(x, place)| *x = f(place));
    });
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

    #[test]
    fn gelu_agrees_with_its_definition() {
        for x in (-4000..4000).map(|i| 0.0015 * i as f32) {
            let (cdf, density) = f64::from(x).normal();
            let exact = [f64::from(x) * cdf, cdf + f64::from(x) * density];
            let (y, derivative) = gelu_of(x, f32::mul_add);
            for (ours, exact) in [y, derivative].into_iter().map(f64::from).zip(exact) {
                // The error of the distribution, times x.
                assert!((ours - exact).abs() < 4e-7 * f64::from(x).abs().max(1.0), "{x}: {ours}, {exact}");
            }
        }
    }

    #[test]
    fn what_is_not_a_number_goes_through_gelu() {
        let (y, derivative) = gelu_of(f32::NAN, f32::mul_add);
        assert!(y.is_nan() && derivative.is_nan());
        assert_eq!(gelu_of(f32::INFINITY, f32::mul_add).0, f32::INFINITY);
    }

    proptest! {
        #[test]
        fn sums_of_matrices_agree_with_ndarray(rows in 0..60_usize, columns in 1..600_usize) {
            let (x, y) = (noise2::<f32>([rows, columns], 1), noise2::<f32>([rows, columns], 2));
            let mut sum = x.clone();
            add(&mut sum, &y);
            prop_assert_eq!(sum, &x + &y);
        }
    }
}
