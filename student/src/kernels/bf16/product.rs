//! Products of packed factors, square by square.

use super::convert::Square;
use super::tiles::{Block, Tiles};
use super::unit::Unit;
use crate::kernels::Onto;
use rayon::prelude::*;
use std::ops::Range;

/// Where a product goes, square by square.
pub(crate) trait Sink: Sync {
    /// Takes the square at `[row, column]` of the result's grid of squares; it may be used up.
    ///
    /// # Safety
    /// No two threads may give the same place at a time.
    unsafe fn take(&self, place: [usize; 2], square: &mut Square);
}

/// Blocks of depth that are multiplied at once: with 24 KB of each factor both fit into the first-level cache.
const DEPTH: usize = 12;

/// Left strips that share a run of right blocks, at most.
const STRIPS: usize = 16;

/// Blocks of strips that stay in the second-level cache while right strips pass by: 1 MB.
const RESIDENT: usize = 512;

/// Multiplies `left` [m, k] by `right` [k, n] and gives every square of the result, [m, n], to `sink`.
///
/// The depth of a square is summed in a fixed order by one task, so that the threads have no say in the result.
pub(crate) fn product(unit: Unit, left: &Tiles, right: &Tiles, sink: &impl Sink) {
    assert_eq!(left.depth(), right.depth(), "both factors are equally deep");
    let (rows, columns) = (left.strips(), right.strips());
    let task = |rows: Range<usize>, columns: Range<usize>| {
        unit.ready(|| block_of_squares(unit, left, right, rows, columns, sink));
    };
    // The longer side is divided, the whole shorter one stays in the second-level cache.
    if rows >= columns {
        parts(rows, left.depth()).into_par_iter().for_each(|part| task(part, 0..columns));
    } else {
        parts(columns, left.depth()).into_par_iter().for_each(|part| task(0..rows, part));
    }
}

/// Cuts strips into parts by a rule that does not know the number of threads: about eight, or single strips.
fn parts(strips: usize, depth: usize) -> Vec<Range<usize>> {
    let len = if strips <= STRIPS { 1 } else { strips.div_ceil(8).min(resident(depth)) };
    (0..strips).step_by(len).map(|first| first..(first + len).min(strips)).collect()
}

/// Returns how many strips of this depth stay in the second-level cache.
fn resident(depth: usize) -> usize {
    (RESIDENT / depth.max(1)).clamp(1, STRIPS)
}

fn block_of_squares(
    unit: Unit,
    left: &Tiles,
    right: &Tiles,
    rows: Range<usize>,
    columns: Range<usize>,
    sink: &impl Sink,
) {
    let mut squares = [const { Square::ZERO }; STRIPS];
    let len = resident(left.depth());
    for first in rows.clone().step_by(len) {
        let strips = first..(first + len).min(rows.end);
        for column in columns.clone() {
            multiply(unit, left, strips.clone(), right.strip(column), &mut squares);
            for (row, square) in strips.clone().zip(&mut squares) {
                // SAFETY: each square belongs to one task.
                unsafe { sink.take([row, column], square) };
            }
        }
    }
}

/// Multiplies some left strips by one right strip.
fn multiply(unit: Unit, left: &Tiles, strips: Range<usize>, right: &[Block], squares: &mut [Square]) {
    let mut onto = Onto::Nothing;
    for (step, right) in right.chunks(DEPTH).enumerate() {
        for (strip, square) in strips.clone().zip(squares.iter_mut()) {
            let left = &left.strip(strip)[step * DEPTH..][..right.len()];
            unit.multiply(left, right, square, onto);
        }
        onto = Onto::Sum;
    }
}
