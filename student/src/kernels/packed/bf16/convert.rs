//! From squares of `f32` to blocks of bfloat16, in each of the four orders of a factor.
//!
//! All orders come from two: rows as they stand, and pairs of rows interleaved. The other two transpose each tile of 16
//! by 16 pairs.

use super::{Block, Unit};
use crate::kernels::packed::square::Square;
use crate::kernels::packed::tiles::{Order, SIDE};
use crate::kernels::vectorized;
use ndarray::ArrayView2;
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
        _ => unsafe { avx512::round(square, order, block) },
    }
}

/// Rounds a square to the block of an order, over what the block held before.
#[inline]
pub(in crate::kernels) fn round_over(unit: Unit, square: &Square<f32>, order: Order, block: &mut Block) {
    // SAFETY: a block has the layout of one that may be unwritten, and `round` writes all of it.
    round(unit, square, order, unsafe { &mut *std::ptr::from_mut(block).cast::<MaybeUninit<Block>>() });
}

/// Rounds the square at `[row, column]` of a matrix's grid of squares to the block of an order, without a copy of it on
/// the way. Beyond the matrix there are zeros. Rows are contiguous.
pub(in crate::kernels) fn round_part(
    unit: Unit,
    x: ArrayView2<'_, f32>,
    place: [usize; 2],
    order: Order,
    block: &mut Block,
) {
    match unit {
        Unit::Portable => {
            let mut square = Square::zero();
            square.load(x, place);
            round_over(unit, &square, order, block);
        }
        // SAFETY: as in `round`; a block has the layout of one that may be unwritten, and all of it is written.
        #[cfg(target_arch = "x86_64")]
        _ => unsafe {
            let block = &mut *std::ptr::from_mut(block).cast::<MaybeUninit<Block>>();
            avx512::round(&avx512::Part::new(&x, place), order, block);
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
    use super::{Block, Order, SIDE, Square};
    use crate::kernels::packed::transpose::words;
    use ndarray::ArrayView2;
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm512_cvtne2ps_pbh, _mm512_load_ps, _mm512_load_si512,
        _mm512_maskz_loadu_ps, _mm512_permutexvar_epi16, _mm512_store_si512,
    };
    use std::marker::PhantomData;
    use std::mem::{MaybeUninit, transmute};

    /// Where 32 rows of two vectors come from.
    pub(super) trait Source {
        /// Returns a half of a row.
        ///
        /// # Safety
        /// The processor has AVX-512; `row < 32` and `half < 2`.
        unsafe fn half(&self, row: usize, half: usize) -> __m512;
    }

    impl Source for Square<f32> {
        #[inline(always)]
        unsafe fn half(&self, row: usize, half: usize) -> __m512 {
            // SAFETY: a square is 32 rows of two vectors, aligned to them.
            unsafe { _mm512_load_ps(self.0.as_ptr().add(row * SIDE + half * 16)) }
        }
    }

    /// A square of a matrix's grid of squares.
    pub(super) struct Part<'a> {
        first: *const f32,
        stride: isize,
        rows: usize,
        masks: [u16; 2],
        matrix: PhantomData<&'a f32>,
    }

    impl<'a> Part<'a> {
        /// The square at `[row, column]`.
        pub(super) fn new(x: &'a ArrayView2<'_, f32>, [row, column]: [usize; 2]) -> Self {
            let [rows, columns] =
                [x.nrows() - row * SIDE, x.ncols() - column * SIDE].map(|len| len.min(SIDE));
            assert!(x.ncols() == 1 || x.strides()[1] == 1, "rows of a factor are contiguous");
            let mask = (1_u64 << columns) - 1;
            Part {
                first: &raw const x[[row * SIDE, column * SIDE]],
                stride: x.strides()[0],
                rows,
                masks: [mask as u16, (mask >> 16) as u16],
                matrix: PhantomData,
            }
        }
    }

    impl Source for Part<'_> {
        #[inline(always)]
        unsafe fn half(&self, row: usize, half: usize) -> __m512 {
            let mask = if row < self.rows { self.masks[half] } else { 0 };
            // SAFETY: the mask admits elements of the matrix alone; what it does not admit is not read.
            unsafe {
                _mm512_maskz_loadu_ps(
                    mask,
                    self.first.wrapping_offset(row as isize * self.stride).wrapping_add(half * 16),
                )
            }
        }
    }

    /// See [`super::round`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) fn round(source: &impl Source, order: Order, block: &mut MaybeUninit<Block>) {
        match order {
            Order::Left => round_rows(source, block),
            Order::Right => round_pairs(source, block),
            Order::LeftTransposed => {
                round_pairs(source, block);
                transpose_tiles(block);
            }
            Order::RightTransposed => {
                round_rows(source, block);
                transpose_tiles(block);
            }
        }
    }

    /// See [`super::round_rows`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn round_rows(source: &impl Source, block: &mut MaybeUninit<Block>) {
        for row in 0..SIDE {
            store(block, row, narrow(source, [row, 0], [row, 1]));
        }
    }

    /// See [`super::round_pairs`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn round_pairs(source: &impl Source, block: &mut MaybeUninit<Block>) {
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
                let rows = narrow(source, [2 * pair, tile], [2 * pair + 1, tile]);
                store(block, tile * 16 + pair, _mm512_permutexvar_epi16(interleave, rows));
            }
        }
    }

    /// Transposes both tiles of a block, which is written, as 16 by 16 pairs.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn transpose_tiles(block: &mut MaybeUninit<Block>) {
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

    /// Rounds two halves of rows, each given as `[row, half]`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn narrow(source: &impl Source, low: [usize; 2], high: [usize; 2]) -> __m512i {
        // SAFETY: the processor has AVX-512, as this function demands, and the callers count to 32 rows and 2 halves.
        unsafe {
            let [low, high] = [low, high].map(|[row, half]| source.half(row, half));
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
