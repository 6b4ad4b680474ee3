//! Squares with rows and columns exchanged.

use super::unit::Unit;
use crate::Real;
use crate::kernels::packed::square::Square;
use crate::kernels::packed::tiles::SIDE;
use std::mem::MaybeUninit;

/// Writes a square's columns as rows.
pub(super) fn transpose<F: Real>(unit: Unit, square: &Square<F>, to: &mut MaybeUninit<Square<F>>) {
    match unit {
        // SAFETY: the unit is only made where the processor has its vectors, and both squares are of `f32`, as `single`
        // checks.
        #[cfg(target_arch = "x86_64")]
        Unit::Avx512 => unsafe { avx512(square.single(), to.as_mut_ptr().cast()) },
        _ => {
            to.write(Square(std::array::from_fn(|i| square.0[i % SIDE * SIDE + i / SIDE])));
        }
    }
}

/// # Safety
/// `to` points to room for a square.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(square: &Square<f32>, to: *mut Square<f32>) {
    use crate::kernels::packed::transpose::words;
    use std::arch::x86_64::{_mm512_load_si512, _mm512_store_si512};
    const LANES: usize = 16;
    let (from, to) = (square.0.as_ptr(), to.cast::<f32>());
    for (row, column) in [(0, 0), (0, LANES), (LANES, 0), (LANES, LANES)] {
        // SAFETY: each quarter is 16 rows of an aligned vector in a square of 32 rows of two, here and transposed.
        unsafe {
            let at = |i: usize| from.add((row + i) * SIDE + column);
            let quarter = words(std::array::from_fn(|i| _mm512_load_si512(at(i).cast())));
            for (i, vector) in quarter.into_iter().enumerate() {
                _mm512_store_si512(to.add((column + i) * SIDE + row).cast(), vector);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_exchanges_rows_and_columns() {
        let square = Square(std::array::from_fn(|i| i as f32));
        for unit in Unit::available() {
            let mut to = MaybeUninit::uninit();
            transpose(unit, &square, &mut to);
            // SAFETY: transposing writes the whole square.
            let to = unsafe { to.assume_init() };
            for (i, x) in to.0.into_iter().enumerate() {
                assert_eq!(x, (i % SIDE * SIDE + i / SIDE) as f32, "{unit:?}");
            }
        }
    }
}
