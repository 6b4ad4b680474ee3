//! Passes over flat arrays: activations, sums of squares, the optimiser's update.

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

/// Returns the sum of squares, summed in `f64` in a fixed order.
pub(crate) fn squared_norm<F: Real>(x: &[F]) -> f64 {
    let partial: Vec<f64> = x
        .par_chunks(BLOCK)
        .map(|x| {
            let mut lanes = [0.0_f64; 16];
            vectorized(|| {
                for chunk in x.chunks(16) {
                    for (lane, &x) in lanes.iter_mut().zip(chunk) {
                        *lane += x.f64() * x.f64();
                    }
                }
            });
            lanes.iter().sum()
        })
        .collect();
    partial.into_iter().sum()
}

/// The numbers of one AdamW step, already combined: see [`crate::optim::AdamW`].
#[derive(Clone, Copy)]
pub(crate) struct AdamWStep<F> {
    pub gradient_scale: F,
    pub beta1: F,
    pub beta2: F,
    pub step_size: F,
    pub inverse_bias2: F,
    pub epsilon: F,
    pub keep: F,
}

/// Updates parameters and both moments in one pass, and clears the gradient.
pub(crate) fn adamw<F: Real>(
    params: &mut [F],
    grads: &mut [F],
    m: &mut [F],
    v: &mut [F],
    step: AdamWStep<F>,
) {
    let blocks = params.par_chunks_mut(BLOCK).zip(grads.par_chunks_mut(BLOCK));
    blocks.zip(m.par_chunks_mut(BLOCK)).zip(v.par_chunks_mut(BLOCK)).for_each(|(((p, g), m), v)| {
        vectorized(|| {
            let one = F::one();
            for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
                let gradient = *g * step.gradient_scale;
                *m = step.beta1 * *m + (one - step.beta1) * gradient;
                *v = step.beta2 * *v + (one - step.beta2) * gradient * gradient;
                let denominator = (*v * step.inverse_bias2).sqrt() + step.epsilon;
                *p = *p * step.keep - step.step_size * *m / denominator;
                *g = F::zero();
            }
        });
    });
}
