//! Learn a language: which word was hidden.

use super::log_softmax;
use ndarray::{Array2, ArrayView2};
use student::Real;

/// Returns the negative log-likelihood of the words that were masked and its gradient with respect to the logits.
///
/// `L = −Σ_m log softmax(z_m)[w_m]`, `dL/dz_m = softmax(z_m) − onehot(w_m)`. Devlin et al. 2019, section 3.1.
///
/// Shapes: `logits`, returned gradient: [M, V]; `words`, the ids that were there: `[M]`. The value is in nats, summed over
/// the masked tokens.
pub fn masked_cross_entropy<F: Real>(logits: ArrayView2<'_, F>, words: &[u32]) -> (F, Array2<F>) {
    assert_eq!(logits.nrows(), words.len(), "there is a word for every masked token");
    let mut gradient = log_softmax(logits, F::one());
    let mut sum = F::zero();
    for (mut row, &word) in gradient.rows_mut().into_iter().zip(words) {
        sum -= row[word as usize];
        row.mapv_inplace(F::exp);
        row[word as usize] -= F::one();
    }
    (sum, gradient)
}
