//! Products of numbers as they are: `f32` to work, `f64` to check gradients.
//!
//! Both factors are laid out alike: for each step along the depth the 32 numbers of its strip, so that a row of the right
//! factor is vectors, and a row of the left one the numbers that they are multiplied by.

mod multiply;
mod transpose;
mod unit;
mod vector;

pub(super) use unit::Unit;

use super::square::Square;
use super::tiles::SIDE;
use crate::Real;
use crate::kernels::vectorized;

/// One step along the depth of a strip.
pub(crate) type Row<F> = [F; SIDE];

/// Multiplies a square by another one, element by element.
pub(super) fn scale<F: Real>(square: &mut Square<F>, factor: &[Square<F>]) {
    vectorized(
        #[inline(always)]
        || square.0.iter_mut().zip(&factor[0].0).for_each(|(x, &factor)| *x *= factor),
    )
}
