//! Learn the direction of what the teacher says of each token, not its length.

use ndarray::{Array2, ArrayView2};
use student::Real;

/// Returns how far hidden states point apart, and the gradient with respect to the student's.
///
/// `L = Σ_n 1 − cos(x_s, x_t)`, `dL/dx_s = (cos · x_s / |x_s| − x_t / |x_t|) / |x_s|`. Sanh et al. 2019, section 3. A state
/// of no length has no direction: it counts 1, and has no gradient.
///
/// Shapes: `student`, `teacher`, returned gradient: [N, H]. The value is summed over tokens.
pub fn hidden_cosine<F: Real>(student: ArrayView2<'_, F>, teacher: ArrayView2<'_, F>) -> (F, Array2<F>) {
    let mut gradient = Array2::zeros(student.dim());
    let mut sum = F::zero();
    for ((s, t), mut d) in student.rows().into_iter().zip(teacher.rows()).zip(gradient.rows_mut()) {
        let [s_length, t_length] = [s, t].map(|x| x.dot(&x).sqrt());
        if s_length == F::zero() || t_length == F::zero() {
            sum += F::one();
            continue;
        }
        let cosine = s.dot(&t) / (s_length * t_length);
        sum += F::one() - cosine;
        for ((d, &s), &t) in d.iter_mut().zip(s).zip(t) {
            *d = (cosine * s / s_length - t / t_length) / s_length;
        }
    }
    (sum, gradient)
}
