//! What a student is trained for: a weighted sum of losses, each in a file of its own.
//!
//! A loss sees logits and targets, never a model. It returns the *sum* over the examples and its gradient; the
//! [`Objective`] turns sums into means over the examples of a whole optimiser step, so that the way a step is cut
//! into batches does not change what is learnt.

mod cross_entropy;
mod kl;
mod label_mse;
mod logit_mse;
mod softmax;

pub use cross_entropy::cross_entropy;
pub use kl::kl;
pub use label_mse::label_mse;
pub use logit_mse::logit_mse;
pub use softmax::log_softmax;

use crate::error::explained;
use crate::task::Gold;
use anyhow::Result;
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use student::Real;

/// A loss between what the student says and what it should say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The divergence from the teacher's softened distribution; see [`kl`].
    Kl {
        /// T; higher is softer.
        temperature: f64,
    },
    /// The negative log-likelihood of the gold class; see [`cross_entropy`].
    CrossEntropy,
    /// The squared distance from the teacher's logits; see [`logit_mse`].
    LogitMse,
    /// The squared distance from the gold value of a regression; see [`label_mse`].
    LabelMse,
}

/// A loss and its share of the objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// The factor of the loss.
    pub weight: f64,
    /// The loss.
    pub loss: Loss,
}

/// A weighted sum of losses.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    terms: Vec<Term>,
}

/// What is known about the examples of a batch.
#[derive(Clone, Copy)]
pub struct Target<'a, F> {
    /// The teacher's logits, [B, C].
    pub soft: Option<ArrayView2<'a, F>>,
    /// The gold labels, `[B]`.
    pub gold: &'a [Gold],
}

/// By how many examples the sums of an optimiser step are divided.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// All examples.
    pub examples: usize,
    /// Those with a gold label.
    pub labelled: usize,
}

/// The value of an objective on one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The weighted sum.
    pub total: f64,
    /// Each term, unweighted, in the order of the objective.
    pub terms: Vec<f64>,
}

impl Loss {
    /// Returns the name of the loss in recipes and logs.
    pub fn name(self) -> &'static str {
        match self {
            Loss::Kl { .. } => "kl",
            Loss::CrossEntropy => "cross_entropy",
            Loss::LogitMse => "logit_mse",
            Loss::LabelMse => "label_mse",
        }
    }

    /// Says whether the loss compares with the teacher (and not with gold labels).
    fn needs_teacher(self) -> bool {
        matches!(self, Loss::Kl { .. } | Loss::LogitMse)
    }

    /// Returns the sum over the examples and its gradient with respect to the logits, both [B, C].
    fn value_and_grad<F: Real>(self, logits: ArrayView2<'_, F>, target: &Target<'_, F>) -> (F, Array2<F>) {
        let soft = || target.soft.expect("the objective was checked against what the data supplies");
        match self {
            Loss::Kl { temperature } => kl(logits, soft(), F::of(temperature)),
            Loss::CrossEntropy => cross_entropy(logits, target.gold),
            Loss::LogitMse => logit_mse(logits, soft()),
            Loss::LabelMse => label_mse(logits, target.gold),
        }
    }
}

impl Totals {
    /// Counts the examples behind `gold`.
    pub fn of(gold: &[Gold]) -> Self {
        let labelled = gold.iter().filter(|gold| **gold != Gold::Missing).count();
        Totals { examples: gold.len(), labelled }
    }
}

impl Objective {
    /// Makes an objective of the terms whose weight is above zero.
    ///
    /// # Errors
    /// When no term is left, or a weight or temperature makes no sense.
    pub fn new(terms: impl IntoIterator<Item = Term>) -> Result<Self> {
        let terms: Vec<Term> = terms.into_iter().filter(|term| term.weight != 0.0).collect();
        for Term { weight, loss } in &terms {
            if !(weight.is_finite() && *weight > 0.0) {
                return Err(explained(
                    format!("the weight of `{}` is `{weight}`", loss.name()),
                    "weights are positive numbers; leave a term out by giving it the weight 0",
                ));
            }
            if let Loss::Kl { temperature } = loss
                && !(temperature.is_finite() && *temperature > 0.0)
            {
                let hint = "temperatures are positive; 1 to 5 is usual";
                return Err(explained(format!("the temperature is `{temperature}`"), hint));
            }
        }
        if terms.is_empty() {
            let hint = "give one a weight, e.g. `--set objective.kl=1`";
            return Err(explained("every term of the objective has the weight 0", hint));
        }
        Ok(Objective { terms })
    }

    /// Returns the terms.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Says whether a term compares with the teacher.
    pub fn needs_teacher(&self) -> bool {
        self.terms.iter().any(|term| term.loss.needs_teacher())
    }

    /// Refuses terms that need what the data does not supply, before any work is done.
    ///
    /// # Errors
    /// When a term needs gold labels and there are none, needs a teacher and there is none, or fits another task.
    pub fn check(&self, has_teacher: bool, labelled: usize, regression: bool) -> Result<()> {
        for Term { loss, .. } in &self.terms {
            let name = loss.name();
            if loss.needs_teacher() && !has_teacher {
                let hint = "without a teacher only `cross_entropy` or `label_mse` can be learnt";
                return Err(explained(format!("the objective has `{name}`, but there is no teacher"), hint));
            }
            if !loss.needs_teacher() && labelled == 0 {
                return Err(explained(
                    format!("the objective has `{name}`, but no example has a label"),
                    format!("name the label column with `--label`, or use `--set objective.{name}=0`"),
                ));
            }
            let (wrong, instead) =
                if regression { ("cross_entropy", "label_mse") } else { ("label_mse", "cross_entropy") };
            let no_distribution = regression && matches!(loss, Loss::Kl { .. });
            if name == wrong || no_distribution {
                let kind = if regression { "a regression" } else { "a classification" };
                let instead = if no_distribution { "logit_mse" } else { instead };
                return Err(explained(
                    format!("the objective has `{name}`, but the task is {kind}"),
                    format!("use `--set objective.{name}=0 --set objective.{instead}=1`"),
                ));
            }
        }
        Ok(())
    }

    /// Returns the value on a batch, and its gradient with respect to the logits, [B, C].
    ///
    /// `totals`: the examples of the whole optimiser step that the batch belongs to. Terms on the teacher are means
    /// over all examples, terms on gold labels means over the labelled ones.
    pub fn evaluate<F: Real>(
        &self,
        logits: ArrayView2<'_, F>,
        target: &Target<'_, F>,
        totals: Totals,
    ) -> (Evaluation, Array2<F>) {
        let mut d_logits = Array2::zeros(logits.dim());
        let mut evaluation = Evaluation { total: 0.0, terms: Vec::with_capacity(self.terms.len()) };
        for Term { weight, loss } in &self.terms {
            let count = if loss.needs_teacher() { totals.examples } else { totals.labelled };
            let share = F::of(1.0 / count.max(1) as f64);
            let (sum, gradient) = loss.value_and_grad(logits, target);
            d_logits.scaled_add(F::of(*weight) * share, &gradient);
            let mean = (sum * share).f64();
            evaluation.total += weight * mean;
            evaluation.terms.push(mean);
        }
        (evaluation, d_logits)
    }
}

#[cfg(test)]
mod tests;
