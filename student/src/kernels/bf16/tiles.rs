//! Factors of products, rounded to bfloat16 and laid out in the order in which they are read.

use super::convert::{self, Square};
use super::unit::Unit;
use ndarray::ArrayView2;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Rows and columns of a square, and the depth of a step.
pub(super) const SIDE: usize = 32;

/// A square of 32 by 32 numbers in bfloat16, in the order of one side of a product.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Block(pub(super) [u16; SIDE * SIDE]);

impl Block {
    pub(super) const ZERO: Block = Block([0; SIDE * SIDE]);
}

/// One factor of a product: strips of 32 rows (left) or columns (right), each a run of blocks along the depth.
///
/// A left block holds 32 rows of 32 numbers; its halves are AMX tiles of 16 rows. A right block holds two tiles of 16
/// columns, each 16 rows of pairs that follow each other along the depth.
pub(crate) struct Tiles {
    blocks: Box<[MaybeUninit<Block>]>,
    depth: usize,
}

/// Which factor a matrix becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// `x` on the left.
    Left,
    /// `x` on the right.
    Right,
    /// `xᵀ` on the left.
    LeftTransposed,
    /// `xᵀ` on the right.
    RightTransposed,
}

impl Tiles {
    /// Makes room for a matrix of `[rows, columns]` in an order.
    ///
    /// # Safety
    /// Every square must be written before the tiles are read.
    pub unsafe fn uninit([rows, columns]: [usize; 2], order: Order) -> Self {
        let (rows, columns) = (rows.div_ceil(SIDE), columns.div_ceil(SIDE));
        let depth = if order.runs_along_columns() { columns } else { rows };
        Tiles { blocks: Box::new_uninit_slice(rows * columns), depth }
    }

    /// Returns the number of strips.
    pub fn strips(&self) -> usize {
        self.blocks.len().checked_div(self.depth).unwrap_or(0)
    }

    /// Returns the number of blocks of a strip.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Returns the blocks of a strip.
    pub fn strip(&self, strip: usize) -> &[Block] {
        let blocks = &self.blocks[strip * self.depth..][..self.depth];
        // SAFETY: whoever made room promised to write every block before reading any.
        unsafe { &*(&raw const *blocks as *const [Block]) }
    }

    /// Returns the tiles for writing by many threads.
    pub fn writer(&mut self, order: Order) -> Writer<'_> {
        Writer {
            blocks: self.blocks.as_mut_ptr(),
            len: self.blocks.len(),
            depth: self.depth,
            order,
            tiles: PhantomData,
        }
    }
}

impl Order {
    fn runs_along_columns(self) -> bool {
        matches!(self, Order::Left | Order::RightTransposed)
    }
}

/// Tiles that are being written, each block by one owner.
pub(crate) struct Writer<'a> {
    blocks: *mut MaybeUninit<Block>,
    len: usize,
    depth: usize,
    order: Order,
    tiles: PhantomData<&'a mut Tiles>,
}

// SAFETY: a writer is a mutable borrow of blocks that are plain numbers; `write` demands that no two threads write one.
unsafe impl Sync for Writer<'_> {}

impl Writer<'_> {
    /// Rounds the square at `[row, column]` of the grid of squares to its block.
    ///
    /// # Safety
    /// No other thread may write the square at the same place.
    #[inline]
    pub unsafe fn write(&self, unit: Unit, [row, column]: [usize; 2], square: &Square) {
        let index = if self.order.runs_along_columns() {
            row * self.depth + column
        } else {
            column * self.depth + row
        };
        assert!(index < self.len, "the square at [{row}, {column}] is outside of the matrix");
        // SAFETY: the index is inside of the blocks that this writer borrows, and the caller is its only user.
        let block = unsafe { &mut *self.blocks.add(index) };
        convert::round(unit, square, self.order, block);
    }
}

/// Rounds a matrix to one factor of a product. `x`: [rows, columns], contiguous rows.
pub(crate) fn pack(unit: Unit, x: ArrayView2<'_, f32>, order: Order) -> Tiles {
    // SAFETY: the loop below writes every square.
    let mut tiles = unsafe { Tiles::uninit([x.nrows(), x.ncols()], order) };
    let writer = tiles.writer(order);
    for_squares(x, |place, square| {
        // SAFETY: each square is given out once.
        unsafe { writer.write(unit, place, square) };
    });
    tiles
}

/// Calls `f(place, square)` once for each square of a matrix.
pub(super) fn for_squares(x: ArrayView2<'_, f32>, f: impl Fn([usize; 2], &mut Square) + Sync) {
    let [rows, columns] = [x.nrows(), x.ncols()].map(|len| len.div_ceil(SIDE));
    (0..rows).into_par_iter().for_each(|row| {
        let mut square = Square::ZERO;
        for column in 0..columns {
            square.load(x, [row, column]);
            f([row, column], &mut square);
        }
    });
}
