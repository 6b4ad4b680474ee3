//! What `train` and `finetune` start from: texts to learn from and to be judged by, and an objective that they allow.

use super::describe;
use crate::console::Console;
use crate::corpus::{Corpus, Subject};
use crate::error::explained;
use crate::recipe::{DataSection, Recipe};
use anyhow::Result;
use std::path::PathBuf;
use teacher::Teacher;

/// Reads the texts of a recipe and decides what they are used for.
///
/// # Errors
/// When a file cannot be read, nothing is left to train or to evaluate on, or the objective needs what is not there.
pub fn prepare(
    recipe: &mut Recipe,
    subject: &Subject,
    teacher: Option<&Teacher>,
    console: &Console,
) -> Result<(Corpus, Corpus)> {
    let (train, eval) = read(&recipe.data, subject)?;
    console.say(format_args!("train: {} · eval: {}", describe(&train), describe(&eval)));
    let (labelled, regression) = (train.num_labelled(), subject.is_regression());
    recipe.objective.resolve(teacher.is_some(), labelled > 0, regression)?;
    recipe.objective.objective()?.check(teacher.is_some(), labelled, regression)?;
    Ok((train, eval))
}

/// Returns a setting, or an error that tells how to give it.
pub fn required(setting: Option<PathBuf>, flag: &str, what: &str) -> Result<PathBuf> {
    setting.ok_or_else(|| explained(format!("`--{flag}` is missing"), format!("give {what} with `--{flag}`")))
}

/// Reads the texts to train on and to evaluate on.
///
/// # Errors
/// When a file cannot be read, or nothing is left to train or to evaluate on.
fn read(section: &DataSection, subject: &Subject) -> Result<(Corpus, Corpus)> {
    let path = required(section.train.clone(), "data", "the file to train on")?;
    let all = subject.read(&path)?;
    let (train, eval) = match &section.eval {
        Some(eval) => (all, subject.read(eval)?),
        None => all.hold_out(section.holdout),
    };
    if train.is_empty() || eval.is_empty() {
        return Err(explained(
            format!(
                "`{}` is too small to hold out a share of {} to evaluate on",
                path.display(),
                section.holdout
            ),
            "give a file to evaluate on with `--eval`, or a larger share with `--set data.holdout=0.2`",
        ));
    }
    Ok((train, eval))
}
