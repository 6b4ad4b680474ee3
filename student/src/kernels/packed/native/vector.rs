//! The vectors that products are made of.
//!
//! Loops over arrays would say the same, but which of them the compiler takes for vectors changes with every size.

use crate::Real;
use crate::kernels::simd::{Baseline, Unit};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Several numbers that are multiplied at once.
pub(super) trait Vector<F>: Copy {
    /// How many numbers.
    const LEN: usize;

    /// Returns a vector of one number.
    ///
    /// # Safety
    /// Here and below: the processor has the vector.
    unsafe fn splat(x: F) -> Self;

    /// Reads a vector.
    ///
    /// # Safety
    /// `from` points to as many numbers, aligned to their size in bytes.
    unsafe fn load(from: *const F) -> Self;

    /// Writes a vector.
    ///
    /// # Safety
    /// `to` points to as many numbers, aligned to their size in bytes.
    unsafe fn store(self, to: *mut F);

    /// Returns `self + b`.
    ///
    /// # Safety
    /// See [`Vector::splat`].
    unsafe fn add(self, b: Self) -> Self;

    /// Returns `a b + self`.
    ///
    /// # Safety
    /// See [`Vector::splat`].
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
}

macro_rules! x86_vector {
    ($vector:ident, $len:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $fma:ident) => {
        #[cfg(target_arch = "x86_64")]
        impl Vector<f32> for $vector {
            const LEN: usize = $len;

            #[inline(always)]
            unsafe fn splat(x: f32) -> Self {
                // SAFETY: here and below, the caller promises what the instruction needs.
                unsafe { $splat(x) }
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: as above.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: as above.
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn add(self, b: Self) -> Self {
                // SAFETY: as above.
                unsafe { $add(self, b) }
            }

            #[inline(always)]
            unsafe fn add_product(self, a: Self, b: Self) -> Self {
                // SAFETY: as above.
                unsafe { $fma(a, b, self) }
            }
        }
    };
}

x86_vector!(__m512, 16, _mm512_set1_ps, _mm512_load_ps, _mm512_store_ps, _mm512_add_ps, _mm512_fmadd_ps);
x86_vector!(__m256, 8, _mm256_set1_ps, _mm256_load_ps, _mm256_store_ps, _mm256_add_ps, _mm256_fmadd_ps);

/// Four numbers, a vector of every processor so far.
impl<F: Real> Vector<F> for [F; 4] {
    const LEN: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: F) -> Self {
        [x; 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const F) -> Self {
        // SAFETY: the caller promises four numbers, aligned.
        unsafe { from.cast::<Self>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut F) {
        // SAFETY: as above.
        unsafe { to.cast::<Self>().write(self) }
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        std::array::from_fn(|i| self[i] + b[i])
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|i| Baseline.mul_add(a[i], b[i], self[i]))
    }
}
