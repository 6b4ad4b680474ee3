//! Rows of one head as factors of products.

use super::super::LANES;
use super::{some, strips};
use crate::kernels::packed::{
    Bf16Block as Block, Bf16Unit as Unit, Order, SIDE, Square, prefetch, round_part,
};
use crate::kernels::vectorized;
use ndarray::{ArrayView2, ArrayViewMut2};
use std::ops::Range;

/// The rows of a head as one factor of a product: strips of blocks along the depth.
#[derive(Default)]
pub(super) struct Factor {
    blocks: Vec<Block>,
    depth: usize,
}

impl Factor {
    /// Returns the blocks of a strip.
    pub fn strip(&self, strip: usize) -> &[Block] {
        &self.blocks[strip * self.depth..][..self.depth]
    }

    fn reshape(&mut self, [rows, columns]: [usize; 2], order: Order) {
        self.depth = if order == Order::Right { rows } else { columns };
        some(&mut self.blocks, rows * columns, Block::ZERO);
    }

    fn at(&mut self, [row, column]: [usize; 2], order: Order) -> &mut Block {
        let index = if order == Order::Right { column * self.depth + row } else { row * self.depth + column };
        &mut self.blocks[index]
    }
}

/// Rounds the rows of a head to factors in the orders of them. `x`: [rows, D].
pub(super) fn pack<const N: usize>(
    unit: Unit,
    x: ArrayView2<'_, f32>,
    mut factors: [(Order, &mut Factor); N],
) {
    let shape @ [rows, columns] = [x.nrows(), x.ncols()].map(strips);
    for (order, factor) in &mut factors {
        factor.reshape(shape, *order);
    }
    for row in 0..rows {
        for column in 0..columns {
            for (order, factor) in &mut factors {
                round_part(unit, x, [row, column], *order, factor.at([row, column], *order));
            }
        }
    }
    expect_next(x);
}

/// Writes the square at `[row, column]` of a head's rows, each row times its scale.
pub(super) fn write(
    square: &Square<f32>,
    to: &mut ArrayViewMut2<'_, f32>,
    [row, column]: [usize; 2],
    scales: &[f32; SIDE],
) {
    let columns = part(column, to.ncols());
    let rows = part(row, to.nrows());
    vectorized(
        #[inline(always)]
        || {
            for ((row, from), &scale) in rows.zip(square.0.as_chunks::<SIDE>().0).zip(scales) {
                let to = to.row_mut(row).into_slice().expect("rows are contiguous");
                copy_scaled(&mut to[columns.clone()], &from[..columns.len()], scale);
            }
        },
    );
}

/// Fills a row with another of the same width, times a scale.
///
/// The last vector of a row ends where the row ends, and so overlaps with the one before: for so few elements a loop over
/// the rest would cost more than all other work.
#[inline(always)]
fn copy_scaled(to: &mut [f32], from: &[f32], scale: f32) {
    assert_eq!(to.len(), from.len(), "both rows are equally wide");
    let Some(last) = to.len().checked_sub(LANES) else {
        return to.iter_mut().zip(from).for_each(|(to, from)| *to = from * scale);
    };
    for first in [0, last] {
        let mut x = *from[first..].first_chunk::<LANES>().expect("a vector fits");
        for l in 0..LANES {
            x[l] *= scale;
        }
        *to[first..].first_chunk_mut().expect("a vector fits") = x;
    }
}

/// Asks for what follows each row of a head in memory: the row of the next head, which is read soon.
///
/// Rows of one head lie so far apart that the processor does not see what comes.
pub(super) fn expect_next(x: ArrayView2<'_, f32>) {
    const LINE: usize = 16;
    for row in x.rows() {
        let end = row.as_ptr().wrapping_add(row.len());
        (0..row.len()).step_by(LINE).for_each(|place| prefetch(end.wrapping_add(place)));
    }
}

/// Returns the elements of a length that a strip covers.
fn part(strip: usize, len: usize) -> Range<usize> {
    strip * SIDE..len.min((strip + 1) * SIDE)
}
