//! Regression on gold values.

use crate::task::Gold;
use ndarray::{Array2, ArrayView2};
use student::Real;

/// Returns the squared distance from the gold values and its gradient with respect to the predictions.
///
/// `L = Σ_b (z − y)²`, `dL/dz = 2 (z − y)`; examples without a value contribute nothing.
///
/// Shapes: `logits`, returned gradient: [B, 1]; `gold`: `[B]`. The value is summed over the labelled examples.
pub fn label_mse<F: Real>(logits: ArrayView2<'_, F>, gold: &[Gold]) -> (F, Array2<F>) {
    let mut gradient = Array2::zeros(logits.dim());
    let mut sum = F::zero();
    for ((row, mut d), gold) in logits.rows().into_iter().zip(gradient.rows_mut()).zip(gold) {
        if let Gold::Value(value) = *gold {
            let difference = row[0] - F::of(f64::from(value));
            sum += difference * difference;
            d[0] = F::of(2.0) * difference;
        }
    }
    (sum, gradient)
}
