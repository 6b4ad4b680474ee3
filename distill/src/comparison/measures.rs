//! What models are measured by: the figures of a comparison, in the order of the report.

use crate::corpus::Subject;
use crate::task::Metric;
use serde::Serialize;

/// A figure of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The fraction of examples that is right.
    Accuracy,
    /// F1 of the positive class.
    F1,
    /// The mean F1 of the classes.
    MacroF1,
    /// F1 of all classes counted together.
    MicroF1,
    /// Matthews' correlation.
    Matthews,
    /// Pearson's correlation with the labels.
    Pearson,
    /// Spearman's correlation with the labels.
    Spearman,
    /// The fraction of examples on which the teacher says the same; of a regression, Pearson's correlation with it.
    Agreement,
    /// The mean divergence from the teacher.
    MeanKl,
    /// The mean negative log-likelihood of the labels.
    Nll,
    /// The same after temperature scaling.
    NllScaled,
    /// The mean squared error of the probabilities.
    Brier,
    /// The same after temperature scaling.
    BrierScaled,
    /// The expected calibration error.
    Ece,
    /// The same after temperature scaling.
    EceScaled,
}

/// What the numbers of a figure are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A fraction, shown in percent; differences are in points, hundredths.
    Share,
    /// A correlation; differences are in points, hundredths.
    Correlation,
    /// Nats.
    Nats,
    /// A squared error.
    Plain,
}

impl Measure {
    /// Returns the figures of a subject, the one to select by first. `labelled`: whether there are labels.
    pub fn all_of(subject: &Subject, labelled: bool) -> Vec<Self> {
        use Measure as M;
        let by_teacher: &[M] =
            if subject.is_regression() { &[M::Agreement] } else { &[M::Agreement, M::MeanKl] };
        if !labelled {
            return by_teacher.to_vec();
        }
        if subject.is_regression() {
            return [&[M::Pearson, M::Spearman], by_teacher].concat();
        }
        let two = subject.labels.as_ref().is_some_and(|labels| labels.len() == 2);
        let first = match subject.task.metric {
            Metric::F1(_) => M::F1,
            Metric::Matthews => M::Matthews,
            Metric::Accuracy | Metric::Correlation => M::Accuracy,
        };
        let rest = [M::Accuracy, M::F1, M::MacroF1, M::MicroF1, M::Matthews].into_iter();
        let rest = rest.filter(|&measure| measure != first && (two || measure != M::F1));
        let sure = [M::Nll, M::NllScaled, M::Brier, M::BrierScaled, M::Ece, M::EceScaled];
        std::iter::once(first).chain(rest).chain(by_teacher.iter().copied()).chain(sure).collect()
    }

    /// Returns the name that it has in files and conditions.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Accuracy => "accuracy",
            Measure::F1 => "f1",
            Measure::MacroF1 => "macro_f1",
            Measure::MicroF1 => "micro_f1",
            Measure::Matthews => "matthews",
            Measure::Pearson => "pearson",
            Measure::Spearman => "spearman",
            Measure::Agreement => "agreement",
            Measure::MeanKl => "mean_kl",
            Measure::Nll => "nll",
            Measure::NllScaled => "nll_scaled",
            Measure::Brier => "brier",
            Measure::BrierScaled => "brier_scaled",
            Measure::Ece => "ece",
            Measure::EceScaled => "ece_scaled",
        }
    }

    /// Returns what people call it.
    pub fn title(self) -> &'static str {
        match self {
            Measure::Accuracy => "Accuracy",
            Measure::F1 => "F1",
            Measure::MacroF1 => "F1, macro",
            Measure::MicroF1 => "F1, micro",
            Measure::Matthews => "Matthews",
            Measure::Pearson => "Pearson",
            Measure::Spearman => "Spearman",
            Measure::Agreement => "Agreement with teacher",
            Measure::MeanKl => "Mean KL from teacher",
            Measure::Nll => "Negative log-likelihood",
            Measure::NllScaled => "… scaled",
            Measure::Brier => "Brier score",
            Measure::BrierScaled => "… scaled",
            Measure::Ece => "Calibration error",
            Measure::EceScaled => "… scaled",
        }
    }

    /// Returns what its numbers are.
    pub fn unit(self) -> Unit {
        match self {
            Measure::Accuracy | Measure::F1 | Measure::MacroF1 | Measure::MicroF1 | Measure::Agreement => {
                Unit::Share
            }
            Measure::Ece | Measure::EceScaled => Unit::Share,
            Measure::Matthews | Measure::Pearson | Measure::Spearman => Unit::Correlation,
            Measure::MeanKl | Measure::Nll | Measure::NllScaled => Unit::Nats,
            Measure::Brier | Measure::BrierScaled => Unit::Plain,
        }
    }

    /// Says whether less is better.
    pub fn is_a_loss(self) -> bool {
        use Measure as M;
        matches!(self, M::MeanKl | M::Nll | M::NllScaled | M::Brier | M::BrierScaled | M::Ece | M::EceScaled)
    }

    /// Says whether it sets a model beside the teacher, so that the teacher has none of its own.
    pub fn is_of_a_pair(self) -> bool {
        matches!(self, Measure::Agreement | Measure::MeanKl)
    }
}
