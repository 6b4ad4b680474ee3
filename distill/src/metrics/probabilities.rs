//! How good a model's probabilities are: divergence, likelihood, squared error, calibration.

use ndarray::{ArrayView1, ArrayView2};

/// The bins of confidence in which calibration is measured.
pub const BINS: usize = 15;

/// Returns the natural logarithms of the probabilities of one row's classes, at a temperature, in f64.  `logits`: `[C]`.
pub fn log_probs(logits: ArrayView1<'_, f32>, temperature: f64) -> Vec<f64> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shift = |logit: &f32| (f64::from(*logit) - f64::from(max)) / temperature;
    let shifted: Vec<f64> = logits.iter().map(shift).collect();
    let log_sum = shifted.iter().map(|logit| logit.exp()).sum::<f64>().ln();
    shifted.into_iter().map(|logit| logit - log_sum).collect()
}

/// Returns `KL(teacher ‖ student)` of one row in nats.  Both `[C]`, natural logarithms of probabilities.
pub fn kl(teacher: &[f64], student: &[f64]) -> f64 {
    teacher.iter().zip(student).map(|(t, s)| t.exp() * (t - s)).sum()
}

/// Returns the mean over rows of `KL(softmax(teacher) ‖ softmax(student))`, in nats.
///
/// Shapes: `teacher`, `student`: [B, C], raw logits (temperature 1). `None` on no rows, or if it is not finite.
pub fn mean_kl(teacher: ArrayView2<'_, f32>, student: ArrayView2<'_, f32>) -> Option<f64> {
    assert_eq!(teacher.dim(), student.dim(), "teacher and student must have the same rows and classes");
    let rows = teacher.rows().into_iter().zip(student.rows());
    let sum: f64 =
        rows.map(|(teacher, student)| kl(&log_probs(teacher, 1.0), &log_probs(student, 1.0))).sum();
    Some(sum / teacher.nrows() as f64).filter(|mean| mean.is_finite())
}

/// Returns the squared error of one row's probabilities (Brier 1950), halved for two classes, as scikit-learn does:
/// `(1 − p_gold)²` for two, `Σ_c (p_c − [c = gold])²` for more.  `log_probs`: `[C]`.
pub fn brier(log_probs: &[f64], gold: usize) -> f64 {
    let error = |(class, log_prob): (usize, &f64)| log_prob.exp() - f64::from(class == gold);
    let sum: f64 = log_probs.iter().enumerate().map(error).map(|error| error * error).sum();
    if log_probs.len() == 2 { sum / 2.0 } else { sum }
}

/// Returns the bin of a confidence: `[i / 15, (i + 1) / 15)`, the last with its end.
pub fn bin_of(confidence: f64) -> usize {
    ((confidence * BINS as f64) as usize).min(BINS - 1)
}

/// A bin of confidence: how many rows, the sum of their confidences, and how many of them are right.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// The rows.
    pub rows: f64,
    /// The sum of the probabilities of the classes that they were given.
    pub confidence: f64,
    /// Those that are right.
    pub right: f64,
}

/// Returns the expected calibration error (Guo et al. 2017, equation 3): `Σ_i |right_i − confidence_i| / Σ_i rows_i`.
/// `None` on no rows.
pub fn expected_calibration_error(bins: &[Bin]) -> Option<f64> {
    let rows: f64 = bins.iter().map(|bin| bin.rows).sum();
    let gaps: f64 = bins.iter().map(|bin| (bin.right - bin.confidence).abs()).sum();
    (rows > 0.0).then(|| gaps / rows)
}
