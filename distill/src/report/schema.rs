//! What a comparison has found: the structures behind `report.json`, from which every other form is made.

use crate::certainty::{Interval, McNemarMethod, Needed};
use crate::comparison::measures::Unit;
use crate::corpus::Subject;
use crate::cost::ModelCost;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Grows when a field changes its meaning or goes; new fields do not count.
pub const SCHEMA_VERSION: u32 = 1;

/// A teacher beside its students, on one data set.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The program that made it, with its version.
    pub made_by: String,
    /// What was measured on.
    pub data: DataFacts,
    /// How certainty was found.
    pub method: Method,
    /// The figures of every model, the one to select by first.
    pub measures: Vec<MeasureFacts>,
    /// The models: the teacher first, then students, then controls.
    pub models: Vec<ModelReport>,
    /// The students and controls, each beside the teacher.
    pub students: Vec<StudentReport>,
    /// Several runs of one student.
    pub groups: Vec<GroupReport>,
    /// What `--fail-if` asked, and the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<ConditionReport>,
    /// How the student was trained, when it was trained just before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<Value>,
}

/// What was measured on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DataFacts {
    /// The file.
    pub path: String,
    /// The texts.
    pub examples: usize,
    /// Those with a label.
    pub labelled: usize,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The task.
    pub task: String,
    /// The classes, in the order of the numbers below; none for a regression.
    pub labels: Vec<String>,
    /// The tokens after which texts are cut.
    pub max_length: usize,
}

/// How certainty was found.
#[derive(Clone, Debug, Serialize)]
pub struct Method {
    /// The confidence of every interval.
    pub confidence: f64,
    /// How often the examples were drawn again.
    pub resamples: usize,
    /// The blocks that were drawn: as many as examples, up to 4,096.
    pub blocks: usize,
    /// What makes the draws the same each time.
    pub seed: u64,
    /// How far below the teacher a student may be, in points.
    pub margin_points: f64,
}

/// A figure.
#[derive(Clone, Debug, Serialize)]
pub struct MeasureFacts {
    /// Its name in this file and in conditions.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// What its numbers are.
    pub unit: Unit,
    /// Whether less is better.
    pub is_a_loss: bool,
}

/// A number, and between which ends it lies with the confidence of [`Method`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The number; nothing where it is not defined.
    pub value: Option<f64>,
    /// The lower end; nothing where the examples do not tell.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

/// What a model is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// To be compared with.
    Teacher,
    /// To be judged.
    Student,
    /// To show what would have come of it otherwise.
    Control,
}

/// What was found out about a model.
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    /// What it is called here.
    pub name: String,
    /// What it is there for.
    pub role: Role,
    /// The graph.
    pub onnx: String,
    /// SHA-256 of the graph with its external data.
    pub sha256: String,
    /// Its figures by name.
    pub quality: BTreeMap<String, Estimate>,
    /// How sure it is and how right; nothing for a regression, or without labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Which classes it takes for which; nothing for a regression, or without labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Vec<ConfusionCell>>,
    /// What it costs; nothing where that was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<ModelCost>,
    /// The course of its training, where its folder has a log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<CurveReport>,
}

/// How sure a model is and how right.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// The temperatures of the two halves of the data, each fitted on the other half.
    pub temperatures: [f64; 2],
    /// Fifteen equal bins of confidence.
    pub bins: Vec<BinReport>,
    /// The same after scaling.
    pub bins_scaled: Vec<BinReport>,
}

/// A bin of confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BinReport {
    /// The examples in it.
    pub examples: u64,
    /// Their mean confidence; nothing without examples.
    pub confidence: Option<f64>,
    /// The share that is right.
    pub accuracy: Option<f64>,
}

/// How often a class is taken for another, or for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ConfusionCell {
    /// What is right.
    pub gold: usize,
    /// What was predicted.
    pub predicted: usize,
    /// How often.
    pub examples: u64,
}

/// A number over the course of a training, at no more than a few hundred updates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CurveReport {
    /// What it is, such as `train/loss` or `eval/accuracy`.
    pub tag: String,
    /// The updates made.
    pub steps: Vec<u64>,
    /// The number after each of them.
    pub values: Vec<f64>,
}

/// A student or a control beside the teacher.
#[derive(Clone, Debug, Serialize)]
pub struct StudentReport {
    /// Its place among the models.
    pub model: usize,
    /// By how much its figures are above the teacher's, by name.
    pub differences: BTreeMap<String, Estimate>,
    /// Its first figure as a fraction of the teacher's.
    pub retained: Estimate,
    /// Whether the two differ at all; nothing for a regression, or without labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcnemar: Option<McNemarReport>,
    /// What follows.
    pub verdict: Verdict,
    /// By how much its first figure is above that of each control.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub over_controls: Vec<OverControl>,
    /// Examples that only the teacher gets right; of a regression, those that became worse. Most confident first.
    pub broken: ExampleList,
    /// Examples that only the student gets right; of a regression, those that became better.
    pub fixed: ExampleList,
}

