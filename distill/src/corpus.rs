//! What is predicted, and how data is read for it: into memory to evaluate a model, row by row to compare models,
//! as a mapped table to train them.

use crate::data::{self, Columns, Dataset, Format, Quirks, Reading, Row};
use crate::error::explained;
use crate::examples::Examples;
use crate::recipe::{DataSection, Read};
use crate::table::{Content, Source, Table};
use crate::task::{Gold, Kind, LabelSet, RawLabels, Task, align, label_set_of, score};
use crate::text::Pairs;
use crate::tokens::{Encodings, Tokenizer};
use anyhow::Result;
use std::path::Path;
use std::sync::Arc;
use teacher::ModelConfig;

/// The examples of a file, in memory.
pub struct Corpus {
    /// The texts, as they stand in the file.
    pub dataset: Dataset,
    /// The label of each, in the order of the model's classes.
    pub gold: Vec<Gold>,
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
    /// How copies are read: in the columns of their own, their labels as in the originals.
    reading_of_copies: Reading,
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
        let names = section.labels.clone().or(own.clone()).or_else(unnamed).or_else(|| unjudged(section));
        let names = names.ok_or_else(|| {
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

    /// Finds out what is to be predicted when there is no model: the classes are still those of the data.
    ///
    /// # Errors
    /// When there is no such task or format.
    pub fn of_data(section: &DataSection, max_tokens: Option<usize>) -> Result<Self> {
        Subject::new(section, named_task(section, false)?, max_tokens)
    }

    /// Takes the classes of the data: those that are named, else those of the labels that it has.
    ///
    /// # Errors
    /// When there are fewer than two.
    pub fn with_labels(mut self, named: Option<&[String]>, raw: &RawLabels) -> Result<Self> {
        if self.task.kind == Kind::Classification {
            self.labels = Some(match named {
                Some(names) => LabelSet::new(names.to_vec())?,
                None => label_set_of(raw, self.task.label_set().as_ref())?,
            });
        }
        Ok(self)
    }

    /// Predicts what is to be told of pairs of a plain text instead, where something is.
    ///
    /// # Errors
    /// Never, as long as what is told of pairs has names.
    pub fn telling(mut self, pairs: Pairs) -> Result<Self> {
        if pairs != Pairs::None {
            self.task.kind = Kind::Classification;
            self.labels = Some(LabelSet::new(pairs.labels().iter().copied())?);
        }
        Ok(self)
    }

    fn new(section: &DataSection, task: Task, max_tokens: Option<usize>) -> Result<Self> {
        let columns = Columns {
            text: section.text.clone(),
            text_pair: section.text_pair.clone(),
            label: section.label.clone(),
        };
        let format = section.format.as_deref().map(format_named).transpose()?;
        let asked = section.max_length.unwrap_or(task.max_length);
        let quirks = Quirks { unlabelled: task.reading().quirks.unlabelled, ..Quirks::default() };
        Ok(Subject {
            reading_of_copies: Reading { quirks, ..Reading::default() },
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

    /// Reads a file into memory, to be evaluated on.
    ///
    /// # Errors
    /// When the file cannot be read, or a label is none of the model's; located.
    pub fn read(&self, path: &Path) -> Result<Corpus> {
        let mut rows = Vec::new();
        let (gold, fingerprint) = self.scan(path, &mut |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(Corpus { dataset: Dataset { path: path.to_owned(), rows, fingerprint }, gold })
    }

    /// Reads a file row by row, and holds no more of it than one row. Returns the label of each row, and the fingerprint
    /// of the file.
    ///
    /// # Errors
    /// When the file cannot be read, a label is none of the model's, located, or `sink` fails.
    pub fn scan(&self, path: &Path, sink: &mut dyn FnMut(Row) -> Result<()>) -> Result<(Vec<Gold>, String)> {
        let (mut scores, mut places) = (Vec::new(), Vec::<Option<u32>>::new());
        let mut raw = RawLabels::new(path.to_owned());
        let fingerprint = data::scan(path, &self.reading, &mut |row, _| {
            match &self.labels {
                None => scores.push(score(path, &row)?),
                Some(_) => {
                    let place = row.label.as_ref().map(|label| raw.take(label, row.line)).transpose()?;
                    places.push(place.map(|place| place as u32));
                }
            }
            sink(row)
        })?;
        let Some(labels) = &self.labels else { return Ok((scores, fingerprint)) };
        let meaning = align(&raw, labels, &self.orders)?;
        let gold = |place: Option<u32>| place.map_or(Gold::Missing, |place| meaning[place as usize]);
        Ok((places.into_iter().map(gold).collect(), fingerprint))
    }

    /// Hands on the rows of a file one by one, and returns its fingerprint; labels are not looked at.
    ///
    /// # Errors
    /// As [`data::scan`].
    pub fn each_row(&self, path: &Path, sink: &mut dyn FnMut(Row) -> Result<()>) -> Result<String> {
        data::scan(path, &self.reading, &mut |row, _| sink(row))
    }

    /// Returns what a table of a file is made of.
    pub fn source<'a>(&'a self, path: &'a Path, tokenizer: &'a Tokenizer, threads: usize) -> Source<'a> {
        let content = Content::Rows { reading: &self.reading, kind: self.task.kind };
        Source { path, content, tokenizer, threads }
    }

    /// Returns what a table of a file is made of that `distill augment` has written.
    pub fn source_of_copies<'a>(
        &'a self,
        path: &'a Path,
        tokenizer: &'a Tokenizer,
        threads: usize,
    ) -> Source<'a> {
        let content = Content::Rows { reading: &self.reading_of_copies, kind: self.task.kind };
        Source { path, content, tokenizer, threads }
    }

    /// Returns the rows of a table as examples, their labels aligned with the model's.
    ///
    /// # Errors
    /// When a label is none of the model's; located.
    pub fn examples(&self, table: &Arc<Table>) -> Result<Examples> {
        let meaning = match &self.labels {
            Some(labels) => align(table.labels(), labels, &self.orders)?,
            None => Vec::new(),
        };
        Ok(Examples::of(Arc::clone(table), meaning))
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
}

/// Returns the names of the classes where none are learnt: those that a model has in the ecosystem before it has learnt any.
fn unjudged(section: &DataSection) -> Option<Vec<String>> {
    (section.read == Read::Corpus).then(|| vec!["LABEL_0".to_owned(), "LABEL_1".to_owned()])
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
