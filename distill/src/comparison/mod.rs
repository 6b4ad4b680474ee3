//! Is the student good enough? A teacher beside its students, with how sure one can be.
//!
//! ```text
//! texts (spool) ──▶ answers of each model ──▶ sums in blocks (tally) ──▶ figures, resamples ──▶ verdict ──▶ report
//! ```
//!
//! **Memory.** Texts and answers lie in temporary files that are mapped. What is held is 40 bytes for each row, a piece of
//! 16,384 texts in tokens, one model, and at most 4,096 blocks of sums: a million rows take about as much as ten thousand.
//! A regression holds 60 bytes more for each row and 16 for each thread, for the ranks.
//!
//! **Certainty.** See [`crate::certainty`]: all models are resampled together, so that a difference is known better than
//! either figure.

mod answers;
mod classes;
pub mod condition;
mod contender;
mod examples;
pub mod measures;
mod scratch;
mod spool;
mod students;
mod tally;
#[cfg(test)]
mod tests;
mod values;
mod verdict;

pub use answers::{Answers, Collecting};
pub use condition::Condition;
pub use contender::{Contender, Open, names_of};
pub use spool::{Passage, Spool};
pub use students::variables;

use crate::certainty::{LEVEL, Resampling};
use crate::console::{Console, SharedProgress};
use crate::corpus::Subject;
use crate::cost::{self, ModelCost};
use crate::log::read_curves;
use crate::report::{CurveReport, DataFacts, MeasureFacts, Method, ModelReport, Report, SCHEMA_VERSION};
use crate::task::{Gold, Metric};
use crate::threads;
use anyhow::Result;
use classes::Matter;
use measures::Measure;
use std::collections::BTreeMap;
use students::Judged;
use tally::{Evidence, Facts};

/// How models are compared.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How far below the teacher a student may be, as a fraction.
    pub margin: f64,
    /// How often the examples are drawn again.
    pub resamples: usize,
    /// What makes the draws the same each time.
    pub seed: u64,
    /// The threads to use, 0 for all cores; they change nothing.
    pub threads: usize,
    /// Several runs of one student: what it is called, and the places of its runs among the contenders.
    pub groups: Vec<(String, Vec<usize>)>,
    /// How models are measured; nothing if they are not.
    pub cost: Option<cost::Settings>,
    /// What must not hold.
    pub condition: Option<Condition>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            margin: 0.01,
            resamples: 2000,
            seed: 42,
            threads: 0,
            groups: Vec::new(),
            cost: Some(cost::Settings::default()),
            condition: None,
        }
    }
}

/// What models are compared on.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// What they predict.
    pub subject: &'a Subject,
    /// The label of each text.
    pub gold: &'a [Gold],
    /// The file.
    pub data: &'a DataFacts,
    /// Returns the texts of some rows, where they are known.
    pub passages: &'a dyn Fn(&[usize]) -> Vec<Option<Passage>>,
    /// How models are opened.
    pub open: &'a Open<'a>,
}

/// Sets the first contender, the teacher, beside the others.
///
/// # Errors
/// When a model fails, the disk is full, or the condition asks for a figure that is not defined.
pub fn compare(
    mut contenders: Vec<Contender<'_>>,
    ground: &Ground<'_>,
    settings: &Settings,
    console: &Console,
) -> Result<Report> {
    let Ground { subject, gold, data, .. } = *ground;
    let measures = Measure::all_of(subject, data.labelled > 0);
    let answers = ask_all(&mut contenders, gold.len(), ground.open, console)?;
    let resampling = Resampling { rows: gold.len(), resamples: settings.resamples, seed: settings.seed };
    let matter =
        Matter { gold, teacher: &answers[0], resampling, measures: &measures, positive: positive(subject) };
    let judged = judge_all(&matter, &answers, settings.threads, console);
    let costs = match &settings.cost {
        Some(cost) => cost_of(&contenders, gold.len(), cost, ground.open, console)?,
        None => Vec::new(),
    };
    let names = names_of(&contenders.iter().map(|contender| contender.path.as_path()).collect::<Vec<_>>());
    let mut costs = costs.into_iter();
    let models = contenders.iter().zip(names).zip(&judged).map(|((contender, name), (evidence, facts))| {
        let cost = costs.next();
        model_report(contender, name, &measures, (evidence, facts), cost)
    });
    let mut report = Report {
        schema_version: SCHEMA_VERSION,
        made_by: format!("distill {}", env!("CARGO_PKG_VERSION")),
        data: data.clone(),
        method: Method {
            confidence: LEVEL,
            resamples: settings.resamples,
            blocks: resampling.blocks(),
            seed: settings.seed,
            margin_points: 100.0 * settings.margin,
        },
        measures: measures.iter().map(|measure| facts_of(*measure, subject)).collect(),
        models: models.collect(),
        students: Vec::new(),
        groups: Vec::new(),
        condition: None,
        training: None,
    };
    let judged = Judged { measures: &measures, models: &judged, ground, settings };
    judged.fill(&mut report)?;
    Ok(report)
}

