//! Learn what the teacher's layers say of each token.

use ndarray::{Array2, ArrayView2};
use student::Real;

/// Returns the squared distance of hidden states and its gradient with respect to the student's.
///
/// `L = Σ_n Σ_h (x_s − x_t)² / H`, `dL/dx_s = 2 (x_s − x_t) / H`, where `x_s` is what the student shows, in the teacher's
/// width: `x_s = W y + b` with a learned map where it is narrower. Jiao et al. 2020, equations 8 (hidden states) and 9
/// (embeddings).
///
/// Shapes: `student`, `teacher`, returned gradient: [N, H]. The value is summed over tokens, averaged over features.
pub fn hidden_mse<F: Real>(student: ArrayView2<'_, F>, teacher: ArrayView2<'_, F>) -> (F, Array2<F>) {
    let width = F::of(student.ncols() as f64);
    let difference = &student - &teacher;
    let sum = difference.fold(F::zero(), |sum, &d| sum + d * d) / width;
    (sum, difference * (F::of(2.0) / width))
}
