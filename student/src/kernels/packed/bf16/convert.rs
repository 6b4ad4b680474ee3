//! From squares of `f32` to blocks of bfloat16, in each of the four orders of a factor.
//!
//! All orders come from two: rows as they stand, and pairs of rows interleaved. The other two transpose each tile of 16
//! by 16 pairs.

use super::{Block, Unit};
use crate::kernels::packed::square::Square;
use crate::kernels::packed::tiles::{Order, SIDE};
use crate::kernels::vectorized;
use std::mem::MaybeUninit;

/// Rounds a square to the block of an order.
#[inline]
pub(in crate::kernels::packed) fn round(
    unit: Unit,
    square: &Square<f32>,
    order: Order,
    block: &mut MaybeUninit<Block>,
) {
    match unit {
        Unit::Portable => {
            let block = block.write(Block::ZERO);
            match order {
                Order::Left => round_rows(square, block),
                Order::Right => round_pairs(square, block),
                Order::LeftTransposed => round_columns(square, block),
                Order::RightTransposed => round_column_pairs(square, block),
            }
        }
        // SAFETY: units other than the portable one are only made where the processor has AVX-512 with bfloat16.
        #[cfg(target_arch = "x86_64")]
        _ => unsafe {
            match order {
                Order::Left => avx512::round_rows(square, block),
                Order::Right => avx512::round_pairs(square, block),
                Order::LeftTransposed => {
                    avx512::round_pairs(square, block);
                    avx512::transpose_tiles(block);
                }
                Order::RightTransposed => {
                    avx512::round_rows(square, block);
                    avx512::transpose_tiles(block);
                }
            }
        },
    }
}

/// Multiplies a square by the numbers of a left block, element by element.
pub(in crate::kernels::packed) fn scale(square: &mut Square<f32>, factor: &[Block]) {
    vectorized(
        #[inline(always)]
        || square.0.iter_mut().zip(&factor[0].0).for_each(|(x, &factor)| *x *= widen(factor)),
    )
}

/// Rounds to the nearest bfloat16, ties to even; what is no number stays none.
#[inline(always)]
pub(super) fn narrow(x: f32) -> u16 {
    const QUIET: u32 = 1 << 22;
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    (if x.is_nan() { (bits | QUIET) >> 16 } else { rounded }) as u16
}

/// Returns the number that a bfloat16 stands for.
#[inline(always)]
pub(super) fn widen(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}

/// Left: 32 rows of 32.
fn round_rows(square: &Square<f32>, block: &mut Block) {
    vectorized(
        #[inline(always)]
        || {
            block.0.iter_mut().zip(&square.0).for_each(|(to, &from)| *to = narrow(from));
        },
    )
}

/// Right: two tiles of 16 columns, each 16 rows of 16 pairs.
fn round_pairs(square: &Square<f32>, block: &mut Block) {
    vectorized(
        #[inline(always)]
        || {
            for (tile, to) in block.0.chunks_exact_mut(512).enumerate() {
                for (rows, to) in square.0.chunks_exact(2 * SIDE).zip(to.chunks_exact_mut(32)) {
                    for (column, to) in to.chunks_exact_mut(2).enumerate() {
                        to[0] = narrow(rows[tile * 16 + column]);
                        to[1] = narrow(rows[SIDE + tile * 16 + column]);
                    }
                }
            }
        },
    )
}

/// Left, transposed: 32 columns of 32.
fn round_columns(square: &Square<f32>, block: &mut Block) {
    vectorized(
        #[inline(always)]
        || {
            for (column, to) in block.0.chunks_exact_mut(SIDE).enumerate() {
                to.iter_mut().enumerate().for_each(|(row, to)| *to = narrow(square.0[row * SIDE + column]));
            }
        },
    )
}

