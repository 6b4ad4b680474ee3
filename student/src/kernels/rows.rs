//! Loops over the rows of matrices.

use super::vectorized;
use crate::Real;
use rayon::prelude::*;

/// Rows that one task handles. A constant: sums over rows must not depend on the number of threads.
pub(super) const BLOCK_ROWS: usize = 32;

/// Returns the sum over `n` of what `add(n, sum)` adds, `[columns]`.
///
/// Blocks of rows are summed on their own and then in order, so that the threads have no say in the result.
pub(crate) fn sum_rows<F: Real>(
    rows: usize,
    columns: usize,
    add: impl Fn(usize, &mut [F]) + Sync,
) -> ndarray::Array1<F> {
    let partial: Vec<Vec<F>> = (0..rows.div_ceil(BLOCK_ROWS))
        .into_par_iter()
        .map(|block| {
            let mut sum = vec![F::zero(); columns];
            let rows = block * BLOCK_ROWS..((block + 1) * BLOCK_ROWS).min(rows);
            vectorized(|| rows.for_each(|n| add(n, &mut sum)));
            sum
        })
        .collect();
    add_in_order(&partial, columns).into()
}

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
