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
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Unit::Avx2 => unsafe { avx2(square.single(), to.as_mut_ptr().cast()) },
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

/// # Safety
/// `to` points to room for a square.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn avx2(square: &Square<f32>, to: *mut Square<f32>) {
    use std::arch::x86_64::{_mm_load_ps, _mm256_set_m128, _mm256_store_ps};
    const HALF: usize = 4;
    const LANES: usize = 2 * HALF;
    let (from, to) = (square.0.as_ptr(), to.cast::<f32>());
    for row in (0..SIDE).step_by(LANES) {
        for column in (0..SIDE).step_by(LANES) {
            // SAFETY: each part is 8 rows of an aligned vector of 8 in a square of 32 by 32, here and transposed.
            unsafe {
                let half = |i: usize, j: usize| _mm_load_ps(from.add((row + i) * SIDE + column + HALF * j));
                let pair = |i: usize, j: usize| _mm256_set_m128(half(i + HALF, j), half(i, j));
                for j in 0..2 {
                    let columns = quarters(std::array::from_fn(|i| pair(i, j)));
                    for (i, vector) in columns.into_iter().enumerate() {
                        _mm256_store_ps(to.add((column + HALF * j + i) * SIDE + row), vector);
                    }
                }
            }
        }
    }
}

/// Transposes the lower halves of 4 vectors of 8 words, and the upper ones: pairs of words, then of pairs.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn quarters(x: [std::arch::x86_64::__m256; 4]) -> [std::arch::x86_64::__m256; 4] {
    use std::arch::x86_64::{_mm256_shuffle_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps};
    let low = [0, 2].map(|i| _mm256_unpacklo_ps(x[i], x[i + 1]));
    let high = [0, 2].map(|i| _mm256_unpackhi_ps(x[i], x[i + 1]));
    [
        _mm256_shuffle_ps::<0x44>(low[0], low[1]),
        _mm256_shuffle_ps::<0xee>(low[0], low[1]),
        _mm256_shuffle_ps::<0x44>(high[0], high[1]),
        _mm256_shuffle_ps::<0xee>(high[0], high[1]),
    ]
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
