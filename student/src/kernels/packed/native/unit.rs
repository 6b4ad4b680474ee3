//! Which vectors of the processor multiply.

use super::Row;
use super::multiply::multiply;
use super::transpose::transpose;
use crate::Real;
use crate::kernels::Onto;
use crate::kernels::packed::square::Square;
use crate::kernels::packed::tiles::Order;
use crate::kernels::packed::unit::chosen;
#[cfg(target_arch = "x86_64")]
use crate::kernels::simd::{Avx2, Avx512};
use crate::kernels::vectorized;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// Vectors of the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Vectors of 512 bits, of `f32` alone.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Vectors of 256 bits, of `f32` alone.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Whatever there is, for all numbers.
    Portable,
}

/// The environment variable that forces a unit, to test and to compare: `avx512`, `avx2` or `portable`.
const FORCE: &str = "DISTILL_F32_UNIT";

impl Unit {
    /// Returns the fastest unit for `f32` that the processor has, or the one that `DISTILL_F32_UNIT` names if it has it.
    pub fn best() -> Unit {
        static BEST: OnceLock<Unit> = OnceLock::new();
        *BEST.get_or_init(|| chosen(&Unit::available(), Unit::name, FORCE))
    }

    /// Returns the units for `f32` that the processor has, fastest first.
    pub fn available() -> Vec<Unit> {
        let mut units = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if Avx512::detect().is_some() {
                units.push(Unit::Avx512);
            }
            if Avx2::detect().is_some() {
                units.push(Unit::Avx2);
            }
        }
        units.push(Unit::Portable);
        units
    }

    /// Returns the name of the unit.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Unit::Avx2 => "avx2",
            Unit::Portable => "portable",
        }
    }

    /// Returns how deep products are summed at once: two pieces of `f32`, and the two that come next, fit into the first-level
    /// cache.
    pub fn depth(self) -> usize {
        match self {
            // Its tiles are as wide as a strip, and many processors that have nothing wider have 32 KB.
            #[cfg(target_arch = "x86_64")]
            Unit::Avx2 => 64,
            _ => 96,
        }
    }

    /// Lays a square out for an order: the depth goes from row to row.
    pub fn lay_out<F: Real>(self, square: &Square<F>, order: Order, block: &mut MaybeUninit<Square<F>>) {
        if order.runs_along_columns() {
            transpose(self, square, block);
        } else {
            block.write(square.clone());
        }
    }

    /// Computes `c = Σ a b` or `c += Σ a b`.
    ///
    /// # Safety
    /// `a` and `b` are equally long, and aligned to 64 bytes.
    #[inline]
    pub unsafe fn multiply<F: Real>(self, a: &[Row<F>], b: &[Row<F>], c: &mut Square<F>, onto: Onto) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512 => {
                let c = c.single_mut();
                // SAFETY: the unit is only made where the processor has its vectors, and all are of `f32`, as
                // `single_mut` has checked; the lengths are the caller's promise.
                unsafe { avx512(single(a), single(b), c, onto) }
            }
            #[cfg(target_arch = "x86_64")]
            Unit::Avx2 => {
                let c = c.single_mut();
                // SAFETY: as above.
                unsafe { avx2(single(a), single(b), c, onto) }
            }
            Unit::Portable => vectorized(
                #[inline(always)]
                // SAFETY: four numbers are a vector everywhere; the lengths are the caller's promise.
                || unsafe { multiply::<F, [F; 4], PORTABLE_ROWS, 0, 2>(a, b, c, onto) },
            ),
        }
    }
}

/// Twice as many registers hold twice as many sums.
const PORTABLE_ROWS: usize = if cfg!(target_arch = "aarch64") { 8 } else { 4 };

/// # Safety
/// `F` is `f32`.
#[cfg(target_arch = "x86_64")]
unsafe fn single<F: Real>(rows: &[Row<F>]) -> &[Row<f32>] {
    // SAFETY: the same type, as the caller promises.
    unsafe { std::slice::from_raw_parts(rows.as_ptr().cast(), rows.len()) }
}

/// # Safety
/// As [`multiply`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,fma")]
unsafe fn avx512(a: &[Row<f32>], b: &[Row<f32>], c: &mut Square<f32>, onto: Onto) {
    // SAFETY: the function is compiled for the vectors; the rest is the caller's promise.
    unsafe { multiply::<f32, std::arch::x86_64::__m512, 8, 0, 2>(a, b, c, onto) }
}

/// # Safety
/// As [`multiply`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(a: &[Row<f32>], b: &[Row<f32>], c: &mut Square<f32>, onto: Onto) {
    // Twelve sums at a time: eight would keep two units of four cycles busy only if nothing were ever late.
    // SAFETY: as above.
    unsafe { multiply::<f32, std::arch::x86_64::__m256, 3, 2, 4>(a, b, c, onto) }
}
