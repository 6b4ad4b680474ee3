//! Products of packed factors, square by square.

use super::square::Square;
use super::tiles::Tiles;
use super::unit::Onto;
use crate::Real;
use rayon::prelude::*;
use std::ops::Range;

/// Where a product goes, square by square.
pub(crate) trait Sink<F>: Sync {
    /// Takes note that the square at `[row, column]` will soon be there, to fetch the memory that it goes to.
    fn expect(&self, _place: [usize; 2]) {}

    /// Takes the square at `[row, column]` of the result's grid of squares; it may be used up.
    ///
    /// # Safety
    /// No two threads may give the same place at a time.
    unsafe fn take(&self, place: [usize; 2], square: &mut Square<F>);
}

/// Left strips that share a run of right blocks, at most.
pub(super) const STRIPS: usize = 16;

/// Lines of strips that stay in the second-level cache while right strips pass by: 1 MB.
const RESIDENT: usize = 1 << 14;

/// Multiplies `left` [m, k] by `right` [k, n] and gives every square of the result, [m, n], to `sink`.
///
/// The depth of a square is summed in a fixed order by one task, so that the threads have no say in the result, however many
/// there are.
pub(crate) fn product<F: Real>(left: &Tiles<F>, right: &Tiles<F>, sink: &impl Sink<F>) {
    assert!(left.depth() == right.depth() && left.unit() == right.unit(), "the factors fit each other");
    let (rows, columns) = (left.strips(), right.strips());
    let task = |rows: Range<usize>, columns: Range<usize>| {
        left.unit().ready(|| block_of_squares(left, right, rows, columns, sink));
    };
    // The longer side is divided, the whole shorter one stays in the second-level cache.
    if rows >= columns {
        parts(rows, left.depth()).into_par_iter().for_each(|part| task(part, 0..columns));
    } else {
        parts(columns, left.depth()).into_par_iter().for_each(|part| task(0..rows, part));
    }
}

/// Cuts strips into parts: two for each thread and eight at least, or single strips.
fn parts(strips: usize, depth: usize) -> Vec<Range<usize>> {
    let count = (2 * rayon::current_num_threads()).max(8);
    let len = if strips <= STRIPS { 1 } else { strips.div_ceil(count).min(resident(depth)) };
    (0..strips).step_by(len).map(|first| first..(first + len).min(strips)).collect()
}

/// Returns how many strips of this depth stay in the second-level cache.
fn resident(depth: usize) -> usize {
    (RESIDENT / depth.max(1)).clamp(1, STRIPS)
}

fn block_of_squares<F: Real>(
    left: &Tiles<F>,
    right: &Tiles<F>,
    rows: Range<usize>,
    columns: Range<usize>,
    sink: &impl Sink<F>,
) {
    let mut squares: Vec<Square<F>> = vec![Square::zero(); left.unit().strips().min(rows.len())];
    let len = resident(left.depth());
    for first in rows.clone().step_by(len) {
        let strips = first..(first + len).min(rows.end);
        for column in columns.clone() {
            for first in strips.clone().step_by(squares.len()) {
                let strips = first..(first + squares.len()).min(strips.end);
                multiply(left, right, strips, column, &mut squares, sink);
            }
        }
    }
}

/// Multiplies some left strips by one right strip, piece by piece along the depth.
fn multiply<F: Real>(
    left: &Tiles<F>,
    right: &Tiles<F>,
    strips: Range<usize>,
    column: usize,
    squares: &mut [Square<F>],
    sink: &impl Sink<F>,
) {
    let (unit, depth, grain) = (left.unit(), left.depth(), left.unit().grain::<F>());
    let pieces = depth.div_ceil(unit.depth() * grain).max(1);
    let len = (depth / grain).div_ceil(pieces) * grain;
    for piece in 0..pieces {
        let (range, is_last) = (piece * len..((piece + 1) * len).min(depth), piece + 1 == pieces);
        let onto = if piece == 0 { Onto::Nothing } else { Onto::Sum };
        let b = &right.strip(column)[range.clone()];
        for (row, square) in strips.clone().zip(squares.iter_mut()) {
            if is_last {
                sink.expect([row, column]);
            }
            // SAFETY: both are of this unit and of `F`.
            unsafe { unit.multiply(&left.strip(row)[range.clone()], b, square, onto) };
            if is_last {
                // SAFETY: each square belongs to one task.
                unsafe { sink.take([row, column], square) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Threads;

    #[test]
    fn parts_cover_all_strips_and_are_enough_for_every_thread() {
        for (threads, expected) in [(1, 8), (4, 8), (5, 10), (16, 32)] {
            let parts = Threads::new(threads).expect("a pool starts").run(|| parts(64, 312));
            assert!(parts.len() >= expected, "{} parts for {threads} threads", parts.len());
            assert!(parts.into_iter().flatten().eq(0..64), "every strip is in one part");
        }
    }
}
