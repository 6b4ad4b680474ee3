//! Loops over the rows of matrices.

use super::vectorized;
use crate::Real;

/// Rows that one task handles. A constant: sums over rows must not depend on the number of threads.
pub(super) const BLOCK_ROWS: usize = 32;

/// Returns the sum of the vectors, `[columns]`, from the first to the last.
pub(super) fn add_in_order<F: Real>(vectors: &[Vec<F>], columns: usize) -> Vec<F> {
    let mut sum = vec![F::zero(); columns];
    vectorized(|| {
        for vector in vectors {
            sum.iter_mut().zip(vector).for_each(|(sum, &x)| *sum += x);
        }
    });
    sum
}