/// Right, transposed: two tiles of 16 rows, each 16 pairs of columns for each of them.
fn round_column_pairs(square: &Square<f32>, block: &mut Block) {
    vectorized(
        #[inline(always)]
        || {
            for (tile, to) in block.0.chunks_exact_mut(512).enumerate() {
                for (pair, to) in to.chunks_exact_mut(32).enumerate() {
                    for (row, to) in to.chunks_exact_mut(2).enumerate() {
                        let from = (tile * 16 + row) * SIDE + 2 * pair;
                        to[0] = narrow(square.0[from]);
                        to[1] = narrow(square.0[from + 1]);
                    }
                }
            }
        },
    )
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{Block, SIDE, Square};
    use crate::kernels::packed::transpose::words;
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_cvtne2ps_pbh, _mm512_load_ps, _mm512_load_si512, _mm512_permutexvar_epi16,
        _mm512_store_si512,
    };
    use std::mem::{MaybeUninit, transmute};

    /// See [`super::round_rows`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) fn round_rows(square: &Square<f32>, block: &mut MaybeUninit<Block>) {
        for row in 0..SIDE {
            store(block, row, narrow(square, row * SIDE, row * SIDE + 16));
        }
    }

    /// See [`super::round_pairs`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) fn round_pairs(square: &Square<f32>, block: &mut MaybeUninit<Block>) {
        // Words 0 and 16, 1 and 17, … become neighbours.
        const INTERLEAVE: [u16; 32] = {
            let mut order = [0; 32];
            let mut i = 0;
            while i < 32 {
                order[i] = (i / 2 + 16 * (i % 2)) as u16;
                i += 1;
            }
            order
        };
        // SAFETY: both are 64 bytes of plain numbers.
        let interleave = unsafe { transmute::<[u16; 32], __m512i>(INTERLEAVE) };
        for pair in 0..SIDE / 2 {
            for tile in 0..2 {
                let first = 2 * pair * SIDE + tile * 16;
                let rows = narrow(square, first, first + SIDE);
                store(block, tile * 16 + pair, _mm512_permutexvar_epi16(interleave, rows));
            }
        }
    }

    /// Transposes both tiles of a block, which is written, as 16 by 16 pairs.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn transpose_tiles(block: &mut MaybeUninit<Block>) {
        for tile in 0..2 {
            // SAFETY: a block is 2 x 16 vectors of 64 bytes, aligned to them; the caller has written them all.
            let rows = std::array::from_fn(|row| unsafe {
                _mm512_load_si512(block.as_ptr().cast::<__m512i>().add(tile * 16 + row))
            });
            for (row, vector) in words(rows).into_iter().enumerate() {
                store(block, tile * 16 + row, vector);
            }
        }
    }

    /// Rounds the 16 numbers at `low` and the 16 at `high`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn narrow(square: &Square<f32>, low: usize, high: usize) -> __m512i {
        assert!(low + 16 <= square.0.len() && high + 16 <= square.0.len(), "the numbers are in the square");
        // SAFETY: both runs were just checked to lie in the square; runs start at multiples of 16 in aligned rows.
        unsafe {
            let [low, high] = [low, high].map(|at| _mm512_load_ps(square.0.as_ptr().add(at)));
            transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low))
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store(block: &mut MaybeUninit<Block>, vector: usize, value: __m512i) {
        assert!(vector < SIDE, "a block is 32 vectors");
        // SAFETY: a block is 32 vectors of 64 bytes, aligned to them.
        unsafe { _mm512_store_si512(block.as_mut_ptr().cast::<__m512i>().add(vector), value) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_ties_to_even_and_keeps_what_is_no_number() {
        for (x, bits) in [
            (1.0, 0x3f80),
            (1.0 + 1.0 / 256.0, 0x3f80), // half-way, even below
            (1.0 + 3.0 / 256.0, 0x3f82), // half-way, even above
            (1.0 + 1.5 / 256.0, 0x3f81),
            (-2.0, 0xc000),
            (f32::INFINITY, 0x7f80),
            (f32::MAX, 0x7f80),
            (f32::from_bits(0x7f80_0001), 0x7fc0),
        ] {
            assert_eq!(narrow(x), bits, "{x}");
        }
    }

    #[test]
    fn every_unit_lays_out_every_order_as_the_definition_does() {
        let mut square = Square::zero();
        square.0.iter_mut().enumerate().for_each(|(i, x)| *x = (i as f32 - 500.0) * 0.37);
        for order in [Order::Left, Order::Right, Order::LeftTransposed, Order::RightTransposed] {
            let mut expected = MaybeUninit::uninit();
            round(Unit::Portable, &square, order, &mut expected);
            // SAFETY: rounding writes the whole block.
            let expected = unsafe { expected.assume_init() };
            for unit in Unit::available() {
                let mut block = MaybeUninit::uninit();
                round(unit, &square, order, &mut block);
                // SAFETY: as above.
                let block = unsafe { block.assume_init() };
                assert_eq!(block.0, expected.0, "{order:?} on {unit:?}");
            }
        }
    }
}
