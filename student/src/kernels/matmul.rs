//! Matrix products, by the `gemm` crate, split into blocks of constant size.

use crate::Real;
use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, ArrayViewMut2, Axis};

/// Rows of the result that one task computes. A constant: results must not depend on the number of threads.
const BLOCK_ROWS: usize = 192;

/// Products below this many multiplications are not worth a second thread.
const MIN_PARALLEL: usize = 1 << 18;

/// Computes `c = alpha · a b`, or `c += alpha · a b` with `Onto::Sum`, on the calling thread.
///
/// Shapes: `a`: [m, k], `b`: [k, n], `c`: [m, n]. Any strides: a transpose is a view.
fn gemm<F: Real>(
    mut c: ArrayViewMut2<'_, F>,
    a: ArrayView2<'_, F>,
    b: ArrayView2<'_, F>,
    alpha: F,
    onto: Onto,
) {
    let ((m, k), n) = (a.dim(), b.ncols());
    assert!(b.nrows() == k && c.dim() == (m, n), "gemm: [{m}, {k}] x {:?} into {:?}", b.dim(), c.dim());
    let (cs, as_, bs) = (strides(c.strides()), strides(a.strides()), strides(b.strides()));
    let read = onto == Onto::Sum;
    // SAFETY: the three views are live for the call, `c` is borrowed mutably and so overlaps neither `a` nor `b`, and
    // pointers, shapes and strides all come from the views themselves.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            cs[1],
            cs[0],
            read,
            a.as_ptr(),
            as_[1],
            as_[0],
            b.as_ptr(),
            bs[1],
            bs[0],
            if read { F::one() } else { F::zero() },
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// What a product does with what the result held before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Onto {
    /// Replace it.
    Nothing,
    /// Add to it.
    Sum,
}

/// Adds `a b` to `c`. Shapes: `a`: [m, k], `b`: [k, n], `c`: [m, n].
pub(crate) fn matmul_add<F: Real>(c: ArrayViewMut2<'_, F>, a: ArrayView2<'_, F>, b: ArrayView2<'_, F>) {
    matmul_onto(c, a, b, Onto::Sum);
}

/// Computes `c = a b` or `c += a b`. Shapes as in [`matmul_add`].
pub(crate) fn matmul_onto<F: Real>(
    mut c: ArrayViewMut2<'_, F>,
    a: ArrayView2<'_, F>,
    b: ArrayView2<'_, F>,
    onto: Onto,
) {
    let block = |mut c: ArrayViewMut2<'_, F>, a: ArrayView2<'_, F>, b: ArrayView2<'_, F>| {
        gemm(c.view_mut(), a, b, F::one(), onto);
    };
    if a.nrows() * a.ncols() * b.ncols() < MIN_PARALLEL {
        block(c, a, b);
    } else if a.nrows() >= b.ncols() {
        c.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS)
            .into_par_iter()
            .zip(a.axis_chunks_iter(Axis(0), BLOCK_ROWS))
            .for_each(|(c, a)| block(c, a, b));
    } else {
        c.axis_chunks_iter_mut(Axis(1), BLOCK_ROWS)
            .into_par_iter()
            .zip(b.axis_chunks_iter(Axis(1), BLOCK_ROWS))
            .for_each(|(c, b)| block(c, a, b));
    }
}

fn strides(strides: &[isize]) -> [isize; 2] {
    [strides[0], strides[1]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::noise2;
    use crate::kernels::Pool;
    use ndarray::Array2;

    fn matmul<F: Real>(a: ArrayView2<'_, F>, b: ArrayView2<'_, F>) -> Array2<F> {
        let mut c = Array2::zeros((a.nrows(), b.ncols()));
        matmul_onto(c.view_mut(), a, b, Onto::Nothing);
        c
    }

    fn naive(a: &Array2<f64>, b: &Array2<f64>) -> Array2<f64> {
        Array2::from_shape_fn((a.nrows(), b.ncols()), |(i, j)| {
            (0..a.ncols()).map(|k| a[[i, k]] * b[[k, j]]).sum()
        })
    }

    #[test]
    fn products_agree_with_the_definition_for_every_layout() {
        for (m, k, n) in [(1, 1, 1), (3, 5, 2), (517, 31, 203), (203, 31, 517), (33, 1, 33)] {
            let (a, b) = (noise2::<f64>([m, k], 1), noise2::<f64>([k, n], 2));
            let expected = naive(&a, &b);
            let a_transposed = a.t().as_standard_layout().into_owned();
            let b_transposed = b.t().as_standard_layout().into_owned();
            for product in [
                matmul(a.view(), b.view()),
                matmul(a_transposed.t(), b.view()),
                matmul(a.view(), b_transposed.t()),
            ] {
                let error = (&product - &expected).mapv(f64::abs).fold(0.0, |x: f64, &y| x.max(y));
                assert!(error < 1e-12, "{m}x{k}x{n}: {error:e}");
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (a, b) = (noise2::<f32>([517, 311], 1), noise2::<f32>([311, 203], 2));
        let with = |threads| {
            let pool = Pool::new(threads).expect("a pool starts");
            pool.run(|| (matmul(a.view(), b.view()), matmul(b.t(), a.t())))
        };
        let one = with(1);
        for threads in [2, 3, 4, 8] {
            assert_eq!(one, with(threads), "{threads} threads");
        }
    }
}
