//! Factors of products, laid out in the order in which they are read.

use super::line::{Line, prefetch_to_write};
use super::square::Square;
use super::unit::Unit;
use crate::Real;
use ndarray::ArrayView2;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Rows and columns of a square.
pub(crate) const SIDE: usize = 32;

/// One factor of a product: strips of 32 rows (left) or columns (right), each a run of blocks along the depth.
pub(crate) struct Tiles<F> {
    unit: Unit,
    order: Order,
    lines: Box<[MaybeUninit<Line>]>,
    strips: usize,
    /// Lines of a strip, and those of them that hold the depth.
    strip: usize,
    used: usize,
    numbers: PhantomData<F>,
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

impl<F: Real> Tiles<F> {
    /// Makes room for a matrix of `[rows, columns]` in an order.
    ///
    /// # Safety
    /// Every square must be written before the tiles are read.
    pub unsafe fn uninit(unit: Unit, [rows, columns]: [usize; 2], order: Order) -> Self {
        let (depth, len) = if order.runs_along_columns() { (columns, rows) } else { (rows, columns) };
        let (strips, strip) = (len.div_ceil(SIDE), depth.div_ceil(SIDE) * unit.block::<F>());
        let lines = Box::new_uninit_slice(strips * strip);
        Tiles { unit, order, lines, strips, strip, used: unit.strip::<F>(depth), numbers: PhantomData }
    }

    /// Returns what multiplies the tiles.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Returns the number of strips.
    pub fn strips(&self) -> usize {
        self.strips
    }

    /// Returns the lines of a strip that hold the depth.
    pub fn depth(&self) -> usize {
        self.used
    }

    /// Returns the lines of a strip that hold the depth.
    pub fn strip(&self, strip: usize) -> &[Line] {
        // SAFETY: whoever made room promised to write every block before reading any.
        unsafe { written(&self.lines[strip * self.strip..][..self.used]) }
    }

    /// Returns the block of the square at `[row, column]`.
    pub fn block(&self, place: [usize; 2]) -> &[Line] {
        let block = self.unit.block::<F>();
        // SAFETY: as above.
        unsafe { written(&self.lines[self.order.index(place, self.strip, block)..][..block]) }
    }

    /// Returns the tiles for writing by many threads.
    pub fn writer(&mut self) -> Writer<'_, F> {
        Writer {
            unit: self.unit,
            order: self.order,
            lines: self.lines.as_mut_ptr(),
            len: self.lines.len(),
            strip: self.strip,
            tiles: PhantomData,
        }
    }
}

impl Order {
    /// Says whether the depth of the factor runs along the columns of the matrix.
    pub fn runs_along_columns(self) -> bool {
        matches!(self, Order::Left | Order::RightTransposed)
    }

    /// Returns the first line of the square at `[row, column]`.
    fn index(self, [row, column]: [usize; 2], strip: usize, block: usize) -> usize {
        let [strip_number, step] = if self.runs_along_columns() { [row, column] } else { [column, row] };
        strip_number * strip + step * block
    }
}

/// Tiles that are being written, each block by one owner.
pub(crate) struct Writer<'a, F> {
    unit: Unit,
    order: Order,
    lines: *mut MaybeUninit<Line>,
    len: usize,
    strip: usize,
    tiles: PhantomData<&'a mut Tiles<F>>,
}

// SAFETY: a writer is a mutable borrow of lines that are plain numbers; `write` demands that no two threads write one.
unsafe impl<F> Sync for Writer<'_, F> {}

impl<F: Real> Writer<'_, F> {
    /// Rounds the square at `[row, column]` of the grid of squares to its block.
    ///
    /// # Safety
    /// No other thread may write the square at the same place.
    #[inline]
    pub unsafe fn write(&self, place: [usize; 2], square: &Square<F>) {
        // SAFETY: as the caller promises.
        self.unit.round(square, self.order, unsafe { self.block(place) });
    }

    /// Rounds the square at `[row, column]` to a block that is not multiplied, but multiplies element by element.
    ///
    /// # Safety
    /// As [`Writer::write`].
    #[inline]
    pub unsafe fn keep(&self, place: [usize; 2], square: &Square<F>) {
        // SAFETY: as the caller promises.
        self.unit.keep(square, unsafe { self.block(place) });
    }

    /// Fetches the block of a square that will soon be written.
    #[inline]
    pub fn expect(&self, place: [usize; 2]) {
        let first = self.order.index(place, self.strip, self.unit.block::<F>());
        (first..first + self.unit.block::<F>())
            .for_each(|line| prefetch_to_write(self.lines.wrapping_add(line)));
    }

    /// # Safety
    /// As [`Writer::write`].
    #[inline]
    #[expect(
        clippy::mut_from_ref,
        reason = "a writer is shared by threads, each of which has blocks of its own"
    )]
    unsafe fn block(&self, place: [usize; 2]) -> &mut [MaybeUninit<Line>] {
        let block = self.unit.block::<F>();
        let first = self.order.index(place, self.strip, block);
        assert!(first + block <= self.len, "the square at {place:?} is outside of the matrix");
        // SAFETY: the lines are inside of those that this writer borrows, and the caller is their only user.
        unsafe { std::slice::from_raw_parts_mut(self.lines.add(first), block) }
    }
}

/// Packs a matrix as one factor of a product. `x`: [rows, columns], contiguous rows.
pub(crate) fn pack<F: Real>(unit: Unit, x: ArrayView2<'_, F>, order: Order) -> Tiles<F> {
    // SAFETY: the loop below writes every square.
    let mut tiles = unsafe { Tiles::uninit(unit, [x.nrows(), x.ncols()], order) };
    let writer = tiles.writer();
    for_squares(x, |place, square| {
        // SAFETY: each square is given out once.
        unsafe { writer.write(place, square) };
    });
    tiles
}

/// Calls `f(place, square)` once for each square of a matrix.
pub(super) fn for_squares<F: Real>(x: ArrayView2<'_, F>, f: impl Fn([usize; 2], &mut Square<F>) + Sync) {
    let [rows, columns] = [x.nrows(), x.ncols()].map(|len| len.div_ceil(SIDE));
    (0..rows).into_par_iter().for_each(|row| {
        let mut square = Square::zero();
        for column in 0..columns {
            square.load(x, [row, column]);
            f([row, column], &mut square);
        }
    });
}

/// # Safety
/// The lines have been written.
unsafe fn written(lines: &[MaybeUninit<Line>]) -> &[Line] {
    // SAFETY: the same lines, which hold something, as the caller promises.
    unsafe { &*(&raw const *lines as *const [Line]) }
}
