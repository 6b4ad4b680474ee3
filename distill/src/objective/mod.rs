//! What a student is trained for: a weighted sum of losses, each in a file of its own.
//!
//! A loss sees logits and targets, never a model. It returns the *sum* over the examples and its gradient; the
//! [`Objective`] turns sums into means over the examples of a whole optimiser step, so that the way a step is cut
//! into batches does not change what is learnt.

mod attention_kl;
mod cross_entropy;
mod hidden_cosine;
mod hidden_mse;
mod inside;
mod kl;
mod label_mse;
mod layer_map;
mod logit_mse;
mod loss;
mod masked_cross_entropy;
mod masked_kl;
mod relation_kl;
mod score_mse;
mod softmax;
mod weight;

pub use attention_kl::attention_kl;
pub use cross_entropy::cross_entropy;
pub use hidden_cosine::hidden_cosine;
pub use hidden_mse::hidden_mse;
pub use inside::{Comparison, Sizes};
pub use kl::kl;
pub use label_mse::label_mse;
pub use layer_map::{LayerMap, Rule};
pub use logit_mse::logit_mse;
pub use loss::{Loss, Needs, Part, Unit};
pub use masked_cross_entropy::masked_cross_entropy;
pub use masked_kl::{LikelyWords, masked_kl};
pub use relation_kl::relation_kl;
pub use score_mse::score_mse;
pub use softmax::{log_softmax, log_sum_exp};
pub use weight::{Ramp, Weight};

use crate::error::explained;
use crate::task::Gold;
use anyhow::Result;
use ndarray::{Array2, Array3, ArrayView2};
use student::{Asked, OutputGrads, Outputs, Real};

/// A loss and its share of the objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// The factor of the loss.
    pub weight: Weight,
    /// The loss.
    pub loss: Loss,
}

/// A weighted sum of losses.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    terms: Vec<Term>,
    comparison: Comparison,
}

/// What is known about the examples of a batch.
#[derive(Clone, Copy)]
pub struct Target<'a, F> {
    /// The teacher's logits, [B, C].
    pub soft: Option<ArrayView2<'a, F>>,
    /// The gold labels, `[B]`.
    pub gold: &'a [Gold],
    /// What goes on inside the teacher, as far as [`Objective::comparison`] asks.
    pub inside: Option<&'a Outputs<F>>,
    /// Where the sequences of the packed batch begin, [B + 1].
    pub offsets: &'a [usize],
    /// The words that were masked, `[M]`.
    pub words: &'a [u32],
    /// What the teacher thinks could stand there, as far as [`Objective::words_of_teacher`] asks.
    pub likely: Option<&'a LikelyWords<F>>,
}

/// By how many the sums of an optimiser step are divided.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// All examples.
    pub examples: usize,
    /// Those with a gold label.
    pub labelled: usize,
    /// All tokens.
    pub tokens: usize,
    /// All pairs of tokens of one sequence.
    pub pairs: usize,
    /// The tokens that are masked.
    pub masked: usize,
}

/// The value of an objective on one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The weighted sum.
    pub total: f64,
    /// Each term, unweighted, in the order of the objective.
    pub terms: Vec<f64>,
}

impl Totals {
    /// Counts the examples behind `gold`, and the tokens of sequences of these lengths.
    pub fn of(gold: &[Gold], lengths: impl IntoIterator<Item = usize>) -> Self {
        let labelled = gold.iter().filter(|gold| **gold != Gold::Missing).count();
        let totals = Totals { examples: gold.len(), labelled, ..Totals::default() };
        lengths.into_iter().fold(totals, |totals, length| Totals {
            tokens: totals.tokens + length,
            pairs: totals.pairs + length * length,
            ..totals
        })
    }

    fn number_of(&self, unit: Unit) -> usize {
        match unit {
            Unit::Example => self.examples,
            Unit::Labelled => self.labelled,
            Unit::Token => self.tokens,
            Unit::Pair => self.pairs,
            Unit::Masked => self.masked,
        }
    }
}

