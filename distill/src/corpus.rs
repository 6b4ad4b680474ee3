//! Text with what is known about it: read, its labels aligned with the model's, and each example with its own key.

use crate::data::{self, Columns, Dataset, Format, Reading};
use crate::error::explained;
use crate::labels::{Key, key};
use crate::recipe::DataSection;
use crate::task::{Gold, Kind, LabelSet, Task, align, label_set_of, scores};
use crate::tokens::{Encodings, Tokenizer};
use anyhow::Result;
use std::path::Path;
use teacher::ModelConfig;

/// The examples of a file.
pub struct Corpus {
    /// The texts, as they stand in the file.
    pub dataset: Dataset,
    /// The label of each, in the order of the model's classes.
    pub gold: Vec<Gold>,
    /// What tells each example from all others: a hash of its texts.
    pub keys: Vec<Key>,
}

/// What a model predicts, and how to read data for it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What is known of the data set.
    pub task: Task,
    /// The classes in the order of the logits; none for a regression.
    pub labels: Option<LabelSet>,
    /// The tokens at which texts are cut.
    pub max_length: usize,
    reading: Reading,
    orders: Vec<LabelSet>,
}

impl Subject {
    /// Finds out what a model with this configuration and this many logits predicts.
    ///
    /// # Errors
    /// When task, labels and model do not fit together.
    pub fn of_model(section: &DataSection, config: &ModelConfig, num_classes: Option<usize>) -> Result<Self> {
        let task = named_task(
            section,
            config.problem_type.as_deref() == Some("regression") || num_classes == Some(1),
        )?;
        if config.problem_type.as_deref() == Some("multi_label_classification") {
            return Err(explained(
                "the model gives several labels to a text (`multi_label_classification`)",
                "only models with one label, or one number, for each text can be used",
            ));
        }
        let own = (!config.id2label.is_empty()).then(|| config.id2label.clone());
        let mut subject = Subject::new(section, task, config.max_tokens())?;
        if task.kind == Kind::Regression {
            return match num_classes {
                None | Some(1) => Ok(subject),
                Some(count) => Err(explained(
                    format!("`{}` is a regression, but the model has {count} logits", task.name),
                    "choose a task with classes, e.g. `--task text`",
                )),
            };
        }
        let count = num_classes.or(own.as_ref().map(Vec::len));
        let unnamed = || count.map(|count| (0..count).map(|id| format!("LABEL_{id}")).collect::<Vec<_>>());
        let names = section.labels.clone().or(own.clone()).or_else(unnamed).ok_or_else(|| {
            explained(
                "the model does not say which classes it has",
                "name them with `--labels`, in the model's order",
            )
        })?;
        let labels = LabelSet::new(names)?;
        if let Some(count) = count.filter(|&count| count != labels.len()) {
            return Err(explained(
                format!("{} labels are named, but the model has {count} classes", labels.len()),
                "name each of the model's classes once with `--labels`, in the model's order",
            ));
        }
        subject.orders.extend(own.and_then(|own| LabelSet::new(own).ok()));
        subject.labels = Some(labels);
        Ok(subject)
    }

    /// Finds out what is to be predicted from labelled data alone.
    ///
    /// # Errors
    /// When the data has fewer than two classes, or cannot be read.
    pub fn of_data(section: &DataSection, path: &Path, max_tokens: Option<usize>) -> Result<Self> {
        let task = named_task(section, false)?;
        let mut subject = Subject::new(section, task, max_tokens)?;
        if task.kind == Kind::Classification {
            subject.labels = Some(match &section.labels {
                Some(names) => LabelSet::new(names.clone())?,
                None => label_set_of(&data::read(path, &subject.reading)?, task.label_set().as_ref())?,
            });
        }
        Ok(subject)
    }

    fn new(section: &DataSection, task: Task, max_tokens: Option<usize>) -> Result<Self> {
        let columns = Columns {
            text: section.text.clone(),
            text_pair: section.text_pair.clone(),
            label: section.label.clone(),
        };
        let format = section.format.as_deref().map(format_named).transpose()?;
        let asked = section.max_length.unwrap_or(task.max_length);
        Ok(Subject {
            reading: Reading { columns, format, ..task.reading() },
            orders: task.label_set().into_iter().collect(),
            labels: None,
            max_length: max_tokens.map_or(asked, |most| asked.min(most)),
            task,
        })
    }

    /// Says whether a number is predicted.
    pub fn is_regression(&self) -> bool {
        self.task.kind == Kind::Regression
    }

    /// Returns the names of the logits: the classes, or one name for a regression.
    pub fn logit_names(&self) -> Vec<String> {
        self.labels.as_ref().map_or_else(|| vec!["LABEL_0".to_owned()], |labels| labels.names().to_vec())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When the file cannot be read, or a label is none of the model's; located.
    pub fn read(&self, path: &Path) -> Result<Corpus> {
        let dataset = data::read(path, &self.reading)?;
        let gold = match &self.labels {
            Some(labels) => align(&dataset, labels, &self.orders)?,
            None => scores(&dataset)?,
        };
        let keys = dataset.rows.iter().map(|row| key(&row.text, row.text_pair.as_deref())).collect();
        Ok(Corpus { dataset, gold, keys })
    }
}

impl Corpus {
    /// Returns the number of examples.
    pub fn len(&self) -> usize {
        self.gold.len()
    }

    /// Says whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.gold.is_empty()
    }

    /// Returns the number of examples with a label.
    pub fn num_labelled(&self) -> usize {
        self.gold.iter().filter(|gold| **gold != Gold::Missing).count()
    }

    /// Encodes every text.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode(&self, tokenizer: &Tokenizer, threads: usize) -> Result<Encodings> {
        tokenizer.encode(&self.dataset.texts(), threads)
    }

    /// Divides the examples by their keys: about `share` of them come second. Equal texts stay together.
    pub fn hold_out(self, share: f64) -> (Corpus, Corpus) {
        let limit = (share * u32::MAX as f64) as u32;
        let held_out = |key: &Key| u32::from_le_bytes([key[0], key[1], key[2], key[3]]) < limit;
        let (mut kept, mut held) = (self.empty(), self.empty());
        for ((row, gold), key) in self.dataset.rows.into_iter().zip(self.gold).zip(self.keys) {
            let part = if held_out(&key) { &mut held } else { &mut kept };
            part.dataset.rows.push(row);
            part.gold.push(gold);
            part.keys.push(key);
        }
        (kept, held)
    }

    fn empty(&self) -> Corpus {
        let Dataset { path, fingerprint, .. } = &self.dataset;
        let dataset = Dataset { path: path.clone(), rows: Vec::new(), fingerprint: fingerprint.clone() };
        Corpus { dataset, gold: Vec::new(), keys: Vec::new() }
    }
}

fn named_task(section: &DataSection, regression: bool) -> Result<Task> {
    let name = if regression && section.task == "text" { "regression" } else { &section.task };
    Task::named(name)
}

fn format_named(name: &str) -> Result<Format> {
    match name {
        "tsv" => Ok(Format::Tsv),
        "csv" => Ok(Format::Csv),
        "jsonl" => Ok(Format::Jsonl),
        _ => Err(explained(format!("there is no format `{name}`"), "the formats are tsv, csv and jsonl")),
    }
}
