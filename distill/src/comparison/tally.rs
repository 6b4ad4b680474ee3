//! The figures of a model, each with what it would be on other examples.

use super::answers::Answers;
use super::classes::{self, ClassFacts, ClassTally, Matter};
use super::values::{self, ValueFacts, ValueTally};
use crate::certainty::{Interval, interval};
use std::thread;

/// The figures of a model on the data, on each resample and without each block.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Of each measure.
    pub values: Vec<f64>,
    /// Of each measure, on each resample.
    pub replicates: Vec<Vec<f64>>,
    /// Of each measure, without each block; empty where that would take too long.
    pub jackknife: Vec<Vec<f64>>,
}

/// Sums over rows, from which figures follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// Of each kind of sum.
    pub sums: Vec<f64>,
    /// Of each cell of the table of what is right and what was predicted.
    pub cells: Vec<f64>,
}

/// What else was found out about a model.
pub enum Facts {
    /// Of a classifier.
    Classes(Box<ClassFacts>),
    /// Of a regression.
    Values(ValueFacts),
}

enum Tally {
    Classes(ClassTally),
    Values(ValueTally),
}

/// Looks at a model's answers, and draws the examples again. `threads` change nothing but the time; `progress` is told how
/// many more resamples are done.
pub fn judge(
    matter: &Matter<'_>,
    answers: &Answers,
    threads: usize,
    progress: &(dyn Fn(usize) + Sync),
) -> (Evidence, Facts) {
    let (tally, facts) = if answers.classes() > 1 {
        let (tally, facts) = classes::judge(matter, answers);
        (Tally::Classes(tally), Facts::Classes(Box::new(facts)))
    } else {
        let (tally, facts) = values::judge(matter, answers);
        (Tally::Values(tally), Facts::Values(facts))
    };
    (tally.evidence(matter, threads, progress), facts)
}

impl Tally {
    fn evidence(&self, matter: &Matter<'_>, threads: usize, progress: &(dyn Fn(usize) + Sync)) -> Evidence {
        let once = vec![1.0; matter.resampling.blocks()];
        let values = self.figures(matter, &once);
        let resamples = matter.resampling.resamples;
        let some = |first: usize, step: usize| -> Vec<Vec<f64>> {
            let of = |resample| {
                let figures = self.figures(matter, &matter.resampling.weights(resample));
                progress(1);
                figures
            };
            (first..resamples).step_by(step).map(of).collect()
        };
        // Each thread takes every so many-th resample; which one it is alone decides what comes out.
        let shares: Vec<Vec<Vec<f64>>> = thread::scope(|scope| {
            let some = &some;
            let workers: Vec<_> =
                (0..threads).map(|thread| scope.spawn(move || some(thread, threads))).collect();
            let join =
                |worker: thread::ScopedJoinHandle<'_, _>| worker.join().expect("arithmetic does not fail");
            workers.into_iter().map(join).collect()
        });
        let replicates = transposed(
            (0..resamples).map(|resample| &shares[resample % threads][resample / threads]),
            values.len(),
        );
        Evidence { jackknife: self.jackknife(matter, &once, values.len()), values, replicates }
    }

    fn figures(&self, matter: &Matter<'_>, weights: &[f64]) -> Vec<f64> {
        match self {
            Tally::Classes(tally) => tally.figures(matter, &tally.totals(weights)),
            Tally::Values(tally) => tally.figures(matter, weights),
        }
    }

    /// Returns the figures without each block. A classifier's follow from sums; a regression's would take a pass over all
    /// rows each.
    fn jackknife(&self, matter: &Matter<'_>, once: &[f64], measures: usize) -> Vec<Vec<f64>> {
        let Tally::Classes(tally) = self else { return vec![Vec::new(); measures] };
        let whole = tally.totals(once);
        let mut without = whole.clone();
        let of = |block: usize| {
            without.clone_from(&whole);
            tally.add_block(&mut without, block, -1.0);
            tally.figures(matter, &without)
        };
        let figures: Vec<Vec<f64>> = (0..once.len()).map(of).collect();
        transposed(figures.iter(), measures)
    }
}

impl Evidence {
    /// Returns the interval of a measure.
    pub fn interval(&self, measure: usize) -> Option<Interval> {
        interval(self.values[measure], &self.replicates[measure], &self.jackknife[measure])
    }

    /// Returns how a figure of two models together would vary: the resamples are the same for both.
    pub fn with(&self, other: &Evidence, figure: impl Fn(f64, f64) -> f64) -> Evidence {
        let both =
            |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| figure(*a, *b)).collect() };
        let all = |a: &[Vec<f64>], b: &[Vec<f64>]| a.iter().zip(b).map(|(a, b)| both(a, b)).collect();
        Evidence {
            values: both(&self.values, &other.values),
            replicates: all(&self.replicates, &other.replicates),
            jackknife: all(&self.jackknife, &other.jackknife),
        }
    }

    /// Returns the standard deviation of a measure over the resamples.
    pub fn standard_error(&self, measure: usize) -> f64 {
        let known: Vec<f64> = self.replicates[measure].iter().copied().filter(|x| x.is_finite()).collect();
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        (known.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (known.len() as f64 - 1.0)).sqrt()
    }
}

fn transposed<'a>(rows: impl Iterator<Item = &'a Vec<f64>>, columns: usize) -> Vec<Vec<f64>> {
    let mut turned = vec![Vec::new(); columns];
    for row in rows {
        turned.iter_mut().zip(row).for_each(|(column, value)| column.push(*value));
    }
    turned
}
