//! How sure one can be of a figure that was measured on so many texts.

use crate::corpus::Subject;
use crate::measure;
use crate::task::{Gold, Metric};
use ndarray::{Array2, ArrayView2, Axis};
use serde_json::Value;

/// The quantile of the normal distribution that leaves 2.5 % on each side.
const Z: f64 = 1.959_963_984_540_054;

/// The rows that are looked at in all resamples together; the resamples are fewer where there are many rows.
const DRAWN: usize = 2_000_000;

/// Returns from where to where a figure of the task lies with 95 % confidence.
///
/// A share of right answers: Wilson's interval (Wilson 1927). Any other figure: the percentiles of a bootstrap (Efron
/// 1979), of which the draws are always the same.  `logits`: [B, C]; `gold`: `[B]`.
pub fn of_figure(subject: &Subject, logits: ArrayView2<'_, f32>, gold: &[Gold]) -> Option<[f64; 2]> {
    let labelled: Vec<usize> = (0..gold.len()).filter(|&i| gold[i] != Gold::Missing).collect();
    let figure = |logits: ArrayView2<'_, f32>, gold: &[Gold]| {
        let name = subject.task.metric.name();
        measure::figures(subject, logits, gold).get(name).and_then(Value::as_f64)
    };
    let value = figure(logits, gold)?;
    if !subject.is_regression() && matches!(subject.task.metric, Metric::Accuracy) {
        return Some(wilson(value, labelled.len()));
    }
    let mut figures: Vec<f64> = (0..(DRAWN / labelled.len()).clamp(100, 1000) as u64)
        .filter_map(|resample| {
            let drawn: Vec<usize> =
                (0..labelled.len() as u64).map(|i| labelled[draw(resample, i, labelled.len())]).collect();
            let logits: Array2<f32> = logits.select(Axis(0), &drawn);
            let gold: Vec<Gold> = drawn.iter().map(|&i| gold[i]).collect();
            figure(logits.view(), &gold)
        })
        .collect();
    figures.sort_by(f64::total_cmp);
    let at = |share: f64| figures.get(((figures.len() as f64 - 1.0) * share).round() as usize).copied();
    Some([at(0.025)?, at(0.975)?])
}

/// Returns Wilson's interval about a share of `count` rows.
fn wilson(share: f64, count: usize) -> [f64; 2] {
    let n = count as f64;
    let (spread, centre) = (Z * Z / n, share + Z * Z / (2.0 * n));
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    [(centre - half) / (1.0 + spread), (centre + half) / (1.0 + spread)]
}

/// Returns a row below `count`: the `i`-th of a resample (SplitMix64's output function).
fn draw(resample: u64, i: u64, count: usize) -> usize {
    let mut z = (resample << 32 | i).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((u128::from(z ^ (z >> 31)) * count as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are SciPy's (1.17): `binomtest(k, n).proportion_ci(method="wilson")`.
    #[test]
    fn an_interval_about_a_share_is_wilsons() {
        for (share, count, expected) in [
            (0.5, 10, [0.236_593, 0.763_407]),
            (1.0, 20, [0.838_875, 1.0]),
            (0.9, 1000, [0.879_848, 0.917_091]),
        ] {
            let found = wilson(share, count);
            assert!(
                found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5),
                "{share} {count}: {found:?}"
            );
        }
    }

    #[test]
    fn draws_are_spread_over_all_rows() {
        let mut counts = [0; 10];
        (0..100).for_each(|resample| (0..10).for_each(|i| counts[draw(resample, i, 10)] += 1));
        assert!(counts.iter().all(|count| (60..140).contains(count)), "{counts:?}");
    }
}
