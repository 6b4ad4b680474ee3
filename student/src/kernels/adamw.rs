//! The optimiser's passes: the norm of the gradient, the update, and the replay of updates that rows have missed.
//!
//! Dense pass and replay share one function for one parameter, so that both give the same bits. The closures are inlined
//! by force: one that is not is compiled for the baseline alone.

use super::{for_chosen_rows, vectorized};
use crate::Real;
use rayon::prelude::*;

/// Elements that one task handles. A constant: sums must not depend on the number of threads.
const BLOCK: usize = 1 << 14;

/// The numbers of one AdamW step, already combined: see [`crate::optim::AdamW`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamWStep<F> {
    pub gradient_scale: F,
    pub beta1: F,
    pub beta2: F,
    pub step_size: F,
    pub inverse_bias2: F,
    pub epsilon: F,
    pub keep: F,
}

/// Parameters with their two moments: slices of equal length.
pub(crate) struct Moments<'a, F> {
    pub params: &'a mut [F],
    pub m: &'a mut [F],
    pub v: &'a mut [F],
}

impl<F: Real> AdamWStep<F> {
    /// Moves one parameter.
    #[inline(always)]
    fn apply(&self, gradient: F, p: &mut F, m: &mut F, v: &mut F) {
        let mean = self.beta1 * *m + (F::one() - self.beta1) * gradient;
        let square = self.decayed(*v) + (F::one() - self.beta2) * gradient * gradient;
        let denominator = (square * self.inverse_bias2).sqrt() + self.epsilon;
        let shift = self.step_size * mean / denominator;
        let rests = mean.abs() <= F::epsilon() * denominator;
        *p = *p * self.keep - if rests { F::zero() } else { shift };
        *m = if rests { F::zero() } else { mean };
        *v = square;
    }

    /// Moves one parameter whose momentum is at rest and whose gradient is zero: the same numbers with less work.
    #[inline(always)]
    fn apply_at_rest(&self, p: &mut F, v: &mut F) {
        *p *= self.keep;
        *v = self.decayed(*v);
    }

    /// Subnormal numbers, which are slow, count as zero.
    #[inline(always)]
    fn decayed(&self, v: F) -> F {
        let decayed = self.beta2 * v;
        if decayed < F::min_positive_value() { F::zero() } else { decayed }
    }
}

/// Returns the sum of squares, summed in `f64` in a fixed order.
pub(crate) fn squared_norm<F: Real>(x: &[F]) -> f64 {
    let partial: Vec<f64> = x.par_chunks(BLOCK).map(sum_of_squares).collect();
    partial.into_iter().sum()
}

/// Returns the sum of squares of the chosen rows; rows of zeros may be left out without changing a bit.
pub(crate) fn squared_norm_rows<F: Real>(table: &[F], columns: usize, chosen: &[u32]) -> f64 {
    let row = |&row: &u32| &table[row as usize * columns..][..columns];
    let partial: Vec<f64> = chosen.par_iter().with_min_len(64).map(|i| sum_of_squares(row(i))).collect();
    partial.into_iter().sum()
}

/// Updates parameters and both moments in one pass, and clears the gradient.
pub(crate) fn adamw<F: Real>(at: Moments<'_, F>, grads: &mut [F], step: &AdamWStep<F>) {
    let blocks = at.params.par_chunks_mut(BLOCK).zip(grads.par_chunks_mut(BLOCK));
    let blocks = blocks.zip(at.m.par_chunks_mut(BLOCK)).zip(at.v.par_chunks_mut(BLOCK));
    blocks.for_each(|(((params, grads), m), v)| update(Moments { params, m, v }, grads, step));
}

/// As [`adamw`], for the chosen rows of a table.
pub(crate) fn adamw_rows<F: Real>(
    at: Moments<'_, F>,
    grads: &mut [F],
    step: &AdamWStep<F>,
    columns: usize,
    chosen: &[u32],
) {
    for_chosen_rows([at.params, grads, at.m, at.v], columns, chosen, |_, [params, grads, m, v]| {
        update(Moments { params, m, v }, grads, step);
    });
}

/// Makes up for the steps that rows of a table have missed, in which their gradients were zero.
///
/// `chosen`: the rows; `missed`: of each of them, its own steps.
pub(crate) fn replay_rows<'a, F: Real>(
    at: Moments<'_, F>,
    columns: usize,
    chosen: &[u32],
    missed: impl Fn(usize) -> &'a [AdamWStep<F>] + Sync,
) {
    for_chosen_rows([at.params, at.m, at.v], columns, chosen, |i, [params, m, v]| {
        replay(Moments { params, m, v }, missed(i));
    });
}

fn sum_of_squares<F: Real>(x: &[F]) -> f64 {
    vectorized(
        #[inline(always)]
        || {
            let mut lanes = [0.0_f64; 32];
            let (chunks, rest) = x.as_chunks::<32>();
            for chunk in chunks {
                lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += x.f64() * x.f64());
            }
            let rest: f64 = rest.iter().map(|x| x.f64() * x.f64()).sum();
            lanes.iter().sum::<f64>() + rest
        },
    )
}

fn update<F: Real>(at: Moments<'_, F>, grads: &mut [F], step: &AdamWStep<F>) {
    vectorized(
        #[inline(always)]
        || {
            let step = *step;
            for (((p, g), m), v) in at.params.iter_mut().zip(grads).zip(at.m).zip(at.v) {
                step.apply(*g * step.gradient_scale, p, m, v);
                *g = F::zero();
            }
        },
    );
}

/// Replays steps on one row, which stays in the cache meanwhile.
fn replay<F: Real>(at: Moments<'_, F>, steps: &[AdamWStep<F>]) {
    let Moments { params, m, v } = at;
    vectorized(
        #[inline(always)]
        || {
            let mut steps = steps.iter();
            while m.iter().any(|m| *m != F::zero()) {
                let Some(&step) = steps.next() else { return };
                for ((p, m), v) in params.iter_mut().zip(&mut *m).zip(&mut *v) {
                    step.apply(F::zero(), p, m, v);
                }
            }
            for &step in steps {
                params.iter_mut().zip(&mut *v).for_each(|(p, v)| step.apply_at_rest(p, v));
            }
        },
    );
}
