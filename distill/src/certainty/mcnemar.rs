//! Whether two models differ at all: McNemar's test, and Holm's correction for several of them.

use super::normal::cdf;
use serde::Serialize;

/// With fewer pairs that disagree, the test is exact.
pub const EXACT_BELOW: u64 = 25;

/// How a p-value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum McNemarMethod {
    /// The binomial distribution of the pairs that disagree.
    Exact,
    /// χ² with one degree of freedom and Edwards' correction for continuity.
    ChiSquared,
}

/// What McNemar's test says of two models on the same examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct McNemar {
    /// The examples that only the first gets right.
    pub broken: u64,
    /// The examples that only the second gets right.
    pub fixed: u64,
    /// The probability of so uneven a split or a more uneven one, if neither were better.
    pub p: f64,
    /// How it was found.
    pub method: McNemarMethod,
}

/// Tests whether two models are right equally often (McNemar 1947; Edwards 1948 for the correction).
///
/// Exact, `p = 2 P(X ≤ min(b, c))` with `X ~ Binomial(b + c, 1/2)` and at most 1, if `b + c < 25`; else from
/// `χ² = (|b − c| − 1)² / (b + c)`.
pub fn mcnemar(broken: u64, fixed: u64) -> McNemar {
    let pairs = broken + fixed;
    let (p, method) = if pairs < EXACT_BELOW {
        let mut term = 0.5_f64.powi(pairs as i32);
        let mut sum = term;
        for k in 0..broken.min(fixed) {
            term *= (pairs - k) as f64 / (k + 1) as f64;
            sum += term;
        }
        ((2.0 * sum).min(1.0), McNemarMethod::Exact)
    } else {
        let away = (broken.abs_diff(fixed) as f64 - 1.0).abs();
        let root = away / (pairs as f64).sqrt();
        (2.0 * cdf(-root), McNemarMethod::ChiSquared)
    };
    McNemar { broken, fixed, p, method }
}

/// Corrects p-values for their number (Holm 1979): the k-th smallest of n is multiplied by `n − k + 1`, and none comes
/// before a smaller one. Rejecting what is then below 5 % is wrong about any of them with a probability of at most 5 %.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![0.0; p.len()];
    let mut least: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        least = least.max((p.len() - rank) as f64 * p[index]).min(1.0);
        corrected[index] = least;
    }
    corrected
}