impl Objective {
    /// Makes an objective of the terms whose weight is above zero.
    ///
    /// # Errors
    /// When no term is left, or a weight or temperature makes no sense.
    pub fn new(terms: impl IntoIterator<Item = Term>) -> Result<Self> {
        let terms: Vec<Term> = terms.into_iter().filter(|term| !term.weight.is_zero()).collect();
        for Term { weight, loss } in &terms {
            weight.check(loss.name())?;
            if let Loss::Kl { temperature } | Loss::MaskedKl { temperature, .. } = loss
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
        let comparison = Comparison::new(terms.iter().map(|term| term.loss), Vec::new());
        Ok(Objective { terms, comparison })
    }

    /// Says which layer of the student is compared with which of the teacher.
    ///
    /// # Errors
    /// When the map names layers that do not exist, or a term cannot compare models of these sizes.
    pub fn between(self, layers: &LayerMap, student: Sizes, teacher: Sizes) -> Result<Self> {
        let losses = || self.terms.iter().map(|term| term.loss);
        Comparison::check(losses(), student, teacher)?;
        let comparison = Comparison::new(losses(), layers.pairs(student.layers, teacher.layers)?);
        Ok(Objective { comparison, ..self })
    }

    /// Returns the objective of an update, when this share of all updates has been made.
    pub fn at(&self, done: f64) -> Self {
        let terms = self.terms.iter();
        let terms = terms.map(|term| Term { weight: term.weight.at(done).into(), ..*term }).collect();
        Objective { terms, comparison: self.comparison.clone() }
    }

    /// Returns which layers are compared, the student's first, and what is asked of both models.
    pub fn comparison(&self) -> &Comparison {
        &self.comparison
    }

    /// Returns what the student is asked.
    pub fn asked(&self) -> &Asked {
        &self.comparison.student
    }

    /// Says whether a term asks which word was masked.
    pub fn predicts_words(&self) -> bool {
        self.comparison.student.words
    }

    /// Says whether a term compares with the teacher's logits.
    pub fn needs_logits(&self) -> bool {
        self.terms.iter().any(|term| term.loss.needs() == Needs::Logits)
    }

    /// Returns how many words the teacher is asked for at each masked token, and the temperature, if a term compares them.
    pub fn words_of_teacher(&self) -> Option<(usize, f64)> {
        self.terms.iter().find_map(|term| match term.loss {
            Loss::MaskedKl { temperature, words } => Some((words, temperature)),
            _ => None,
        })
    }

    /// Says whether a term compares with the teacher token by token, so that it is asked while the student learns.
    pub fn compares_tokens(&self) -> bool {
        self.terms.iter().any(|term| term.loss.compares_tokens())
    }

    /// Says whether a term compares what goes on inside.
    pub fn looks_inside(&self) -> bool {
        self.terms.iter().any(|term| term.loss.looks_inside())
    }

    /// Says whether a term compares hidden states, and so needs them in the teacher's width.
    pub fn shows_hidden_states(&self) -> bool {
        !self.comparison.student.hidden.is_empty()
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
            if loss.needs() == Needs::Labels && labelled == 0 {
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

    /// Returns the value on a batch, and its gradient with respect to what the student said; with the weights that count in
    /// the end.
    ///
    /// `totals`: of the whole optimiser step that the batch belongs to. Each term is a mean over its [`Unit`]s.
    pub fn evaluate<F: Real>(
        &self,
        outputs: &Outputs<F>,
        target: &Target<'_, F>,
        totals: Totals,
    ) -> (Evaluation, OutputGrads<F>) {
        let mut d_outputs = zeros_like(outputs);
        let mut evaluation = Evaluation { total: 0.0, terms: Vec::with_capacity(self.terms.len()) };
        for Term { weight, loss } in &self.terms {
            let share = F::of(1.0 / totals.number_of(loss.unit()).max(1) as f64);
            let scale = F::of(weight.last()) * share;
            let sum = match loss.needs() {
                Needs::Labels | Needs::Logits => {
                    let (sum, gradient) = loss.of_logits(outputs.logits.view(), target);
                    d_outputs.logits.scaled_add(scale, &gradient);
                    sum
                }
                Needs::Words | Needs::WordsOfTeacher => {
                    let (sum, gradient) = loss.of_words(outputs.words.view(), target);
                    d_outputs.words.scaled_add(scale, &gradient);
                    sum
                }
                Needs::Inside(_) => {
                    let teacher = target.inside.expect("a teacher was asked for what the objective compares");
                    let sides = [outputs, teacher];
                    self.comparison.add(*loss, sides, target.offsets, &mut d_outputs, scale)
                }
            };
            let mean = (sum * share).f64();
            evaluation.total += weight.last() * mean;
            evaluation.terms.push(mean);
        }
        (evaluation, d_outputs)
    }
}

fn zeros_like<F: Real>(outputs: &Outputs<F>) -> OutputGrads<F> {
    let zeros = |x: &Array2<F>| Array2::zeros(x.dim());
    OutputGrads {
        logits: zeros(&outputs.logits),
        words: zeros(&outputs.words),
        hidden: outputs.hidden.iter().map(zeros).collect(),
        scores: outputs
            .scores
            .iter()
            .map(|layer| layer.iter().map(|scores| Array3::zeros(scores.dim())).collect())
            .collect(),
        qkv: outputs.qkv.iter().map(|qkv| qkv.each_ref().map(zeros)).collect(),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod words_tests;
