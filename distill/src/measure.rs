//! How good a model is: the figures of its task, how it is chosen during training, how close it is to its teacher.

use crate::corpus::Subject;
use crate::examples::Examples;
use crate::masking::Moment;
use crate::metrics;
use crate::metrics::argmax;
use crate::names;
use crate::objective::Objective;
use crate::task::{Gold, LabelSet};
use crate::trainer::{self, Score, Supply};
use anyhow::Result;
use ndarray::{ArrayView1, ArrayView2};
use serde_json::{Map, Value, json};
use student::engine::Engine;

/// Judges a student during training: by the first figure of its task, or by its agreement with the teacher where there
/// are no labels.
pub struct Scorer<'a> {
    subject: &'a Subject,
    examples: &'a Examples,
    gold: Vec<Gold>,
    name: String,
}

impl<'a> Scorer<'a> {
    /// Returns a judge, or nothing when there is nothing to judge by.
    pub fn of(subject: &'a Subject, examples: &'a Examples) -> Option<Self> {
        let gold = examples.golds();
        let labelled = gold.iter().any(|gold| *gold != Gold::Missing);
        let name = match (labelled, examples.is_taught()) {
            (true, _) => subject.task.metric.name().to_owned(),
            (false, true) => "agreement".to_owned(),
            (false, false) => return None,
        };
        (!examples.is_empty()).then_some(Scorer { subject, examples, gold, name })
    }

    /// Returns what the score is called.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Score for Scorer<'_> {
    fn score(&self, engine: &mut dyn Engine) -> Result<f64> {
        let logits = trainer::logits(engine, self.examples);
        let figure = match self.name.as_str() {
            "agreement" => {
                let soft = self.examples.soft(0..self.examples.len());
                soft.and_then(|soft| agreement(self.subject, soft.view(), logits.view()))
            }
            name => figures(self.subject, logits.view(), &self.gold).get(name).and_then(Value::as_f64),
        };
        // A figure that is not defined, such as a correlation of equal numbers, is worse than any that is.
        Ok(figure.filter(|figure| figure.is_finite()).unwrap_or(-1.0))
    }
}

/// Judges a student whose head learns nothing: by how small its objective is.
pub struct Closeness<'a> {
    /// What the student is trained for.
    pub objective: &'a Objective,
    /// The texts, and what the objective asks of them.
    pub supply: Supply<'a>,
}

impl Closeness<'_> {
    /// What the score is called: the objective with its sign turned, so that higher is better.
    pub const NAME: &'static str = "negative_objective";
    /// The texts that are looked at, at most: the teacher may have to read them anew each time.
    const TEXTS: usize = 512;
    /// The texts of a batch.
    const BATCH: usize = 32;

    /// Returns which examples are looked at.
    pub fn texts(examples: &Examples) -> impl ExactSizeIterator<Item = usize> {
        examples.spread(Self::TEXTS)
    }

    fn objective(&self, engine: &mut dyn Engine) -> Result<f64> {
        let chosen: Vec<usize> = Self::texts(self.supply.examples).collect();
        // The same words are hidden each time.
        let moment = Moment { seed: 0, epoch: 0 };
        let batch = |examples: &[usize]| self.supply.batch(examples.to_vec(), moment);
        let batches: Vec<_> = chosen.chunks(Self::BATCH).map(batch).collect();
        let totals = self.supply.totals(&batches);
        let mut sum = 0.0;
        for batch in batches {
            // One at a time: what goes on inside all of them would fill the memory.
            let batch = self.supply.ask(batch);
            let outputs = engine.evaluate(batch.packed(), self.objective.asked());
            sum += self.supply.evaluate(self.objective, batch, &outputs, totals)?.0.total;
        }
        Ok(sum)
    }
}

impl Score for Closeness<'_> {
    fn score(&self, engine: &mut dyn Engine) -> Result<f64> {
        Ok(-self.objective(engine)?)
    }
}

/// Returns the figures of the task on the labelled examples, the one to select by first; empty without labels.
///
/// `logits`: [B, C]; `gold`: `[B]`.
pub fn figures(subject: &Subject, logits: ArrayView2<'_, f32>, gold: &[Gold]) -> Map<String, Value> {
    if gold.iter().all(|gold| *gold == Gold::Missing) {
        return Map::new();
    }
    let figures = metrics::measure(subject.task.metric, logits, gold, subject.labels.as_ref());
    figures.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
}

