//! Loops that do nothing but keep one part of the machine busy: what all other loops are measured against.

mod fma;
mod triad;

pub(crate) use super::packed::bf16_peak as bf16;
pub(crate) use fma::fma;
pub(crate) use triad::triad;

/// Runs `work` once on every thread of the pool at the same time.
pub(crate) fn everywhere(work: impl Fn() + Sync) {
    rayon::broadcast(|_| work());
}
