//! A model that takes part in a comparison: any ONNX classifier, its classes set in the order of the comparison's.

use super::answers::{Answers, Collecting};
use crate::asking::ask;
use crate::corpus::Subject;
use crate::cost;
use crate::error::explained;
use crate::measure::class_order;
use crate::report::Role;
use crate::tokens::Encodings;
use anyhow::{Context, Result};
use ndarray::Axis;
use std::ops::Range;
use std::path::{Path, PathBuf};
use teacher::Teacher;

/// Opens a model: to be asked about all texts, or to be measured with these settings.
pub type Open<'a> = dyn Fn(&Path, Option<&cost::Settings>) -> Result<Teacher> + 'a;

/// Returns some of the texts in a model's own tokens.
pub type Tokens<'a> = dyn Fn(Range<usize>) -> Result<Encodings> + 'a;

/// A model that takes part in a comparison.
pub struct Contender<'a> {
    /// What it is there for.
    pub role: Role,
    /// Where it is, as the user has named it.
    pub path: PathBuf,
    /// The graph.
    pub onnx: PathBuf,
    /// SHA-256 of the graph.
    pub sha256: String,
    tokens: Box<Tokens<'a>>,
    /// Which of the model's logits is which class of the comparison; none when they stand in the same order.
    order: Option<Vec<usize>>,
    /// What it said when it was asked earlier.
    said: Option<Answers>,
}

/// The texts that are asked about together.
const CHUNK: usize = 1 << 14;

impl<'a> Contender<'a> {
    /// Takes a model into a comparison.
    ///
    /// # Errors
    /// When it has other classes than the subject.
    pub fn new(
        model: &Teacher,
        path: &Path,
        role: Role,
        subject: &Subject,
        tokens: Box<Tokens<'a>>,
    ) -> Result<Self> {
        let own = &model.config().id2label;
        let order = match &subject.labels {
            Some(labels) if !own.is_empty() => {
                class_order(own, labels).map_err(|reason| other_classes(path, own, subject, &reason))?
            }
            _ => None,
        };
        let expected = subject.labels.as_ref().map_or(1, |labels| labels.len());
        if let Some(found) = model.num_classes().filter(|&found| found != expected) {
            return Err(other_classes(path, own, subject, &format!("it has {found} logits, not {expected}")));
        }
        let (onnx, sha256) = (model.path().to_owned(), model.fingerprint()?.to_owned());
        Ok(Contender { role, path: path.to_owned(), onnx, sha256, tokens, order, said: None })
    }

    /// Takes what the model said of these texts when it was asked earlier, in the order of the comparison's classes.
    pub fn having_said(self, answers: Answers) -> Self {
        Contender { said: Some(answers), ..self }
    }

    /// Returns what the model says of `rows` texts, in the order of the comparison's classes. `progress` is told how many
    /// more are done.
    ///
    /// # Errors
    /// When the model fails, or gives something that is not a number.
    pub(super) fn answers(
        &mut self,
        rows: usize,
        open: &Open<'_>,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Answers> {
        if let Some(answers) = self.said.take() {
            progress(answers.len());
            return Ok(answers);
        }
        let mut model = open(&self.path, None)?;
        let mut collecting = Collecting::new()?;
        for start in (0..rows).step_by(CHUNK) {
            let texts = (self.tokens)(start..rows.min(start + CHUNK))?;
            let logits = ask(&mut model, &texts, 0..texts.len(), progress)?;
            let logits = match &self.order {
                Some(order) => logits.select(Axis(1), order),
                None => logits,
            };
            collecting.add(logits.view()).with_context(|| format!("in `{}`", self.path.display()))?;
        }
        collecting.finish()
    }

    /// Returns some of `rows` texts, spread over all of them, to time the model with.
    pub(super) fn sample(&self, rows: usize) -> Result<Encodings> {
        let wanted = cost::Settings::TEXTS.min(rows);
        let mut sample = Encodings::default();
        for place in 0..wanted {
            let row = place * rows / wanted;
            let text = (self.tokens)(row..row + 1)?;
            let (ids, segments) = text.get(0);
            sample.push(ids.iter().copied(), segments.iter().copied());
        }
        Ok(sample)
    }
}

/// Names models by as little of their paths as tells them apart.
pub fn names_of(paths: &[&Path]) -> Vec<String> {
    let parts = |path: &Path| -> Vec<String> {
        let mut parts: Vec<String> =
            path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        // What every model directory has in common names none.
        for common in ["model.onnx", "onnx"] {
            if parts.len() > 1 && parts.last().is_some_and(|last| last == common) {
                parts.pop();
            }
        }
        parts
    };
    let parts: Vec<Vec<String>> = paths.iter().map(|path| parts(path)).collect();
    let last = |parts: &Vec<String>, count: usize| parts[parts.len().saturating_sub(count)..].join("/");
    let name = |own: &Vec<String>| {
        let alone = |count: &usize| {
            let name = last(own, *count);
            parts.iter().filter(|other| last(other, *count) == name).count() == 1
        };
        last(own, (1..own.len()).find(alone).unwrap_or(own.len()))
    };
    parts.iter().map(name).collect()
}

fn other_classes(path: &Path, own: &[String], subject: &Subject, reason: &str) -> anyhow::Error {
    let shown = |names: &[String]| crate::names::list(names.iter().map(String::as_str));
    let has = |names: &[String]| match names.is_empty() {
        true => "no names for its classes".to_owned(),
        false => format!("the classes {}", shown(names)),
    };
    let teachers = subject
        .labels
        .as_ref()
        .map_or("predicts a number".to_owned(), |labels| format!("has {}", has(labels.names())));
    explained(
        format!("`{}` has {}, but the teacher {teachers}: {reason}", path.display(), has(own)),
        "compare models of the same classes; rename the teacher's with `--labels` if they only have other names",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named_by_what_tells_them_apart() {
        for (paths, names) in [
            (&["a/teacher/", "student"][..], &["teacher", "student"][..]),
            (&["runs/1/out", "runs/2/out", "t"], &["1/out", "2/out", "t"]),
            (&["s/onnx/model.onnx", "s/onnx/int8.onnx", "model.onnx"], &["s", "int8.onnx", "model.onnx"]),
            (&["same", "same"], &["same", "same"]),
            (&["/", "."], &["/", "."]),
        ] {
            let paths: Vec<&Path> = paths.iter().map(Path::new).collect();
            assert_eq!(names_of(&paths), names);
        }
    }
}
