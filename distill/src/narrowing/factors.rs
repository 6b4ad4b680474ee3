//! Two matrices that only act together, with fewer rows.

use nalgebra::DMatrix;
use ndarray::{Array2, ArrayView2, s};

/// Returns two matrices of `rank` rows whose product AᵀB is the nearest to that of the given ones (Eckart and Young 1936);
/// rows that it does not take are zero. `a`: [k, m], `b`: [k, n].
pub fn shortened(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>, rank: usize) -> (Array2<f64>, Array2<f64>) {
    if rank >= a.nrows() {
        return (filled(a, rank), filled(b, rank));
    }
    // The product is Qa (Ra Rbᵀ) Qbᵀ; what is between the two is small.
    let ((q_a, r_a), (q_b, r_b)) = (divided(a), divided(b));
    let middle = (r_a * r_b.transpose()).svd(true, true);
    let (left, right) = (middle.u.expect("it was asked for"), middle.v_t.expect("it was asked for"));
    let weight = |of: usize| middle.singular_values[of].sqrt();
    let (left, right) = (q_a * left, q_b * right.transpose());
    (
        Array2::from_shape_fn((rank, a.ncols()), |(row, column)| weight(row) * left[(column, row)]),
        Array2::from_shape_fn((rank, b.ncols()), |(row, column)| weight(row) * right[(column, row)]),
    )
}

/// Returns a matrix with rows of zeros below, `rows` in all.
fn filled(matrix: ArrayView2<'_, f64>, rows: usize) -> Array2<f64> {
    let mut filled = Array2::zeros((rows, matrix.ncols()));
    filled.slice_mut(s![..matrix.nrows(), ..]).assign(&matrix);
    filled
}

/// Returns orthonormal columns and a triangle whose product is the transpose of a matrix.
fn divided(matrix: ArrayView2<'_, f64>) -> (DMatrix<f64>, DMatrix<f64>) {
    let qr = DMatrix::from_fn(matrix.ncols(), matrix.nrows(), |i, j| matrix[[j, i]]).qr();
    (qr.q(), qr.r())
}

#[cfg(test)]
mod tests {
    use super::*;
    use student::gradcheck::noise2;

    fn distance(a: &Array2<f64>, b: &Array2<f64>, of: &Array2<f64>) -> f64 {
        (a.t().dot(b) - of).mapv(|x| x * x).sum()
    }

    #[test]
    fn a_product_of_that_rank_is_kept() {
        let (thin, mix) = (noise2::<f64>([3, 9], 1), noise2::<f64>([5, 3], 2));
        let (a, b) = (mix.dot(&thin), noise2::<f64>([5, 7], 3));
        let (short_a, short_b) = shortened(a.view(), b.view(), 3);
        assert_eq!((short_a.dim(), short_b.dim()), ((3, 9), (3, 7)));
        assert!(distance(&short_a, &short_b, &a.t().dot(&b)) < 1e-20);
    }

    #[test]
    fn no_choice_of_rows_is_nearer() {
        let (a, b) = (noise2::<f64>([4, 9], 1), noise2::<f64>([4, 7], 2));
        let product = a.t().dot(&b);
        let (short_a, short_b) = shortened(a.view(), b.view(), 2);
        let nearest = distance(&short_a, &short_b, &product);
        for rows in [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]] {
            let of = |matrix: &Array2<f64>| matrix.select(ndarray::Axis(0), &rows);
            assert!(nearest < distance(&of(&a), &of(&b), &product));
        }
        let (longer_a, longer_b) = shortened(a.view(), b.view(), 6);
        assert_eq!((longer_a.nrows(), longer_b.nrows()), (6, 6));
        assert_eq!(distance(&longer_a, &longer_b, &product), 0.0);
        assert_eq!(shortened(a.view(), b.view(), 4), (a, b));
    }
}
