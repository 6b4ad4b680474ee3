//! What a classifier says beside its teacher, gathered in blocks that can be drawn again: one pass over the answers.

use super::answers::Answers;
use super::examples::{Best, Case};
use super::measures::Measure;
use super::tally::Totals;
use crate::batches::mix;
use crate::certainty::Resampling;
use crate::metrics::{self, BINS, Bin, Counts, fit_temperature, log_probs};
use crate::task::Gold;
use ndarray::{Array2, ArrayView1, Axis};
use std::collections::BTreeMap;

/// What is compared.
#[derive(Clone, Copy)]
pub struct Matter<'a> {
    /// The label of each row, `[N]`.
    pub gold: &'a [Gold],
    /// What the teacher says, [N, C].
    pub teacher: &'a Answers,
    /// How rows are drawn again.
    pub resampling: Resampling,
    /// The figures.
    pub measures: &'a [Measure],
    /// The class that F1 is about.
    pub positive: usize,
}

/// The sums over rows from which all figures of a classifier follow, in blocks.
pub struct ClassTally {
    /// What occurs: the class that is right, and the one that was predicted.
    cells: Vec<[u32; 2]>,
    /// Of each block, how often each of the cells is in it.
    blocks: Vec<Vec<(u32, f64)>>,
    /// [blocks, SUMS].
    sums: Array2<f64>,
}

/// What was found out about a classifier besides its figures.
pub struct ClassFacts {
    /// The temperatures of the two halves: each is fitted on the other.
    pub temperatures: [f64; 2],
    /// Confidence against being right, before and after scaling.
    pub reliability: [[Bin; BINS]; 2],
    /// How often a class (first) is taken for another or itself (second).
    pub confusion: BTreeMap<[u32; 2], u64>,
    /// What only the teacher gets right.
    pub broken: Best,
    /// What only the student gets right.
    pub fixed: Best,
}

const ROWS: usize = 0;
const LABELLED: usize = 1;
const AGREED: usize = 2;
const KL: usize = 3;
/// Likelihood, squared error and gaps of the bins; then the same after scaling.
const SURE: usize = 4;
const SURE_SUMS: usize = 2 + BINS;
const SUMS: usize = SURE + 2 * SURE_SUMS;

/// The rows of a half that a temperature is fitted on, at most.
const FITTED: usize = 1 << 16;

/// Looks at a classifier's answers.
pub fn judge(matter: &Matter<'_>, answers: &Answers) -> (ClassTally, ClassFacts) {
    let temperatures = temperatures(matter, answers);
    let blocks = matter.resampling.blocks();
    let mut tally = ClassTally {
        cells: Vec::new(),
        blocks: vec![Vec::new(); blocks],
        sums: Array2::zeros((blocks, SUMS)),
    };
    let mut facts = ClassFacts {
        temperatures,
        reliability: [[Bin::default(); BINS]; 2],
        confusion: BTreeMap::new(),
        broken: Best::default(),
        fixed: Best::default(),
    };
    let mut places = BTreeMap::new();
    for piece in answers.pieces() {
        let (student, teacher) = (answers.rows(piece.clone()), matter.teacher.rows(piece.clone()));
        for (row, (student, teacher)) in piece.zip(student.rows().into_iter().zip(teacher.rows())) {
            let seen = Seen::of(row, matter.gold[row], [teacher, student], temperatures[half(row)]);
            tally.add(matter.resampling.block(row), &seen, &mut places);
            facts.add(&seen);
        }
    }
    (tally, facts)
}

/// What two models say of a row.
struct Seen {
    row: usize,
    gold: Option<usize>,
    /// The classes of teacher and student.
    predicted: [usize; 2],
    kl: f64,
    /// The student's log-probabilities, before and after scaling.
    log_probs: [Vec<f64>; 2],
}

impl Seen {
    fn of(row: usize, gold: Gold, [teacher, student]: [ArrayView1<'_, f32>; 2], temperature: f64) -> Self {
        let gold = if let Gold::Class(class) = gold { Some(class) } else { None };
        let log_probs_of_student = log_probs(student, 1.0);
        Seen {
            row,
            gold,
            predicted: [teacher, student].map(metrics::argmax_of),
            kl: metrics::kl(&log_probs(teacher, 1.0), &log_probs_of_student),
            log_probs: [log_probs_of_student, log_probs(student, temperature)],
        }
    }

    /// The probability of the class that the student predicts, before or after scaling.
    fn confidence(&self, scaled: usize) -> f64 {
        self.log_probs[scaled][self.predicted[1]].exp()
    }
}

impl ClassTally {
    fn add(&mut self, block: usize, seen: &Seen, places: &mut BTreeMap<[u32; 2], u32>) {
        let [teacher, student] = seen.predicted;
        let mut sums = self.sums.row_mut(block);
        sums[ROWS] += 1.0;
        sums[AGREED] += f64::from(teacher == student);
        sums[KL] += seen.kl;
        let Some(gold) = seen.gold else { return };
        sums[LABELLED] += 1.0;
        for (scaled, log_probs) in seen.log_probs.iter().enumerate() {
            let first = SURE + scaled * SURE_SUMS;
            let confidence = seen.confidence(scaled);
            sums[first] -= log_probs[gold];
            sums[first + 1] += metrics::brier(log_probs, gold);
            sums[first + 2 + metrics::bin_of(confidence)] += f64::from(student == gold) - confidence;
        }
        let cell = [gold as u32, student as u32];
        let place = *places.entry(cell).or_insert_with(|| {
            self.cells.push(cell);
            self.cells.len() as u32 - 1
        });
        let block = &mut self.blocks[block];
        match block.iter_mut().find(|(other, _)| *other == place) {
            Some((_, count)) => *count += 1.0,
            None => block.push((place, 1.0)),
        }
    }

