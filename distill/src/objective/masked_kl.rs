//! Learn a language from a teacher: which words could stand where one was hidden.

use super::{log_softmax, log_sum_exp};
use ndarray::{Array1, Array2, ArrayView2};
use student::Real;

/// What a teacher thinks of some masked tokens: its likeliest words one by one, and all others as one.
#[derive(Clone, Debug, PartialEq)]
pub struct LikelyWords<F = f32> {
    /// The likeliest words, [M, K].
    pub ids: Array2<u32>,
    /// Their logits, raw, [M, K].
    pub logits: Array2<F>,
    /// The logarithm of the sum of `exp(z / T)` over all other words, `[M]`; negative infinity where there are none.
    pub others: Array1<F>,
}

/// Returns the divergence from what a masked language model thinks, and its gradient with respect to the student's logits.
///
/// `L = T² · Σ_m Σ_g p_g (log p_g − log q_g)`, where `p` and `q` are the softened distributions of teacher and student over
/// the teacher's K likeliest words and, as one more, all others together. `dL/dz_i = T (q_i − p_g q_i / q_g)` for word `i`
/// of `g`: for a word that stands alone that is `T (q_i − p_i)`.
/// Sanh et al. 2019, section 2, of masked tokens; with K = V it is the divergence of the whole distributions, with less a lower
/// bound of it.
///
/// Shapes: `student`, returned gradient: [M, V]. The value is in nats, summed over the masked tokens.
pub fn masked_kl<F: Real>(
    student: ArrayView2<'_, F>,
    teacher: &LikelyWords<F>,
    temperature: F,
) -> (F, Array2<F>) {
    assert_eq!(student.nrows(), teacher.ids.nrows(), "the teacher was asked about every masked token");
    let mut gradient = log_softmax(student, temperature);
    let mut sum = F::zero();
    let rows = teacher.ids.rows().into_iter().zip(teacher.logits.rows()).zip(&teacher.others);
    for (mut row, ((ids, logits), &others)) in gradient.rows_mut().into_iter().zip(rows) {
        let log_q: Vec<F> = ids.iter().map(|&id| row[id as usize]).collect();
        ids.iter().for_each(|&id| row[id as usize] = F::neg_infinity());
        let (log_p, log_p_others) = softened(logits.iter().copied(), others, temperature);
        let p_others = log_p_others.exp();
        let log_q_others = log_sum_exp(row.iter().copied());
        if p_others > F::zero() {
            sum += p_others * (log_p_others - log_q_others);
        }
        row.mapv_inplace(|log_q| temperature * (log_q.exp() - p_others * (log_q - log_q_others).exp()));
        for ((&id, log_q), log_p) in ids.iter().zip(log_q).zip(log_p) {
            let p = log_p.exp();
            sum += p * (log_p - log_q);
            row[id as usize] = temperature * (log_q.exp() - p);
        }
    }
    (temperature * temperature * sum, gradient)
}

/// Returns the logarithms of the softened probabilities of some words, and of all others together.
fn softened<F: Real>(logits: impl Iterator<Item = F>, others: F, temperature: F) -> (Vec<F>, F) {
    let mut log_p: Vec<F> = logits.map(|logit| logit / temperature).collect();
    let norm = log_sum_exp(std::iter::once(others).chain(log_p.iter().copied()));
    log_p.iter_mut().for_each(|z| *z -= norm);
    (log_p, others - norm)
}
