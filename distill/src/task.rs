//! What is predicted: the kind of label, how it is measured, and what is known of published data sets.
//!
//! To add a data set, add a row to [`PRESETS`].

mod assignment;
mod labels;
mod order;
mod raw_labels;

use crate::data::{Format, Quirks, Reading};
use crate::error::explained;
use crate::names::{list, nearest};
use anyhow::Result;
pub use labels::{Gold, LabelSet, align, label_set_of, score};
pub use order::check_order;
pub use raw_labels::RawLabels;

/// The kind of label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of several classes.
    Classification,
    /// A real number.
    Regression,
}

/// How predictions are measured; of two figures the first is the one to select by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// The fraction that is right.
    Accuracy,
    /// F1 of the class of this name, and accuracy.
    F1(&'static str),
    /// Matthews' correlation, and accuracy.
    Matthews,
    /// Pearson's and Spearman's correlation.
    Correlation,
}

/// A data set, or a family of them, as far as it matters to reading, training and measuring.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Task {
    /// The name under which it is asked for.
    pub name: &'static str,
    /// What is predicted.
    pub kind: Kind,
    /// The names that the data's ids 0, 1, … stand for; empty if only the data can say.
    pub labels: &'static [&'static str],
    /// How it is measured.
    pub metric: Metric,
    /// The published limit on tokens: TinyBERT's 64 for GLUE's single sentences and 128 for pairs (Jiao et al. 2020,
    /// section 4.2), else 128.
    pub max_length: usize,
    /// What a reader must know.
    pub quirks: Quirks,
}

impl Metric {
    /// Returns the name of the figure to select by.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::F1(_) => "f1",
            Metric::Matthews => "matthews",
            Metric::Correlation => "pearson",
        }
    }
}

const PLAIN: Task = Task {
    name: "text",
    kind: Kind::Classification,
    labels: &[],
    metric: Metric::Accuracy,
    max_length: 128,
    quirks: Quirks { delimited: None, headerless: None, unlabelled: None },
};

const NO_CONSENSUS: Quirks = Quirks { unlabelled: Some("-"), ..PLAIN.quirks };

/// The tasks known by name. Labels are in the order of GLUE's and the data sets' own ids; files have headers that the
/// reader knows, except where positions are given.
pub const PRESETS: [Task; 16] = [
    PLAIN,
    Task { name: "regression", kind: Kind::Regression, metric: Metric::Correlation, ..PLAIN },
    Task { name: "sst2", labels: &["negative", "positive"], max_length: 64, ..PLAIN },
    Task {
        name: "cola",
        labels: &["unacceptable", "acceptable"],
        metric: Metric::Matthews,
        max_length: 64,
        quirks: Quirks { headerless: Some((4, None, Some(2))), ..PLAIN.quirks },
        ..PLAIN
    },
    Task {
        name: "mrpc",
        labels: &["not_equivalent", "equivalent"],
        metric: Metric::F1("equivalent"),
        ..PLAIN
    },
    Task { name: "qqp", labels: &["not_duplicate", "duplicate"], metric: Metric::F1("duplicate"), ..PLAIN },
    Task { name: "mnli", labels: &["entailment", "neutral", "contradiction"], quirks: NO_CONSENSUS, ..PLAIN },
    Task { name: "snli", labels: &["entailment", "neutral", "contradiction"], quirks: NO_CONSENSUS, ..PLAIN },
    Task { name: "qnli", labels: &["entailment", "not_entailment"], ..PLAIN },
    Task { name: "rte", labels: &["entailment", "not_entailment"], ..PLAIN },
    Task { name: "wnli", labels: &["not_entailment", "entailment"], ..PLAIN },
    Task {
        name: "stsb",
        kind: Kind::Regression,
        metric: Metric::Correlation,
        // The official files end in `.csv`, but tabs separate their fields.
        quirks: Quirks {
            delimited: Some(Format::Tsv),
            headerless: Some((6, Some(7), Some(5))),
            ..PLAIN.quirks
        },
        ..PLAIN
    },
    Task { name: "agnews", labels: &["World", "Sports", "Business", "Sci/Tech"], ..PLAIN },
    Task { name: "banking77", ..PLAIN },
    Task {
        name: "sms-spam",
        labels: &["ham", "spam"],
        metric: Metric::F1("spam"),
        quirks: Quirks { delimited: Some(Format::Tsv), headerless: Some((2, None, Some(1))), ..PLAIN.quirks },
        ..PLAIN
    },
    Task { name: "subj", labels: &["objective", "subjective"], ..PLAIN },
];

