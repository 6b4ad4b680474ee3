//! The two matrices that every product of a linear map reads, rounded once for all of them.

use super::convert::Square;
use super::tiles::{Order, SIDE, Tiles, Writer, for_squares};
use super::unit::Unit;
use crate::kernels::vectorized;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use std::marker::PhantomData;

/// The input of a linear map: on the left of `x Wᵀ`, on the right of `dyᵀ x`.
pub(crate) struct Activation {
    /// [rows, columns].
    pub shape: [usize; 2],
    /// `x`, on the left.
    pub left: Tiles,
    /// `x`, on the right.
    pub right: Tiles,
}

impl Activation {
    /// Makes room for a matrix.
    ///
    /// # Safety
    /// Every square must be written before the matrix is read.
    pub unsafe fn uninit(shape: [usize; 2]) -> Self {
        // SAFETY: as the caller promises.
        let [left, right] = [Order::Left, Order::Right].map(|order| unsafe { Tiles::uninit(shape, order) });
        Activation { shape, left, right }
    }

    /// Rounds a matrix.
    pub fn pack(unit: Unit, x: ArrayView2<'_, f32>) -> Self {
        // SAFETY: the loop below writes every square.
        let mut activation = unsafe { Activation::uninit([x.nrows(), x.ncols()]) };
        let writer = activation.writer(unit);
        for_squares(x, |place, square| {
            // SAFETY: each square is given out once.
            unsafe { writer.write(place, square) };
        });
        activation
    }

    /// Returns the matrix for writing by many threads.
    pub fn writer(&mut self, unit: Unit) -> ActivationWriter<'_> {
        ActivationWriter { unit, left: self.left.writer(Order::Left), right: self.right.writer(Order::Right) }
    }
}

/// An activation that is being written.
pub(crate) struct ActivationWriter<'a> {
    unit: Unit,
    left: Writer<'a>,
    right: Writer<'a>,
}

impl ActivationWriter<'_> {
    /// Writes the square at a place.
    ///
    /// # Safety
    /// No other thread may write the square at the same place.
    #[inline]
    pub unsafe fn write(&self, place: [usize; 2], square: &Square) {
        // SAFETY: as the caller promises.
        unsafe {
            self.left.write(self.unit, place, square);
            self.right.write(self.unit, place, square);
        }
    }
}

/// The gradient of the output of a linear map: on the left of `dy W`, and transposed on the left of `dyᵀ x`.
pub(crate) struct Gradient {
    /// [rows, columns].
    pub shape: [usize; 2],
    /// `dy`, on the left.
    pub left: Tiles,
    /// `dyᵀ`, on the left.
    pub transposed: Tiles,
    /// The sums of the columns of each row of squares, before rounding.
    sums: Array2<f32>,
}

impl Gradient {
    /// Makes room for a matrix.
    ///
    /// # Safety
    /// Every square must be written before the matrix is read.
    pub unsafe fn uninit(shape @ [rows, columns]: [usize; 2]) -> Self {
        let orders = [Order::Left, Order::LeftTransposed];
        // SAFETY: as the caller promises.
        let [left, transposed] = orders.map(|order| unsafe { Tiles::uninit(shape, order) });
        Gradient {
            shape,
            left,
            transposed,
            sums: Array2::zeros([rows.div_ceil(SIDE), columns.next_multiple_of(SIDE)]),
        }
    }

    /// Rounds a matrix and sums its columns.
    pub fn pack(unit: Unit, d_y: ArrayView2<'_, f32>) -> Self {
        // SAFETY: the loop below writes every square.
        let mut gradient = unsafe { Gradient::uninit([d_y.nrows(), d_y.ncols()]) };
        let writer = gradient.writer(unit);
        for_squares(d_y, |place, square| {
            // SAFETY: each square is given out once.
            unsafe { writer.write(place, square) };
        });
        gradient
    }

    /// Returns the matrix for writing by many threads.
    pub fn writer(&mut self, unit: Unit) -> GradientWriter<'_> {
        GradientWriter {
            unit,
            left: self.left.writer(Order::Left),
            transposed: self.transposed.writer(Order::LeftTransposed),
            width: self.sums.ncols(),
            len: self.sums.len(),
            sums: self.sums.as_mut_ptr(),
            matrix: PhantomData,
        }
    }

    /// Returns the sums of the columns, `[columns]`.
    pub fn column_sums(&self) -> Array1<f32> {
        let mut sums = self.sums.sum_axis(Axis(0));
        sums.slice_collapse(ndarray::s![..self.shape[1]]);
        sums
    }
}

/// A gradient that is being written.
pub(crate) struct GradientWriter<'a> {
    unit: Unit,
    left: Writer<'a>,
    transposed: Writer<'a>,
    sums: *mut f32,
    width: usize,
    len: usize,
    matrix: PhantomData<&'a mut f32>,
}

// SAFETY: a mutable borrow of plain numbers; `write` demands that no two threads write the same square.
unsafe impl Sync for GradientWriter<'_> {}

impl GradientWriter<'_> {
    /// Writes the square at a place.
    ///
    /// # Safety
    /// No other thread may write the square at the same place.
    #[inline]
    pub unsafe fn write(&self, place @ [row, column]: [usize; 2], square: &Square) {
        let sums = sum_columns(square);
        let first = row * self.width + column * SIDE;
        assert!(first + SIDE <= self.len, "the square at [{row}, {column}] is outside of the matrix");
        // SAFETY: the sums of this square lie in the matrix of sums, and the caller has this place to itself.
        unsafe {
            std::slice::from_raw_parts_mut(self.sums.add(first), SIDE).copy_from_slice(&sums);
            self.left.write(self.unit, place, square);
            self.transposed.write(self.unit, place, square);
        }
    }
}

fn sum_columns(square: &Square) -> [f32; SIDE] {
    vectorized(
        #[inline(always)]
        || {
            let mut sums = [0.0; SIDE];
            for row in square.0.as_chunks::<SIDE>().0 {
                sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
            }
            sums
        },
    )
}
