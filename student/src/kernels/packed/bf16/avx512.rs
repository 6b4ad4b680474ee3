//! Products of blocks by AVX-512's dot products of bfloat16 pairs.

use super::Block;
use crate::kernels::Onto;
use crate::kernels::packed::square::Square;
use crate::kernels::packed::tiles::SIDE;
use crate::kernels::simd::Avx512;
use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_load_ps, _mm512_load_si512, _mm512_set1_epi32,
    _mm512_setzero_ps, _mm512_store_ps,
};
use std::mem::transmute;

/// Rows that are summed at once: with two vectors of columns, sixteen sums stay in registers.
const ROWS: usize = 8;

/// Says whether the processor has everything that this file and the conversions use.
pub(super) fn is_available() -> bool {
    Avx512::detect().is_some() && std::arch::is_x86_feature_detected!("avx512bf16")
}

/// Computes `c = Σ a b` or `c += Σ a b`.
///
/// # Safety
/// The processor has AVX-512 with bfloat16. `a` and `b` are equally long.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(super) fn multiply(a: &[Block], b: &[Block], c: &mut Square<f32>, onto: Onto) {
    for first in (0..SIDE).step_by(ROWS) {
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        if onto == Onto::Sum {
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: a square is 32 rows of 32 numbers, aligned to 64 bytes.
                *sums = [0, 16]
                    .map(|column| unsafe { _mm512_load_ps(c.0.as_ptr().add((first + row) * SIDE + column)) });
            }
        }
        for (a, b) in a.iter().zip(b) {
            add(a, b, first, &mut sums);
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (half, sum) in sums.into_iter().enumerate() {
                // SAFETY: as above.
                unsafe { _mm512_store_ps(c.0.as_mut_ptr().add((first + row) * SIDE + half * 16), sum) };
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
fn add(a: &Block, b: &Block, first: usize, sums: &mut [[__m512; 2]; ROWS]) {
    let (a, b) = (a.0.as_ptr().cast::<i32>(), b.0.as_ptr().cast::<__m512i>());
    for pair in 0..SIDE / 2 {
        // SAFETY: a block is 2 x 16 vectors of 64 bytes, aligned to them; as words, 32 rows of 16 pairs.
        let b = [0, 16].map(|tile| bf16(unsafe { _mm512_load_si512(b.add(tile + pair)) }));
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: as above.
            let a = bf16(_mm512_set1_epi32(unsafe { *a.add((first + row) * SIDE / 2 + pair) }));
            sums[0] = _mm512_dpbf16_ps(sums[0], a, b[0]);
            sums[1] = _mm512_dpbf16_ps(sums[1], a, b[1]);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn bf16(x: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes of plain bits.
    unsafe { transmute(x) }
}
