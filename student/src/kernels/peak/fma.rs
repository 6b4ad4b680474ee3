//! The peak of single precision: fused multiply-adds on registers alone.

#[cfg(target_arch = "x86_64")]
use crate::kernels::simd::{Avx2, Avx512};
use std::hint::black_box;

/// Vectors that are summed side by side: more than latency times units of any processor so far, fewer than registers.
const SUMS: usize = 12;

/// Multiplies and adds `rounds` times in each of several registers; returns the floating-point operations done.
pub(crate) fn fma(rounds: usize) -> f64 {
    #[cfg(target_arch = "x86_64")]
    {
        if Avx512::detect().is_some() {
            // SAFETY: the processor has just been asked for AVX-512.
            return operations(rounds, unsafe { avx512(rounds) });
        }
        if Avx2::detect().is_some() {
            // SAFETY: the processor has just been asked for AVX2 with fused multiply-adds.
            return operations(rounds, unsafe { avx2(rounds) });
        }
    }
    operations(rounds, baseline(rounds))
}

fn operations(rounds: usize, lanes: usize) -> f64 {
    2.0 * (rounds * lanes) as f64
}

/// A factor and a term that keep sums finite for ever.
const FACTOR: f32 = 0.5;
const TERM: f32 = 1.0;

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(rounds: usize) -> usize {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps, _mm512_setzero_ps};
    let (factor, term) = (_mm512_set1_ps(black_box(FACTOR)), _mm512_set1_ps(black_box(TERM)));
    let mut sums = [_mm512_setzero_ps(); SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, term);
        }
    }
    black_box(sums);
    SUMS * 16
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(rounds: usize) -> usize {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps, _mm256_setzero_ps};
    let (factor, term) = (_mm256_set1_ps(black_box(FACTOR)), _mm256_set1_ps(black_box(TERM)));
    let mut sums = [_mm256_setzero_ps(); SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, factor, term);
        }
    }
    black_box(sums);
    SUMS * 8
}

/// What the compiler makes of it on any other processor; one without fused multiply-adds does the two one by one.
fn baseline(rounds: usize) -> usize {
    const LANES: usize = SUMS * 4;
    let (factor, term) = (black_box(FACTOR), black_box(TERM));
    let mut sums = [0.0_f32; LANES];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum =
                if cfg!(target_arch = "aarch64") { sum.mul_add(factor, term) } else { *sum * factor + term };
        }
    }
    black_box(sums);
    LANES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_counts_whole_vectors() {
        assert_eq!(baseline(3) % SUMS, 0);
        assert!(fma(10) >= 10.0 * 2.0 * (SUMS * 4) as f64);
        assert_eq!(fma(20), 2.0 * fma(10));
    }
}
