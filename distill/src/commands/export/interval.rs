//! How sure one can be of a figure that was measured on so many texts.

use crate::certainty::{self, Resampling};
use crate::corpus::Subject;
use crate::measure;
use crate::task::{Gold, Metric};
use ndarray::{Array2, ArrayView2, Axis};
use serde_json::Value;
use std::iter::repeat_n;

/// The rows that are looked at in all resamples together; the resamples are fewer where there are many rows.
const DRAWN: usize = 2_000_000;

/// Returns from where to where a figure of the task lies with 95 % confidence.
///
/// A share of right answers: Wilson's interval. Any other figure: that of a bootstrap, of which the draws are always the
/// same.  `logits`: [B, C]; `gold`: `[B]`.
pub fn of_figure(subject: &Subject, logits: ArrayView2<'_, f32>, gold: &[Gold]) -> Option<[f64; 2]> {
    let labelled: Vec<usize> = (0..gold.len()).filter(|&i| gold[i] != Gold::Missing).collect();
    let figure = |logits: ArrayView2<'_, f32>, gold: &[Gold]| {
        let name = subject.task.metric.name();
        measure::figures(subject, logits, gold).get(name).and_then(Value::as_f64)
    };
    let value = figure(logits, gold)?;
    if !subject.is_regression() && matches!(subject.task.metric, Metric::Accuracy) {
        let rows = labelled.len() as f64;
        return certainty::share(value * rows, rows).map(|interval| [interval.low, interval.high]);
    }
    let resamples = (DRAWN / labelled.len()).clamp(100, 1000);
    let resampling = Resampling { rows: labelled.len(), resamples, seed: 0 };
    let replicate = |resample: usize| {
        let weights = resampling.weights(resample);
        let times = |(i, &row): (usize, &usize)| repeat_n(row, weights[resampling.block(i)] as usize);
        let drawn: Vec<usize> = labelled.iter().enumerate().flat_map(times).collect();
        let logits: Array2<f32> = logits.select(Axis(0), &drawn);
        let gold: Vec<Gold> = drawn.iter().map(|&row| gold[row]).collect();
        figure(logits.view(), &gold)
    };
    let replicates: Vec<f64> = (0..resamples).filter_map(replicate).collect();
    certainty::interval(value, &replicates, &[]).map(|interval| [interval.low, interval.high])
}
