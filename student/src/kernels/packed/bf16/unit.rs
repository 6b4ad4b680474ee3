//! Which part of the processor multiplies.

use super::Block;
use crate::kernels::Onto;
use crate::kernels::packed::square::Square;
use crate::kernels::packed::unit::chosen;
use std::sync::OnceLock;

/// A part of the processor that multiplies blocks of bfloat16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Tiles of 16 by 16 (Intel AMX).
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// Dot products of pairs in vectors of 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Whatever there is: numbers are widened to `f32`.
    Portable,
}

/// The environment variable that forces a unit, to test and to compare: `amx`, `avx512` or `portable`.
const FORCE: &str = "DISTILL_BF16_UNIT";

impl Unit {
    /// Returns the fastest unit that the processor has, or the one that `DISTILL_BF16_UNIT` names if it has it.
    pub fn best() -> Unit {
        static BEST: OnceLock<Unit> = OnceLock::new();
        *BEST.get_or_init(|| chosen(&Unit::available(), Unit::name, FORCE))
    }

    /// Returns the units that the processor has, fastest first.
    pub fn available() -> Vec<Unit> {
        let mut units = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if super::amx::is_available() {
                units.push(Unit::Amx);
            }
            if super::avx512::is_available() {
                units.push(Unit::Avx512);
            }
        }
        units.push(Unit::Portable);
        units
    }

    /// Returns the name of the unit.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Unit::Amx => "amx",
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512 => "avx512",
            Unit::Portable => "portable",
        }
    }

    /// Says whether products in bfloat16 are faster on this unit than products in `f32`.
    ///
    /// Intel's cores with AMX do `VDPBF16PS` at half the rate of `f32` (measured: 121 against 243 GFLOP/s); those
    /// before, and AMD's, at twice the rate. Half-precision arithmetic (`avx512fp16`) tells them apart.
    pub fn is_worthwhile(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Unit::Amx => true,
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512 => !std::arch::is_x86_feature_detected!("avx512fp16"),
            Unit::Portable => false,
        }
    }

    /// Runs `work` on this thread with the unit ready for [`Unit::multiply`].
    pub fn ready<R>(self, work: impl FnOnce() -> R) -> R {
        match self {
            #[cfg(target_arch = "x86_64")]
            Unit::Amx => super::amx::configured(work),
            _ => work(),
        }
    }

    /// Computes `c = Σ a b`, or `c += Σ a b`, over equally long runs of left and right blocks, inside of [`Unit::ready`].
    #[inline]
    pub fn multiply(self, a: &[Block], b: &[Block], c: &mut Square<f32>, onto: Onto) {
        assert_eq!(a.len(), b.len(), "both factors are equally deep");
        match self {
            // SAFETY: `Unit::Amx` is only made where the processor has tiles, and `ready` has configured them.
            #[cfg(target_arch = "x86_64")]
            Unit::Amx => unsafe { super::amx::multiply(a, b, c, onto) },
            // SAFETY: `Unit::Avx512` is only made where the processor has its instructions.
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512 => unsafe { super::avx512::multiply(a, b, c, onto) },
            Unit::Portable => super::portable::multiply(a, b, c, onto),
        }
    }
}