/// Returns how close a model is to its teacher: the share of equal classes; of a regression, Pearson's correlation.
///
/// `teacher`, `student`: [B, C].
pub fn agreement(
    subject: &Subject,
    teacher: ArrayView2<'_, f32>,
    student: ArrayView2<'_, f32>,
) -> Option<f64> {
    if subject.is_regression() {
        let values =
            |logits: ArrayView2<'_, f32>| logits.column(0).iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        metrics::pearson(&values(student), &values(teacher))
    } else {
        metrics::agreement(&argmax(teacher), &argmax(student))
    }
}

/// Returns the mean divergence from the teacher in nats, at temperature 1; nothing for a regression.
///
/// `teacher`, `student`: [B, C].
pub fn mean_kl(subject: &Subject, teacher: ArrayView2<'_, f32>, student: ArrayView2<'_, f32>) -> Option<f64> {
    if subject.is_regression() { None } else { metrics::mean_kl(teacher, student) }
}

/// Returns the probabilities of the classes of one text.  `logits`: `[C]`.
pub fn probabilities(logits: ArrayView1<'_, f32>) -> Vec<f64> {
    metrics::log_probs(logits, 1.0).into_iter().map(f64::exp).collect()
}

/// Returns which logit of a model with the classes `own` is which class of `labels`; nothing when the order is the same.
/// Names that differ in case alone are the same, unless that is ambiguous.
///
/// # Errors
/// What is different, when they are not the same classes.
pub fn class_order(own: &[String], labels: &LabelSet) -> Result<Option<Vec<usize>>, String> {
    if own == labels.names() {
        return Ok(None);
    }
    let known = LabelSet::new(own.to_vec()).map_err(|error| error.to_string())?;
    if own.len() == labels.len() && (known.is_meaningless() || labels.is_meaningless()) {
        return Ok(None);
    }
    let only = |these: &LabelSet, those: &LabelSet| {
        let lacking = these.names().iter().map(String::as_str).filter(|name| those.position(name).is_none());
        let lacking: Vec<&str> = lacking.collect();
        (!lacking.is_empty()).then(|| names::list(lacking))
    };
    let (missing, strange) = (only(labels, &known), only(&known, labels));
    let said: Vec<String> = missing
        .map(|names| format!("it lacks {names}"))
        .into_iter()
        .chain(strange.map(|names| format!("the teacher lacks {names}")))
        .collect();
    let order: Option<Vec<usize>> = labels.names().iter().map(|name| known.position(name)).collect();
    order.filter(|_| said.is_empty()).map(Some).ok_or_else(|| said.join(", and "))
}

/// Chooses at most `most` of `count` things that lie evenly among them.
pub fn evenly(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let chosen = count.min(most);
    (0..chosen).map(move |place| place * count / chosen)
}

/// Returns the median; sorts the numbers.
pub fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => numbers[count / 2],
        count => (numbers[count / 2 - 1] + numbers[count / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn classes_in_another_order_are_found_by_name() {
        let labels = LabelSet::new(["no", "yes", "maybe"]).unwrap();
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(class_order(&own(&["no", "yes", "maybe"]), &labels), Ok(None));
        assert_eq!(class_order(&own(&["maybe", "no", "yes"]), &labels), Ok(Some(vec![1, 2, 0])));
        assert_eq!(class_order(&own(&["LABEL_0", "LABEL_1", "LABEL_2"]), &labels), Ok(None));
        assert_eq!(class_order(&own(&["MAYBE", "No", "Yes"]), &labels), Ok(Some(vec![1, 2, 0])));
        for (names, difference) in [
            (&["no", "yes"][..], "it lacks `maybe`"),
            (&["no", "yes", "never"], "it lacks `maybe`, and the teacher lacks `never`"),
            (&["no", "yes", "maybe", "never"], "the teacher lacks `never`"),
        ] {
            assert_eq!(class_order(&own(names), &labels).unwrap_err(), difference);
        }
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&mut []).is_nan());
    }

    #[test]
    fn probabilities_sum_to_one() {
        let probs = probabilities(arr2(&[[1000.0, 1000.0, -1000.0]]).row(0));
        assert!((probs.iter().sum::<f64>() - 1.0).abs() < 1e-12 && (probs[0] - 0.5).abs() < 1e-12);
    }
}
