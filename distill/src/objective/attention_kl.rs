//! Learn which tokens the teacher's heads look at, by the probabilities.

use super::kl;
use ndarray::{Array3, ArrayView3, Axis};
use student::Real;

/// Returns the divergence of attention distributions and its gradient with respect to the student's scores.
///
/// `L = Σ_a Σ_i KL(softmax(s_t) ‖ softmax(s_s)) / A` over rows `i`, `dL/ds_s = (p_s − p_t) / A`. Wang et al. 2020 (MiniLM),
/// equation 4.
///
/// Shapes: `student`, `teacher`, returned gradient: [A, T, T]. The value is in nats, summed over tokens, averaged over heads.
pub fn attention_kl<F: Real>(student: ArrayView3<'_, F>, teacher: ArrayView3<'_, F>) -> (F, Array3<F>) {
    let share = F::one() / F::of(student.len_of(Axis(0)) as f64);
    let mut gradient = Array3::zeros(student.dim());
    let mut sum = F::zero();
    let heads = student.outer_iter().zip(teacher.outer_iter()).zip(gradient.outer_iter_mut());
    for ((student, teacher), mut d) in heads {
        let (value, d_scores) = kl(student, teacher, F::one());
        sum += value * share;
        d.scaled_add(share, &d_scores);
    }
    (sum, gradient)
}
