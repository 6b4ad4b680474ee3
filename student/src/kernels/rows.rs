//! Loops over the rows of matrices.

use crate::Real;
use ndarray::parallel::prelude::*;
use ndarray::{Array1, Array2, Axis};
use std::ops::Range;

/// Rows that one task handles. A constant: sums over rows must not depend on the number of threads.
const BLOCK_ROWS: usize = 64;

/// Calls `f(n, row)` for each row `n` of `x`.
pub(crate) fn for_rows<F: Real>(x: &mut Array2<F>, f: impl Fn(usize, &mut [F]) + Sync) {
    x.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS).into_par_iter().enumerate().for_each(|(block, mut x)| {
        for (i, mut row) in x.rows_mut().into_iter().enumerate() {
            f(block * BLOCK_ROWS + i, row.as_slice_mut().expect("rows are contiguous"));
        }
    });
}

/// Calls `f(n, x_row, y_row)` for each row `n` of two matrices with equally many rows.
pub(crate) fn for_row_pairs<F: Real>(
    x: &mut Array2<F>,
    y: &mut Array2<F>,
    f: impl Fn(usize, &mut [F], &mut [F]) + Sync,
) {
    let blocks = x.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS).into_par_iter();
    blocks.zip(y.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS)).enumerate().for_each(
        |(block, (mut x, mut y))| {
            for (i, (mut x, mut y)) in x.rows_mut().into_iter().zip(y.rows_mut()).enumerate() {
                let (x, y) = (x.as_slice_mut(), y.as_slice_mut());
                f(block * BLOCK_ROWS + i, x.expect("rows are contiguous"), y.expect("rows are contiguous"));
            }
        },
    );
}

/// Returns the sum over `n` of what `add(n, sum)` adds, `[columns]`.
///
/// Blocks of rows are summed on their own and then in order, so that the threads have no say in the result.
pub(crate) fn sum_rows<F: Real>(
    rows: usize,
    columns: usize,
    add: impl Fn(usize, &mut [F]) + Sync,
) -> Array1<F> {
    let starts: Vec<Range<usize>> =
        (0..rows).step_by(BLOCK_ROWS).map(|start| start..(start + BLOCK_ROWS).min(rows)).collect();
    let partial: Vec<Array1<F>> = starts
        .into_par_iter()
        .map(|block| {
            let mut sum = vec![F::zero(); columns];
            block.for_each(|n| add(n, &mut sum));
            Array1::from(sum)
        })
        .collect();
    partial.into_iter().fold(Array1::zeros(columns), |sum, block| sum + block)
}
