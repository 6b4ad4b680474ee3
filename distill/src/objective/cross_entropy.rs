//! The hard labels: what is known without a teacher.

use super::log_softmax;
use crate::task::Gold;
use ndarray::{Array2, ArrayView2};
use student::Real;

/// Returns the negative log-likelihood of the gold classes and its gradient with respect to the logits.
///
/// `L = −Σ_b log softmax(z)_y`, `dL/dz = softmax(z) − onehot(y)`; examples without a label contribute nothing.
///
/// Shapes: `logits`, returned gradient: [B, C]; `gold`: `[B]`, classes below C. The value is in nats, summed over the
/// labelled examples.
pub fn cross_entropy<F: Real>(logits: ArrayView2<'_, F>, gold: &[Gold]) -> (F, Array2<F>) {
    let log_probs = log_softmax(logits, F::one());
    let mut gradient = log_probs.mapv(F::exp);
    let mut sum = F::zero();
    for ((row, mut d), gold) in log_probs.rows().into_iter().zip(gradient.rows_mut()).zip(gold) {
        match *gold {
            Gold::Class(class) => {
                sum -= row[class];
                d[class] -= F::one();
            }
            Gold::Value(_) | Gold::Missing => d.fill(F::zero()),
        }
    }
    (sum, gradient)
}
