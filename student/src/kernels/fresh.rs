//! Matrices that start unwritten: to zero what is about to be written would be one more pass over memory.

use ndarray::Array2;
use std::mem::MaybeUninit;

/// Returns a matrix, `[rows, columns]`, whose elements `write` writes, in row-major order.
///
/// # Safety
/// `write` must have written every element when it returns.
pub(super) unsafe fn fresh<T: Copy>(
    shape: (usize, usize),
    write: impl FnOnce(&mut [MaybeUninit<T>]),
) -> Array2<T> {
    let mut matrix = Array2::uninit(shape);
    write(matrix.as_slice_mut().expect("a new matrix is contiguous"));
    // SAFETY: the caller promises that every element has been written.
    unsafe { matrix.assume_init() }
}

/// Writes `f([a[i], b[i], …])` to every element `i` of `to`.
///
/// # Panics
/// When the slices differ in length.
#[inline(always)]
pub(super) fn write<T: Copy, const K: usize>(
    to: &mut [MaybeUninit<T>],
    from: [&[T]; K],
    f: impl Fn([T; K]) -> T,
) {
    let len = to.len();
    assert!(from.iter().all(|from| from.len() == len), "the slices have one length");
    for (i, to) in to.iter_mut().enumerate() {
        to.write(f(from.map(|from| from[i])));
    }
}

/// Returns the elements of `to`.
///
/// # Safety
/// Every element must have been written.
#[inline(always)]
pub(super) unsafe fn written<T: Copy>(to: &mut [MaybeUninit<T>]) -> &mut [T] {
    // SAFETY: `MaybeUninit<T>` has the layout of `T`, and the caller promises that every element holds a `T`.
    unsafe { &mut *(std::ptr::from_mut(to) as *mut [T]) }
}
