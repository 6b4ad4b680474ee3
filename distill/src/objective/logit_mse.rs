//! Regression on the teacher's logits, for classification and regression alike.

use ndarray::{Array2, ArrayView2};
use student::Real;

/// Returns the squared distance of the logits and its gradient with respect to the student's.
///
/// `L = Σ_b Σ_c (z_s − z_t)² / C`, `dL/dz_s = 2 (z_s − z_t) / C`. Ba and Caruana 2014, equation 1; it is the limit of
/// the distillation loss at high temperature for logits of mean zero (Hinton et al. 2015, section 2.1).
///
/// Shapes: `student`, `teacher`, returned gradient: [B, C]. The value is summed over the batch, averaged over classes.
pub fn logit_mse<F: Real>(student: ArrayView2<'_, F>, teacher: ArrayView2<'_, F>) -> (F, Array2<F>) {
    let classes = F::of(student.ncols() as f64);
    let difference = &student - &teacher;
    let sum = difference.fold(F::zero(), |sum, &d| sum + d * d) / classes;
    (sum, difference * (F::of(2.0) / classes))
}
