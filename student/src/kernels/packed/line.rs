//! Memory of packed numbers, in whole lines of the cache.

use std::mem::MaybeUninit;

/// 64 bytes.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line([u64; 8]);

impl Line {
    /// Returns the lines that rows of 32 numbers take.
    pub const fn of_rows<T>(rows: usize) -> usize {
        rows * super::tiles::SIDE * size_of::<T>() / size_of::<Line>()
    }

    /// Returns lines as what they hold.
    ///
    /// # Safety
    /// Whatever bits the lines hold make a `T`; a `T` is at most as aligned as a line, and fills it or several.
    pub unsafe fn cast<T>(lines: &[Line]) -> &[T] {
        let len = size_of_val(lines) / size_of::<T>();
        // SAFETY: the bytes are the same, aligned well enough, and make `T`s, as the caller promises.
        unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), len) }
    }

    /// Returns lines as what is to be written to them.
    ///
    /// # Panics
    /// When a `T` does not fill them.
    pub fn room_for<T>(lines: &mut [MaybeUninit<Line>]) -> &mut MaybeUninit<T> {
        assert!(size_of_val(lines) == size_of::<T>() && align_of::<T>() <= align_of::<Line>());
        // SAFETY: the bytes are the same, aligned well enough, and may hold anything.
        unsafe { &mut *lines.as_mut_ptr().cast() }
    }
}

/// Asks for the line at an address, which is about to be read; any address will do.
#[inline(always)]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program can see, and does not fault.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// As [`prefetch`], for a line that is about to be written.
#[inline(always)]
pub(super) fn prefetch_to_write<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_ET0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
