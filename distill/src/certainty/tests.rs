//! How often intervals cover what is true: 1,000 made-up data sets whose truth is known.

use super::{Resampling, difference_of_shares, interval};
use crate::batches::mix;

/// A chance between 0 and 1.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mix(self.0) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const DATA_SETS: u64 = 1000;
/// Two binomial standard deviations of 95 % in 1,000 are 1.4 %.
const COVERED: std::ops::RangeInclusive<f64> = 0.93..=0.97;

/// What is true of an example, and what teacher and student say.
type Example = [bool; 3];

/// Draws examples: a third are positive; the teacher is right on 85 %, the student on 75 % where the teacher is and on 45 %
/// where it is not.
fn examples(rows: usize, chance: &mut Chance) -> Vec<Example> {
    let mut example = || {
        let gold = chance.next() < 1.0 / 3.0;
        let teacher = chance.next() < 0.85;
        let student = chance.next() < if teacher { 0.75 } else { 0.45 };
        [gold, teacher == gold, student == gold]
    };
    (0..rows).map(|_| example()).collect()
}

fn share_right(examples: &[Example], weights: &[f64], who: usize) -> f64 {
    let rows: f64 = weights.iter().sum();
    let right =
        examples.iter().zip(weights).map(|(example, weight)| f64::from(example[who] == example[0]) * weight);
    right.sum::<f64>() / rows
}

fn accuracy(examples: &[Example], weights: &[f64]) -> f64 {
    share_right(examples, weights, 2)
}

fn difference(examples: &[Example], weights: &[f64]) -> f64 {
    share_right(examples, weights, 2) - share_right(examples, weights, 1)
}

fn f1(examples: &[Example], weights: &[f64]) -> f64 {
    let sum =
        |which: fn(&Example) -> f64| examples.iter().zip(weights).map(|(e, w)| w * which(e)).sum::<f64>();
    let hits = sum(|example| f64::from(example[2] && example[0]));
    2.0 * hits / sum(|example| f64::from(example[2]) + f64::from(example[0]))
}

/// Returns how often the interval of a figure covers the truth.
fn coverage(rows: usize, figure: impl Fn(&[Example], &[f64]) -> f64, truth: f64) -> f64 {
    let mut chance = Chance(11);
    let covered = (0..DATA_SETS).filter(|seed| {
        let examples = examples(rows, &mut chance);
        let resampling = Resampling { rows, resamples: 500, seed: *seed };
        let replicates: Vec<f64> =
            (0..resampling.resamples).map(|draw| figure(&examples, &resampling.weights(draw))).collect();
        let mut once = vec![1.0; rows];
        let jackknife = (0..rows).map(|row| {
            once[row] = 0.0;
            let without = figure(&examples, &once);
            once[row] = 1.0;
            without
        });
        let jackknife: Vec<f64> = jackknife.collect();
        let ends = interval(figure(&examples, &once), &replicates, &jackknife).unwrap();
        ends.low <= truth && truth <= ends.high
    });
    covered.count() as f64 / DATA_SETS as f64
}

#[test]
fn bootstrap_intervals_cover_the_truth_in_95_of_100_data_sets() {
    // The model is right on 0.85 * 0.75 + 0.15 * 0.45 of all, positive or not.
    let right = 0.85 * 0.75 + 0.15 * 0.45;
    // Of three examples one is positive: hits are `right / 3`, false alarms `2 (1 - right) / 3`.
    let f1_of_all = 2.0 * right / (right + 2.0 * (1.0 - right) + 1.0);
    for (found, what) in [
        (coverage(120, accuracy, right), "accuracy"),
        (coverage(120, difference, right - 0.85), "difference"),
        (coverage(120, f1, f1_of_all), "F1"),
    ] {
        assert!(COVERED.contains(&found), "the interval of the {what} covers {found}");
    }
}

#[test]
fn score_intervals_cover_the_truth_even_where_models_seldom_differ() {
    let mut chance = Chance(5);
    let (rows, broken_share, fixed_share) = (300, 0.02, 0.01);
    let covered = (0..4 * DATA_SETS).filter(|_| {
        let (mut broken, mut fixed) = (0, 0);
        for _ in 0..rows {
            match chance.next() {
                x if x < broken_share => broken += 1,
                x if x < broken_share + fixed_share => fixed += 1,
                _ => {}
            }
        }
        let ends = difference_of_shares(broken, fixed, rows).unwrap();
        ends.low <= fixed_share - broken_share && fixed_share - broken_share <= ends.high
    });
    let found = covered.count() as f64 / (4 * DATA_SETS) as f64;
    assert!(COVERED.contains(&found), "{found}");
}
