//! Passes over flat arrays of activations.

use super::vectorized;
use crate::Real;
use rayon::prelude::*;

/// Elements that one task handles. A constant: sums must not depend on the number of threads.
const BLOCK: usize = 1 << 14;

/// Replaces `x` by `GELU(x) = x Φ(x)` and fills `derivative` with `Φ(x) + x φ(x)`.
///
/// Hendrycks and Gimpel 2016, in the exact form with the error function.
pub(crate) fn gelu<F: Real>(x: &mut [F], derivative: &mut [F]) {
    x.par_chunks_mut(BLOCK).zip(derivative.par_chunks_mut(BLOCK)).for_each(|(x, derivative)| {
        vectorized(|| {
            for (x, d) in x.iter_mut().zip(derivative) {
                let (cdf, density) = x.normal();
                *d = cdf + *x * density;
                *x *= cdf;
            }
        });
    });
}

/// Multiplies `x` by `y`, element by element.
pub(crate) fn multiply<F: Real>(x: &mut [F], y: &[F]) {
    x.par_chunks_mut(BLOCK).zip(y.par_chunks(BLOCK)).for_each(|(x, y)| {
        vectorized(|| x.iter_mut().zip(y).for_each(|(x, &y)| *x *= y));
    });
}