impl Task {
    /// Returns the preset of this name.
    ///
    /// # Errors
    ///
    /// There is none; the message lists those there are.
    pub fn named(name: &str) -> Result<Self> {
        let names = || PRESETS.iter().map(|task| task.name);
        PRESETS.iter().find(|task| task.name == name).copied().ok_or_else(|| {
            let hint = nearest(name, names()).map_or_else(
                || "`text` takes any texts with class labels, `regression` any with numbers".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            explained(format!("there is no task `{name}`; there are {}", list(names())), hint)
        })
    }

    /// Returns how to read the task's files when nothing else is asked for.
    pub fn reading(&self) -> Reading {
        Reading { quirks: self.quirks, ..Reading::default() }
    }

    /// Returns the labels in the order of the data's ids, if that is published.
    pub fn label_set(&self) -> Option<LabelSet> {
        LabelSet::new(self.labels.iter().copied()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::read;
    use crate::error::hint_of;

    #[test]
    fn a_task_is_found_by_name_or_the_nearest_is_offered() {
        assert_eq!(Task::named("sst2").unwrap().label_set().unwrap().names(), ["negative", "positive"]);
        assert!(Task::named("text").unwrap().label_set().is_none());
        let error = Task::named("sst-2").unwrap_err();
        assert!(error.to_string().contains("no task `sst-2`; there are `text`"), "{error}");
        assert_eq!(hint_of(&error).unwrap(), "did you mean `sst2`?");
    }

    #[test]
    fn the_first_figure_is_the_one_to_select_by() {
        for Task { metric, .. } in PRESETS {
            let figures =
                crate::metrics::measure(metric, ndarray::arr2(&[[0.0]]).view(), &[Gold::Missing], None);
            assert_eq!(figures[0].0, metric.name());
        }
    }

    #[test]
    fn names_are_unique_and_a_positive_class_is_a_label() {
        for (index, task) in PRESETS.iter().enumerate() {
            assert!(PRESETS[..index].iter().all(|other| other.name != task.name), "{}", task.name);
            if let Metric::F1(positive) = task.metric {
                assert!(task.labels.contains(&positive), "{}", task.name);
            }
        }
    }

    #[test]
    fn official_files_are_read_with_the_preset_alone() {
        for (task, file, contents, text, text_pair, label) in [
            ("cola", "in_domain_dev.tsv", "gj04\t0\t*\tThey \"drank.\n", "They \"drank.", None, Some("0")),
            ("cola", "test.tsv", "index\tsentence\n0\tBill\n", "Bill", None, None),
            (
                "stsb",
                "sts-dev.csv",
                "main\tMSR\t2012\t01\t4.750\ta, b\tc\n",
                "a, b",
                Some("c"),
                Some("4.750"),
            ),
            (
                "stsb",
                "dev.tsv",
                "index\tgenre\tsource1\tsource2\tsentence1\tsentence2\tscore\n0\tg\ts\tt\ta\tb\t3.2\n",
                "a",
                Some("b"),
                Some("3.2"),
            ),
            ("sms-spam", "SMSSpamCollection", "ham\tOk lar\n", "Ok lar", None, Some("ham")),
            ("snli", "dev.tsv", "gold_label\tsentence1\tsentence2\n-\ta\tb\n", "a", Some("b"), None),
            ("sst2", "dev.jsonl", "{\"idx\": 0, \"sentence\": \"a\", \"label\": 1}", "a", None, Some("1")),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(file);
            std::fs::write(&path, contents).unwrap();
            let dataset = read(&path, &Task::named(task).unwrap().reading()).unwrap();
            let row = &dataset.rows[0];
            assert_eq!(
                (row.text.as_str(), row.text_pair.as_deref(), row.label.as_deref()),
                (text, text_pair, label)
            );
        }
    }
}
