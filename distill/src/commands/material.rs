//! What `train` and `finetune` start from: texts to learn from and to be judged by, and an objective that they allow.

use super::describe;
use crate::console::Console;
use crate::corpus::Subject;
use crate::error::explained;
use crate::examples::Examples;
use crate::recipe::{DataSection, Read, Recipe};
use crate::soft_labels::{Kept, ask_teacher};
use crate::table::{self, Content, Table};
use crate::tokens::Tokenizer;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use teacher::Teacher;

/// Where the tables of a run's data files are kept, and how they are made.
pub struct Shelf<'a> {
    /// How the files are read.
    pub subject: &'a Subject,
    /// The folder in which the tables lie.
    pub folder: PathBuf,
    /// The threads to use, 0 for all cores.
    pub threads: usize,
    /// The seed of the run.
    pub seed: u64,
    /// What is said meanwhile.
    pub console: &'a Console,
}

impl Shelf<'_> {
    /// Returns the tables of the file to train on, and of the one to evaluate on if there is one, for a tokenizer.
    ///
    /// # Errors
    /// When there is no file to train on, one cannot be read, or a table not be made.
    pub fn tables(&self, section: &DataSection, tokenizer: &Tokenizer) -> Result<Vec<Arc<Table>>> {
        if section.read == Read::Corpus {
            let path = required(section.corpus.clone(), "corpus", "the plain text to learn from")?;
            let packing = section.packing(self.seed);
            let (content, threads) = (Content::Text(&packing), self.threads);
            let source = table::Source { path: &path, content, tokenizer, threads };
            return Ok(vec![Arc::new(table::open(&source, &self.folder, self.console)?)]);
        }
        let subject = self.subject;
        let train = required(section.train.clone(), "data", "the file to train on")?;
        let train = match &section.augmented {
            Some(augmented) => subject.source_of_copies(augmented, tokenizer, self.threads),
            None => subject.source(&train, tokenizer, self.threads),
        };
        let eval = section.eval.iter().map(|path| subject.source(path, tokenizer, self.threads));
        let open = |source| table::open(&source, &self.folder, self.console).map(Arc::new);
        std::iter::once(train).chain(eval).map(open).collect()
    }

    /// Returns tables in the tokens of the first tokenizer, the teacher's. `tables`: the same in the tokens of the second, the
    /// student's; all that there are, or the last.
    ///
    /// # Errors
    /// As [`Shelf::tables`].
    pub fn tables_read_by(
        &self,
        [teacher, student]: [&Tokenizer; 2],
        section: &DataSection,
        tables: &[Arc<Table>],
    ) -> Result<Vec<Arc<Table>>> {
        match teacher.encodes_like(student) {
            true => Ok(tables.to_vec()),
            false => {
                let mut all = self.tables(section, teacher)?;
                Ok(all.split_off(all.len() - tables.len()))
            }
        }
    }
}

/// A teacher that is asked about the texts of a student.
pub struct Source<'a> {
    /// The teacher.
    pub teacher: &'a mut Teacher,
    /// Its tokenizer, and the student's.
    pub tokenizers: [&'a Tokenizer; 2],
    /// Where its logits are kept.
    pub labels: &'a Path,
}

impl Source<'_> {
    /// Gives examples the teacher's logits, asking it only about those that are not known. `tables`: the examples' own, in
    /// the student's tokens; all that there are, or the last.
    ///
    /// # Errors
    /// When the logits that are kept are another teacher's, or the teacher fails.
    pub fn teach(
        &mut self,
        examples: &mut [&mut Examples],
        shelf: &Shelf<'_>,
        section: &DataSection,
        tables: &[Arc<Table>],
    ) -> Result<()> {
        let kept = Kept::new(self.labels, None, self.teacher, self.tokenizers[0], shelf.subject)?;
        let read = || shelf.tables_read_by(self.tokenizers, section, tables);
        let store = ask_teacher(self.teacher, &kept, tables, &read, shelf.console)?;
        Examples::taught_by(examples, &Arc::new(store))
    }
}

/// Returns the fingerprints of what a run is made from, by name.
///
/// # Errors
/// When the teacher's file cannot be read.
pub fn sources(
    teacher: Option<&Teacher>,
    train: &Examples,
    eval: &Examples,
) -> Result<BTreeMap<String, String>> {
    let teacher = teacher.map(|teacher| teacher.fingerprint()).transpose()?;
    let data = [("train", train), ("eval", eval)].map(|(name, it)| (name, it.table().fingerprint()));
    let all = teacher.map(|teacher| ("teacher", teacher)).into_iter().chain(data);
    Ok(all.map(|(name, fingerprint)| (name.to_owned(), fingerprint.to_owned())).collect())
}

/// Decides what the texts of a recipe are used for: returns the examples to train on and those to evaluate on.
///
/// # Errors
/// When a label is not the model's, nothing is left to train or to evaluate on, or the objective needs what is not there.
pub fn prepare(
    recipe: &mut Recipe,
    subject: &Subject,
    tables: &[Arc<Table>],
    source: Signal,
    console: &Console,
) -> Result<[Examples; 2]> {
    let [train, eval] = divide(&recipe.data, subject, tables)?;
    console.say(format_args!("train: {} · eval: {}", describe(&train), describe(&eval)));
    let (labelled, regression) = (train.num_labelled(), subject.is_regression());
    let has_teacher = source == Signal::Teacher;
    recipe.objective.resolve(has_teacher, labelled > 0, regression)?;
    recipe.objective.objective()?.check(has_teacher, labelled, regression)?;
    Ok([train, eval])
}

/// What a student learns from besides labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A teacher's logits.
    Teacher,
    /// Nothing.
    Labels,
}

/// Returns a setting, or an error that tells how to give it.
pub fn required(setting: Option<PathBuf>, flag: &str, what: &str) -> Result<PathBuf> {
    setting.ok_or_else(|| explained(format!("`--{flag}` is missing"), format!("give {what} with `--{flag}`")))
}

fn divide(section: &DataSection, subject: &Subject, tables: &[Arc<Table>]) -> Result<[Examples; 2]> {
    let all = match section.read {
        Read::Examples => subject.examples(&tables[0])?,
        Read::Corpus => Examples::of(Arc::clone(&tables[0]), section.pairs.meaning()),
    };
    let (train, eval) = match tables.get(1) {
        Some(eval) => (all, subject.examples(eval)?),
        None => all.hold_out(section.holdout),
    };
    if train.is_empty() || eval.is_empty() {
        return Err(explained(
            format!(
                "`{}` is too small to hold out a share of {} to evaluate on",
                tables[0].path().display(),
                section.holdout
            ),
            "give a file to evaluate on with `--eval`, or a larger share with `--set data.holdout=0.2`",
        ));
    }
    Ok([train, eval])
}
