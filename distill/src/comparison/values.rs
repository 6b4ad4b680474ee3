//! What a regression says beside its teacher: correlations, and how they vary when rows are drawn again.

use super::answers::Answers;
use super::classes::Matter;
use super::examples::{Best, Case};
use super::measures::Measure;
use crate::metrics::{Ranking, weighted_pearson};
use crate::task::Gold;

/// What a regression and its teacher say, and what is right.
pub struct ValueTally {
    /// Of every row: what the teacher says, and the model.
    all: [Vec<f64>; 2],
    /// The rows that have a label.
    labelled: Vec<u32>,
    /// Of these: what is right, and what the model says.
    judged: [Vec<f64>; 2],
    /// The order of both.
    rankings: [Ranking; 2],
}

/// What was found out about a regression besides its figures.
#[derive(Default)]
pub struct ValueFacts {
    /// The examples whose error is larger than the teacher's.
    pub worsened: Best,
    /// The examples whose error is smaller.
    pub improved: Best,
}

/// Looks at a regression's answers.
pub fn judge(matter: &Matter<'_>, answers: &Answers) -> (ValueTally, ValueFacts) {
    let column = |answers: &Answers| -> Vec<f64> {
        let rows = answers.pieces().flat_map(|piece| answers.rows(piece).column(0).to_vec());
        rows.map(f64::from).collect()
    };
    let all = [matter.teacher, answers].map(column);
    let mut labelled = Vec::new();
    let mut judged = [Vec::new(), Vec::new()];
    let mut facts = ValueFacts::default();
    for (row, gold) in matter.gold.iter().enumerate() {
        let Gold::Value(gold) = *gold else { continue };
        let (gold, teacher, student) = (f64::from(gold), all[0][row], all[1][row]);
        labelled.push(row as u32);
        judged[0].push(gold);
        judged[1].push(student);
        let more = (student - gold).abs() - (teacher - gold).abs();
        let case = Case { row, values: [gold, teacher, student], surprise: more.abs() };
        if more > 0.0 {
            facts.worsened.add(case);
        } else if more < 0.0 {
            facts.improved.add(case);
        }
    }
    let rankings = [0, 1].map(|series| Ranking::of(&judged[series]));
    (ValueTally { all, labelled, judged, rankings }, facts)
}

impl ValueTally {
    /// Returns the figures of blocks that are there as often as their weights say, `[blocks]`; what is not defined is not
    /// a number.
    pub fn figures(&self, matter: &Matter<'_>, weights: &[f64]) -> Vec<f64> {
        let of_row = |row: usize| weights[matter.resampling.block(row)];
        let of_labelled = |place: usize| of_row(self.labelled[place] as usize);
        let figure = |measure: &Measure| match measure {
            Measure::Pearson => weighted_pearson(&self.judged[0], &self.judged[1], of_labelled),
            Measure::Spearman => {
                let [gold, said] = [0, 1].map(|series: usize| self.rankings[series].ranks(of_labelled));
                weighted_pearson(&gold, &said, of_labelled)
            }
            Measure::Agreement => weighted_pearson(&self.all[0], &self.all[1], of_row),
            _ => None,
        };
        matter.measures.iter().map(|measure| figure(measure).unwrap_or(f64::NAN)).collect()
    }
}
