//! The peak of bfloat16: the unit's multiplications on registers alone.

use super::{Block, Unit};
use crate::kernels::Onto;
use crate::kernels::packed::square::Square;
use crate::kernels::packed::tiles::SIDE;
use std::hint::black_box;

/// Multiplies `rounds` times as fast as the unit can; returns the floating-point operations done.
pub(crate) fn peak(rounds: usize) -> f64 {
    let unit = Unit::best();
    let multiplications = unit.ready(|| match unit {
        // SAFETY: `Unit::Amx` is only made where the processor has tiles, and `ready` has configured them.
        #[cfg(target_arch = "x86_64")]
        Unit::Amx => unsafe { amx(rounds) },
        // SAFETY: `Unit::Avx512` is only made where the processor has it.
        #[cfg(target_arch = "x86_64")]
        Unit::Avx512 => unsafe { avx512(rounds) },
        Unit::Portable => portable(rounds),
    });
    2.0 * (rounds * multiplications) as f64
}

/// Keeps four tiles of sums busy, as many as the unit's latency needs.
///
/// # Safety
/// The processor has tiles and this thread has configured them.
#[cfg(target_arch = "x86_64")]
unsafe fn amx(rounds: usize) -> usize {
    if rounds > 0 {
        // SAFETY: the code works on tile registers, which are configured (the caller's promise), and on the counter.
        unsafe {
            std::arch::asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "tilezero tmm4",
                "tilezero tmm5",
                "tilezero tmm6",
                "tilezero tmm7",
                "2:",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "dec {count}",
                "jnz 2b",
                count = inout(reg) rounds => _,
                options(nostack, nomem),
            );
        }
    }
    SIDE * SIDE * SIDE
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
fn avx512(rounds: usize) -> usize {
    use std::arch::x86_64::{__m512bh, __m512i, _mm512_dpbf16_ps, _mm512_set1_epi16, _mm512_setzero_ps};
    const SUMS: usize = 12;
    const HALF: i16 = 0x3f00;
    // SAFETY: both are 64 bytes of plain bits.
    let bf16 = |x: __m512i| unsafe { std::mem::transmute::<__m512i, __m512bh>(x) };
    let [a, b] = [HALF, -HALF].map(|x| bf16(_mm512_set1_epi16(black_box(x))));
    let mut sums = [_mm512_setzero_ps(); SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, a, b);
        }
    }
    black_box(sums);
    SUMS * 32
}

fn portable(rounds: usize) -> usize {
    let (a, b) = (black_box([Block::ZERO]), black_box([Block::ZERO]));
    let mut sums = Square::zero();
    for _ in 0..rounds {
        Unit::Portable.multiply(&a, &b, &mut sums, Onto::Sum);
    }
    black_box(&sums);
    SIDE * SIDE * SIDE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_grow_with_the_rounds() {
        assert_eq!(peak(0), 0.0);
        assert!(peak(2) > 0.0 && peak(4) == 2.0 * peak(2));
        assert_eq!(portable(1), 32 * 32 * 32);
    }
}
