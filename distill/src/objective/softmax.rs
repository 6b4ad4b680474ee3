//! The normalisation that losses share.

use ndarray::{Array2, ArrayView2};
use student::Real;

/// Returns `log Σ exp(x)`, without overflow; negative infinity for no number.
pub fn log_sum_exp<F: Real>(x: impl Iterator<Item = F> + Clone) -> F {
    let highest = x.clone().fold(F::neg_infinity(), F::max);
    if highest == F::neg_infinity() {
        return highest;
    }
    highest + x.fold(F::zero(), |sum, x| sum + (x - highest).exp()).ln()
}

/// Returns `log softmax(x / T)` of each row, without overflow.  `x`, result: [B, C].
pub fn log_softmax<F: Real>(x: ArrayView2<'_, F>, temperature: F) -> Array2<F> {
    let mut log_probs = x.mapv(|x| x / temperature);
    for mut row in log_probs.rows_mut() {
        let max = row.fold(F::neg_infinity(), |max, &x| max.max(x));
        let log_sum = row.fold(F::zero(), |sum, &x| sum + (x - max).exp()).ln();
        row.mapv_inplace(|x| x - max - log_sum);
    }
    log_probs
}
