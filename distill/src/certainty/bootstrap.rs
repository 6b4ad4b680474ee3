//! The bootstrap: how much a figure varies when the examples are drawn again, with replacement, out of those there are.
//!
//! A resample is a weight for each block of rows. Up to [`MAX_BLOCKS`] rows a block is one row, and this is the ordinary
//! bootstrap; beyond, row `i` belongs to block `i mod 4096`, and whole blocks are drawn, so that memory and time do not
//! grow with the rows. Every model sees the same weights: the resamples are paired.

use super::normal::{cdf, quantile};
use crate::batches::{below, mix};
use serde::Serialize;

/// The confidence of every interval.
pub const LEVEL: f64 = 0.95;

/// The blocks that rows are gathered in, at most.
pub const MAX_BLOCKS: usize = 4096;

/// How rows are drawn again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resampling {
    /// The rows that there are.
    pub rows: usize,
    /// How often they are drawn.
    pub resamples: usize,
    /// What makes the draws the same each time.
    pub seed: u64,
}

/// From where to where a figure may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Resampling {
    /// Returns the number of blocks.
    pub fn blocks(&self) -> usize {
        self.rows.min(MAX_BLOCKS)
    }

    /// Returns the block of a row.
    pub fn block(&self, row: usize) -> usize {
        row % self.blocks().max(1)
    }

    /// Draws one resample: how often each block is in it, `[blocks]`. It depends on the seed and `resample` alone.
    pub fn weights(&self, resample: usize) -> Vec<f64> {
        let blocks = self.blocks();
        let mut weights = vec![0.0; blocks];
        let start = mix(self.seed ^ mix(resample as u64 + 1));
        for draw in 0..blocks as u64 {
            let hash = mix(start.wrapping_add(draw.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            weights[below(blocks as u64, hash) as usize] += 1.0;
        }
        weights
    }
}

/// Returns the bias-corrected and accelerated interval of confidence [`LEVEL`] (Efron 1987, "Better bootstrap confidence
/// intervals", section 4).
///
/// `value`: the figure. `replicates`: the figure of each resample. `jackknife`: the figure without each block, for the
/// acceleration; where it is empty, that is 0. What is not a number is left out. Nothing if the figure or more than a
/// twentieth of the replicates are not defined, or the replicates are all the same: then they do not tell how sure one is.
pub fn interval(value: f64, replicates: &[f64], jackknife: &[f64]) -> Option<Interval> {
    let mut sorted: Vec<f64> = replicates.iter().copied().filter(|replicate| replicate.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let enough = 20 * sorted.len() >= 19 * replicates.len();
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    if !value.is_finite() || !enough || first == last {
        return None;
    }
    let count = sorted.len() as f64;
    let (less, equal) = sorted.iter().fold((0.0, 0.0), |(less, equal), &replicate| {
        (less + f64::from(replicate < value), equal + f64::from(replicate == value))
    });
    // A figure of counts takes few values: those that are equal lie half below it.
    let share = (less + equal / 2.0) / count;
    let bias = quantile(share.clamp(0.5 / count, 1.0 - 0.5 / count));
    let acceleration = acceleration(jackknife);
    let end = |z: f64| {
        let shifted = bias + z;
        let stretched = (1.0 - acceleration * shifted).max(0.05);
        place(&sorted, cdf(bias + shifted / stretched))
    };
    let z = quantile(0.5 + LEVEL / 2.0);
    Some(Interval { low: end(-z), high: end(z) })
}

/// A sixth of the skewness of the figures without one block each.
fn acceleration(jackknife: &[f64]) -> f64 {
    let known: Vec<f64> = jackknife.iter().copied().filter(|value| value.is_finite()).collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    let (mut squares, mut cubes) = (0.0, 0.0);
    for value in known {
        let away = mean - value;
        squares += away * away;
        cubes += away * away * away;
    }
    if squares > 0.0 { cubes / (6.0 * squares.powf(1.5)) } else { 0.0 }
}

/// Returns what lies at a share of sorted numbers, between two of them if need be.
fn place(sorted: &[f64], share: f64) -> f64 {
    let at = (share * (sorted.len() as f64 + 1.0) - 1.0).clamp(0.0, sorted.len() as f64 - 1.0);
    let (below, part) = (at.floor() as usize, at.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + part * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESAMPLING: Resampling = Resampling { rows: 50, resamples: 2000, seed: 7 };

    #[test]
    fn a_resample_has_as_many_rows_as_there_are() {
        for rows in [1, 50, MAX_BLOCKS + 10] {
            let resampling = Resampling { rows, ..RESAMPLING };
            let weights = resampling.weights(3);
            assert_eq!(weights.iter().sum::<f64>() as usize, resampling.blocks());
            assert_eq!(weights, resampling.weights(3));
            assert!(rows == 1 || weights != resampling.weights(4));
        }
        assert!(Resampling { rows: 0, ..RESAMPLING }.weights(0).is_empty());
    }

    /// Expected values are those of `scipy.stats.bootstrap` (1.17.1, method BCa, 200,000 resamples) within what the draws
    /// make of it.
    #[test]
    fn the_interval_of_a_skewed_mean_is_that_of_scipy() {
        let data: Vec<f64> = (0..50).map(|i| f64::from(i * i % 53) * f64::from(i * i % 53) / 100.0).collect();
        let mean = |weights: &[f64]| {
            weights.iter().zip(&data).map(|(w, x)| w * x).sum::<f64>() / weights.iter().sum::<f64>()
        };
        let replicates: Vec<f64> = (0..20_000).map(|resample| mean(&RESAMPLING.weights(resample))).collect();
        let without =
            |left_out: usize| mean(&(0..50).map(|row| f64::from(row != left_out)).collect::<Vec<_>>());
        let jackknife: Vec<f64> = (0..50).map(without).collect();
        let found = interval(mean(&[1.0; 50]), &replicates, &jackknife).unwrap();
        assert!((found.low - SCIPY[0]).abs() < 0.06 && (found.high - SCIPY[1]).abs() < 0.06, "{found:?}");
    }

    const SCIPY: [f64; 2] = [7.6322, 12.4144];

    #[test]
    fn what_does_not_vary_has_no_interval() {
        assert_eq!(interval(1.0, &[1.0; 100], &[]), None);
        assert_eq!(interval(f64::NAN, &[1.0, 2.0], &[]), None);
        assert_eq!(interval(1.0, &[1.0, 2.0, f64::NAN], &[]), None);
        assert_eq!(interval(1.0, &[], &[]), None);
    }
}
