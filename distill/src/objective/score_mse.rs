//! Learn which tokens the teacher's heads look at, by the scores.

use ndarray::{Array3, ArrayView3, Axis};
use student::Real;

/// Returns the squared distance of attention scores and its gradient with respect to the student's.
///
/// `L = Σ_a Σ_ij (s_s − s_t)² / A`, `dL/ds_s = 2 (s_s − s_t) / A`: head by head, before the softmax. Jiao et al. 2020,
/// equation 7. The scores are those of one sequence alone, so that there is no padding to leave out.
///
/// Shapes: `student`, `teacher`, returned gradient: [A, T, T]. The value is summed over pairs of tokens, averaged over heads.
pub fn score_mse<F: Real>(student: ArrayView3<'_, F>, teacher: ArrayView3<'_, F>) -> (F, Array3<F>) {
    let heads = F::of(student.len_of(Axis(0)) as f64);
    let difference = &student - &teacher;
    let sum = difference.fold(F::zero(), |sum, &d| sum + d * d) / heads;
    (sum, difference * (F::of(2.0) / heads))
}
