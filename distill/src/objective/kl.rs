//! Distillation proper: learn the teacher's whole distribution.

use super::log_softmax;
use ndarray::{Array2, ArrayView2, Zip};
use student::Real;

/// Returns the distillation loss and its gradient with respect to the student's logits.
///
/// `L = T² · Σ_b KL(softmax(z_t / T) ‖ softmax(z_s / T))`, `dL/dz_s = T · (p_s − p_t)`.
/// Hinton, Vinyals and Dean 2015, section 2; the factor T² keeps the size of the gradient independent of T.
///
/// Shapes: `student`, `teacher`, returned gradient: [B, C]. The value is in nats, summed over the batch and over
/// classes.
pub fn kl<F: Real>(student: ArrayView2<'_, F>, teacher: ArrayView2<'_, F>, temperature: F) -> (F, Array2<F>) {
    let (student, teacher) = (log_softmax(student, temperature), log_softmax(teacher, temperature));
    let mut sum = F::zero();
    Zip::from(&student).and(&teacher).for_each(|&s, &t| sum += t.exp() * (t - s));
    let mut gradient = student;
    Zip::from(&mut gradient).and(&teacher).for_each(|s, &t| *s = temperature * (s.exp() - t.exp()));
    (temperature * temperature * sum, gradient)
}