    /// Returns the sums of blocks that are there as often as their weights say, `[blocks]`.
    pub fn totals(&self, weights: &[f64]) -> Totals {
        let mut totals = Totals { sums: vec![0.0; SUMS], cells: vec![0.0; self.cells.len()] };
        for (block, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
            self.add_block(&mut totals, block, weight);
        }
        totals
    }

    /// Adds a block to the sums, so often.
    pub fn add_block(&self, totals: &mut Totals, block: usize, weight: f64) {
        totals.sums.iter_mut().zip(self.sums.row(block)).for_each(|(total, sum)| *total += weight * sum);
        self.blocks[block].iter().for_each(|&(cell, count)| totals.cells[cell as usize] += weight * count);
    }

    /// Returns the figures that follow from sums; what is not defined is not a number.
    pub fn figures(&self, matter: &Matter<'_>, totals: &Totals) -> Vec<f64> {
        let mut counts = Counts::zeros(matter.teacher.classes());
        for (&[gold, predicted], &count) in self.cells.iter().zip(&totals.cells) {
            counts.add(predicted as usize, gold as usize, count);
        }
        let sums = &totals.sums;
        let mean = |sum: f64, rows: usize| Some(sum / sums[rows]);
        let gaps = |scaled: usize| -> f64 {
            let first = SURE + scaled * SURE_SUMS + 2;
            sums[first..first + BINS].iter().map(|gap| gap.abs()).sum()
        };
        let figure = |measure: &Measure| match measure {
            Measure::Accuracy => counts.accuracy(),
            Measure::F1 => counts.f1(matter.positive),
            Measure::MacroF1 => counts.macro_f1(),
            Measure::MicroF1 => counts.micro_f1(),
            Measure::Matthews => counts.matthews(),
            Measure::Agreement => mean(sums[AGREED], ROWS),
            Measure::MeanKl => mean(sums[KL], ROWS),
            Measure::Nll => mean(sums[SURE], LABELLED),
            Measure::NllScaled => mean(sums[SURE + SURE_SUMS], LABELLED),
            Measure::Brier => mean(sums[SURE + 1], LABELLED),
            Measure::BrierScaled => mean(sums[SURE + SURE_SUMS + 1], LABELLED),
            Measure::Ece => mean(gaps(0), LABELLED),
            Measure::EceScaled => mean(gaps(1), LABELLED),
            Measure::Pearson | Measure::Spearman => None,
        };
        matter.measures.iter().map(|measure| figure(measure).unwrap_or(f64::NAN)).collect()
    }
}

impl ClassFacts {
    fn add(&mut self, seen: &Seen) {
        let (Some(gold), [teacher, student]) = (seen.gold, seen.predicted) else { return };
        *self.confusion.entry([gold as u32, student as u32]).or_default() += 1;
        for (scaled, bins) in self.reliability.iter_mut().enumerate() {
            let confidence = seen.confidence(scaled);
            let bin = &mut bins[metrics::bin_of(confidence)];
            bin.rows += 1.0;
            bin.confidence += confidence;
            bin.right += f64::from(student == gold);
        }
        let list = match (teacher == gold, student == gold) {
            (true, false) => &mut self.broken,
            (false, true) => &mut self.fixed,
            _ => return,
        };
        let values = [gold, teacher, student].map(|class| class as f64);
        list.add(Case { row: seen.row, values, surprise: seen.confidence(0) });
    }
}

/// Says in which half a row is: of an even split that does not follow the order of the file.
fn half(row: usize) -> usize {
    (mix(row as u64 ^ 0x7363_616c_6562_6f74) & 1) as usize
}

/// Returns the temperature for each half, fitted on the other one.
fn temperatures(matter: &Matter<'_>, answers: &Answers) -> [f64; 2] {
    let labelled = matter.gold.iter().filter(|gold| **gold != Gold::Missing).count();
    let every = labelled.div_ceil(2 * FITTED).max(1) as u64;
    let classes = answers.classes();
    let mut halves = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    for piece in answers.pieces() {
        let logits = answers.rows(piece.clone());
        for (row, logits) in piece.zip(logits.axis_iter(Axis(0))) {
            let Gold::Class(gold) = matter.gold[row] else { continue };
            if (mix(row as u64) >> 1).is_multiple_of(every) {
                let (rows, golds) = &mut halves[half(row)];
                rows.extend(logits.iter().copied());
                golds.push(gold);
            }
        }
    }
    let [first, second] = halves.map(|(rows, golds): (Vec<f32>, Vec<usize>)| {
        let rows = Array2::from_shape_vec((golds.len(), classes), rows).expect("each row has all classes");
        fit_temperature(rows.view(), &golds)
    });
    [second, first]
}
