//! The piece of a matrix that is packed, summed and handed on at once.

use super::tiles::SIDE;
use crate::Real;
use ndarray::ArrayView2;
use std::any::Any;

/// A square of 32 by 32 numbers, row by row.
#[derive(Clone)]
#[repr(C, align(64))]
pub(crate) struct Square<F>(pub [F; SIDE * SIDE]);

impl<F: Real> Default for Square<F> {
    fn default() -> Self {
        Square::zero()
    }
}

impl<F: Real> Square<F> {
    /// Returns a square of zeros.
    #[inline(always)]
    pub fn zero() -> Self {
        Square([F::zero(); SIDE * SIDE])
    }

    /// Reads the square at `[row, column]` of a matrix's grid of squares; beyond the matrix there are zeros.
    pub fn load(&mut self, x: ArrayView2<'_, F>, [row, column]: [usize; 2]) {
        let (rows, columns) = (x.nrows().min((row + 1) * SIDE), x.ncols().min((column + 1) * SIDE));
        let (first_row, first) = (row * SIDE, column * SIDE);
        if rows - first_row < SIDE || columns - first < SIDE {
            self.0.fill(F::zero());
        }
        for (n, to) in (first_row..rows).zip(self.0.chunks_exact_mut(SIDE)) {
            let from = x.row(n);
            let from = &from.to_slice().expect("rows of a factor are contiguous")[first..columns];
            match <&[F; SIDE]>::try_from(from) {
                Ok(from) => to.copy_from_slice(from),
                Err(_) => to[..from.len()].copy_from_slice(from),
            }
        }
    }

    /// Returns the square as one of `f32`.
    ///
    /// # Panics
    /// When it is not: units that know no other numbers are used for `f32` alone.
    #[inline(always)]
    pub fn single(&self) -> &Square<f32> {
        (self as &dyn Any).downcast_ref().expect("a unit for `f32` is given `f32`")
    }

    /// As [`Square::single`], for change.
    #[inline(always)]
    pub fn single_mut(&mut self) -> &mut Square<f32> {
        (self as &mut dyn Any).downcast_mut().expect("a unit for `f32` is given `f32`")
    }
}
