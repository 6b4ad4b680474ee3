//! The two matrices that every product of a linear map reads, packed once for all of them.

use super::square::Square;
use super::tiles::{Order, SIDE, Tiles, Writer, for_squares};
use super::unit::Unit;
use crate::Real;
use crate::kernels::vectorized;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use std::marker::PhantomData;

/// The input of a linear map: on the left of `x Wᵀ`, on the right of `dyᵀ x`.
pub(crate) struct Activation<F> {
    /// [rows, columns].
    pub shape: [usize; 2],
    /// `x`, on the left.
    pub left: Tiles<F>,
    /// `x`, on the right.
    pub right: Tiles<F>,
}

impl<F: Real> Activation<F> {
    /// Makes room for a matrix.
    ///
    /// # Safety
    /// Every square must be written before the matrix is read.
    pub unsafe fn uninit(unit: Unit, shape: [usize; 2]) -> Self {
        // SAFETY: as the caller promises.
        let [left, right] =
            [Order::Left, Order::Right].map(|order| unsafe { Tiles::uninit(unit, shape, order) });
        Activation { shape, left, right }
    }

    /// Packs a matrix.
    pub fn pack(unit: Unit, x: ArrayView2<'_, F>) -> Self {
        // SAFETY: the loop below writes every square.
        let mut activation = unsafe { Activation::uninit(unit, [x.nrows(), x.ncols()]) };
        let writer = activation.writer();
        for_squares(x, |place, square| {
            // SAFETY: each square is given out once.
            unsafe { writer.write(place, square) };
        });
        activation
    }

    /// Returns the matrix for writing by many threads.
    pub fn writer(&mut self) -> ActivationWriter<'_, F> {
        ActivationWriter { left: self.left.writer(), right: self.right.writer() }
    }
}

/// An activation that is being written.
pub(crate) struct ActivationWriter<'a, F> {
    left: Writer<'a, F>,
    right: Writer<'a, F>,
}

impl<F: Real> ActivationWriter<'_, F> {
    /// Fetches the memory of a square that will soon be written.
    #[inline]
    pub fn expect(&self, place: [usize; 2]) {
        self.left.expect(place);
        self.right.expect(place);
    }

    /// Writes the square at a place.
    ///
    /// # Safety
    /// No other thread may write the square at the same place.
    #[inline]
    pub unsafe fn write(&self, place: [usize; 2], square: &Square<F>) {
        // SAFETY: as the caller promises.
        unsafe {
            self.left.write(place, square);
            self.right.write(place, square);
        }
    }
}

/// The gradient of the output of a linear map: on the left of `dy W`, and transposed on the left of `dyᵀ x`.
pub(crate) struct Gradient<F> {
    /// [rows, columns].
    pub shape: [usize; 2],
    /// `dy`, on the left.
    pub left: Tiles<F>,
    /// `dyᵀ`, on the left.
    pub transposed: Tiles<F>,
    /// The sums of the columns of each row of squares, before rounding.
    sums: Array2<F>,
}

impl<F: Real> Gradient<F> {
    /// Makes room for a matrix.
    ///
    /// # Safety
    /// Every square must be written before the matrix is read.
    pub unsafe fn uninit(unit: Unit, shape @ [rows, columns]: [usize; 2]) -> Self {
        let orders = [Order::Left, Order::LeftTransposed];
        // SAFETY: as the caller promises.
        let [left, transposed] = orders.map(|order| unsafe { Tiles::uninit(unit, shape, order) });
        Gradient {
            shape,
            left,
            transposed,
            sums: Array2::zeros([rows.div_ceil(SIDE), columns.next_multiple_of(SIDE)]),
        }
    }

    /// Packs a matrix and sums its columns.
    pub fn pack(unit: Unit, d_y: ArrayView2<'_, F>) -> Self {
        // SAFETY: the loop below writes every square.
        let mut gradient = unsafe { Gradient::uninit(unit, [d_y.nrows(), d_y.ncols()]) };
        let writer = gradient.writer();
        for_squares(d_y, |place, square| {
            // SAFETY: each square is given out once.
            unsafe { writer.write(place, square) };
        });
        gradient
    }

    /// Returns the matrix for writing by many threads.
    pub fn writer(&mut self) -> GradientWriter<'_, F> {
        GradientWriter {
            left: self.left.writer(),
            transposed: self.transposed.writer(),
            width: self.sums.ncols(),
            len: self.sums.len(),
            sums: self.sums.as_mut_ptr(),
            matrix: PhantomData,
        }
    }

    /// Returns the sums of the columns, `[columns]`.
    pub fn column_sums(&self) -> Array1<F> {
        let mut sums = self.sums.sum_axis(Axis(0));
        sums.slice_collapse(ndarray::s![..self.shape[1]]);
        sums
    }
}

/// A gradient that is being written.
pub(crate) struct GradientWriter<'a, F> {
    left: Writer<'a, F>,
    transposed: Writer<'a, F>,
    sums: *mut F,
    width: usize,
    len: usize,
    matrix: PhantomData<&'a mut F>,
}

// SAFETY: a mutable borrow of plain numbers; `write` demands that no two threads write the same square.
unsafe impl<F: Sync> Sync for GradientWriter<'_, F> {}

impl<F: Real> GradientWriter<'_, F> {
    /// Fetches the memory of a square that will soon be written.
    #[inline]
    pub fn expect(&self, place: [usize; 2]) {
        self.left.expect(place);
        self.transposed.expect(place);
    }

    /// Writes the square at a place.
    ///
    /// # Safety
    /// No other thread may write the square at the same place.
    #[inline]
    pub unsafe fn write(&self, place @ [row, column]: [usize; 2], square: &Square<F>) {
        let sums = sum_columns(square);
        let first = row * self.width + column * SIDE;
        assert!(first + SIDE <= self.len, "the square at [{row}, {column}] is outside of the matrix");
        // SAFETY: the sums of this square lie in the matrix of sums, and the caller has this place to itself.
        unsafe {
            std::slice::from_raw_parts_mut(self.sums.add(first), SIDE).copy_from_slice(&sums);
            self.left.write(place, square);
            self.transposed.write(place, square);
        }
    }
}

fn sum_columns<F: Real>(square: &Square<F>) -> [F; SIDE] {
    vectorized(
        #[inline(always)]
        || {
            let mut sums = [F::zero(); SIDE];
            for row in square.0.as_chunks::<SIDE>().0 {
                sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
            }
            sums
        },
    )
}