/// Asks every model about every text, one model at a time.
fn ask_all(
    contenders: &mut [Contender<'_>],
    rows: usize,
    open: &Open<'_>,
    console: &Console,
) -> Result<Vec<Answers>> {
    let progress = SharedProgress::new(console.progress("ask", contenders.len() * rows), "texts");
    let answers = contenders
        .iter_mut()
        .map(|contender| contender.answers(rows, open, &|more| progress.advance(more)))
        .collect::<Result<Vec<_>>>()?;
    progress.finish();
    Ok(answers)
}

/// Resamples every model, one at a time and all in the same way.
fn judge_all(
    matter: &Matter<'_>,
    answers: &[Answers],
    threads: usize,
    console: &Console,
) -> Vec<(Evidence, Facts)> {
    let threads = threads::count(threads);
    let progress = SharedProgress::new(
        console.progress("judge", answers.len() * matter.resampling.resamples),
        "resamples",
    );
    let judge = |answers| tally::judge(matter, answers, threads, &|more| progress.advance(more));
    let judged = answers.iter().map(judge).collect();
    progress.finish();
    judged
}

/// Measures what the models cost, all beside each other.
fn cost_of(
    contenders: &[Contender<'_>],
    rows: usize,
    settings: &cost::Settings,
    open: &Open<'_>,
    console: &Console,
) -> Result<Vec<ModelCost>> {
    let mut opened = Vec::with_capacity(contenders.len());
    for contender in contenders {
        opened.push((open(&contender.path, Some(settings))?, contender.sample(rows)?));
    }
    let mut candidates: Vec<cost::Candidate<'_>> =
        opened.iter_mut().map(|(model, texts)| cost::Candidate { model, texts }).collect();
    cost::measure(&mut candidates, settings, console)
}

fn model_report(
    contender: &Contender<'_>,
    name: String,
    measures: &[Measure],
    (evidence, facts): (&Evidence, &Facts),
    cost: Option<ModelCost>,
) -> ModelReport {
    let (calibration, confusion) = students::certainty_of(facts);
    ModelReport {
        name,
        role: contender.role,
        onnx: contender.onnx.display().to_string(),
        sha256: contender.sha256.clone(),
        quality: students::estimates(measures, evidence),
        calibration,
        confusion,
        cost,
        curves: curves_of(contender),
    }
}

/// The points of a curve in a report, at most: of a loss, which is noisy, and of a figure.
const POINTS: [usize; 2] = [60, 240];

/// Reads the course of the training of a model, where its folder has a log: means of neighbouring updates.
fn curves_of(contender: &Contender<'_>) -> Vec<CurveReport> {
    let curves = read_curves(&contender.path).unwrap_or_default();
    let thin = |curve: crate::log::Curve| {
        let most = POINTS[usize::from(curve.tag.starts_with("eval/"))];
        let piece = curve.points.len().div_ceil(most).max(1);
        let pieces = curve.points.chunks(piece);
        let mean = |points: &[crate::log::Point]| {
            points.iter().map(|point| point.value).sum::<f64>() / points.len() as f64
        };
        CurveReport {
            tag: curve.tag,
            steps: pieces.clone().filter_map(|points| points.last()).map(|point| point.step).collect(),
            values: pieces.map(mean).collect(),
        }
    };
    curves.into_iter().map(thin).collect()
}

fn facts_of(measure: Measure, subject: &Subject) -> MeasureFacts {
    let title = match (measure, &subject.labels) {
        (Measure::F1, Some(labels)) => format!("F1 of {}", labels.names()[positive(subject)]),
        _ => measure.title().to_owned(),
    };
    MeasureFacts {
        name: measure.name().to_owned(),
        title,
        unit: measure.unit(),
        is_a_loss: measure.is_a_loss(),
    }
}

/// Returns the class that F1 is about: the task's, else the second.
fn positive(subject: &Subject) -> usize {
    let named = match (subject.task.metric, &subject.labels) {
        (Metric::F1(name), Some(labels)) => labels.position(name),
        _ => None,
    };
    named.unwrap_or(1)
}

/// Figures by name, as they stand in a report.
type Estimates = BTreeMap<String, crate::report::Estimate>;