/// McNemar's test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct McNemarReport {
    /// The examples that only the teacher gets right.
    pub broken: u64,
    /// The examples that only the student gets right.
    pub fixed: u64,
    /// The probability of such a split if neither were better.
    pub p: f64,
    /// The same, corrected for the number of students.
    pub p_holm: f64,
    /// How it was found.
    pub method: McNemarMethod,
}

/// What can be said of a student beside its teacher.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// In a word.
    pub kind: VerdictKind,
    /// In a sentence.
    pub text: String,
    /// The interval that decided.
    pub interval: Option<Interval>,
    /// How many examples would tell, where these do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed: Option<Needed>,
}

/// What can be said in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// It is better than the teacher.
    Better,
    /// It is within the margin of the teacher.
    Within,
    /// The examples do not tell whether it is within the margin.
    Undecided,
    /// It is worse by more than the margin.
    Worse,
    /// There are no labels to judge by.
    Unlabelled,
}

/// A student beside a control.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OverControl {
    /// The control's place among the models.
    pub control: usize,
    /// By how much the student's first figure is above the control's.
    pub difference: Estimate,
}

/// Some examples, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ExampleList {
    /// All of them.
    pub count: u64,
    /// The most confident ones.
    pub shown: Vec<ExampleReport>,
}

/// An example in which student and teacher differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExampleReport {
    /// Its place in the data, from 1.
    pub example: usize,
    /// Its line in the file, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The text, where it is known; long ones are cut.
    pub text: Option<String>,
    /// The second text of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_pair: Option<String>,
    /// What is right: a class or a number.
    pub gold: String,
    /// What the teacher says.
    pub teacher: String,
    /// What the student says.
    pub student: String,
    /// The probability that the student gives to what it says; of a regression, by how much its error is larger or smaller.
    pub confidence: f64,
}

/// Several runs of one student.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupReport {
    /// What the student is called.
    pub name: String,
    /// The places of its runs among the models.
    pub models: Vec<usize>,
    /// How its figures spread, by name.
    pub spread: BTreeMap<String, Spread>,
}

/// How a figure spreads over runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The standard deviation, by n − 1; nothing for one run.
    pub deviation: Option<f64>,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

/// A condition on students, and whether one of them meets it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConditionReport {
    /// As it was written.
    pub text: String,
    /// The places among the models of the students that meet it.
    pub met_by: Vec<usize>,
}

impl DataFacts {
    /// Says what is predicted; what it is predicted of is left open.
    pub fn of(subject: &Subject) -> Self {
        DataFacts {
            task: subject.task.name.to_owned(),
            labels: subject.labels.as_ref().map_or_else(Vec::new, |labels| labels.names().to_vec()),
            max_length: subject.max_length,
            ..DataFacts::default()
        }
    }
}

impl Estimate {
    /// Joins a number and its interval; what is no number is not there.
    pub fn of(value: f64, interval: Option<Interval>) -> Self {
        let ends = interval.filter(|_| value.is_finite());
        Estimate {
            value: Some(value).filter(|value| value.is_finite()),
            low: ends.map(|ends| ends.low),
            high: ends.map(|ends| ends.high),
        }
    }
}

impl Report {
    /// Returns the teacher.
    pub fn teacher(&self) -> &ModelReport {
        &self.models[0]
    }

    /// Returns the figure to select by.
    pub fn primary(&self) -> &MeasureFacts {
        &self.measures[0]
    }

    /// Returns the figure of a model.
    pub fn figure(&self, model: &ModelReport, name: &str) -> Option<Estimate> {
        model.quality.get(name).copied()
    }

    /// Returns the students that are no controls, each with what it is.
    pub fn judged(&self) -> impl Iterator<Item = (&StudentReport, &ModelReport)> {
        let all = self.students.iter().map(|student| (student, &self.models[student.model]));
        all.filter(|(_, model)| model.role == Role::Student)
    }

    /// Returns the controls.
    pub fn controls(&self) -> impl Iterator<Item = (&StudentReport, &ModelReport)> {
        let all = self.students.iter().map(|student| (student, &self.models[student.model]));
        all.filter(|(_, model)| model.role == Role::Control)
    }

    /// Returns the report as JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self)
            .unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }).to_string())
            + "\n"
    }
}
