//! Sixteen vectors of sixteen words, rows and columns exchanged: what every order of a factor is made of.

use std::arch::x86_64::{
    __m512i, _mm512_shuffle_i32x4, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
    _mm512_unpacklo_epi64,
};

/// Transposes 16 vectors of 16 words: pairs of words, of pairs, then quarters, twice.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn words(x: [__m512i; 16]) -> [__m512i; 16] {
    let mut y = x;
    for i in 0..8 {
        y[2 * i] = _mm512_unpacklo_epi32(x[2 * i], x[2 * i + 1]);
        y[2 * i + 1] = _mm512_unpackhi_epi32(x[2 * i], x[2 * i + 1]);
    }
    let mut z = y;
    for i in 0..4 {
        for j in 0..2 {
            z[4 * i + 2 * j] = _mm512_unpacklo_epi64(y[4 * i + j], y[4 * i + 2 + j]);
            z[4 * i + 2 * j + 1] = _mm512_unpackhi_epi64(y[4 * i + j], y[4 * i + 2 + j]);
        }
    }
    // z[4 i + j] now holds, in its quarter q, column 4 q + j of rows 4 i to 4 i + 3.
    let mut columns = z;
    for j in 0..4 {
        let low = [0, 8].map(|i| _mm512_shuffle_i32x4::<0x88>(z[i + j], z[i + 4 + j]));
        let high = [0, 8].map(|i| _mm512_shuffle_i32x4::<0xdd>(z[i + j], z[i + 4 + j]));
        columns[j] = _mm512_shuffle_i32x4::<0x88>(low[0], low[1]);
        columns[8 + j] = _mm512_shuffle_i32x4::<0xdd>(low[0], low[1]);
        columns[4 + j] = _mm512_shuffle_i32x4::<0x88>(high[0], high[1]);
        columns[12 + j] = _mm512_shuffle_i32x4::<0xdd>(high[0], high[1]);
    }
    columns
}
