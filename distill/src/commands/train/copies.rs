//! Copies of the texts to train on, made before the first stage that learns from them.

use crate::cli::{AugmentArgs, CandidateArgs, CopyArgs, DataArgs, Originals};
use crate::commands::material::required;
use crate::commands::{Opener, augment};
use crate::data::fingerprint;
use crate::error::explained;
use crate::recipe::{AugmentSection, Read, Recipe, Stage};
use crate::run_folder::RunFolder;
use anyhow::Result;
use std::collections::BTreeSet;

/// Makes the copies that stages ask for, the originals before them, and lets those stages train on them. Stages that ask for the
/// same share a file; a job that is resumed uses those that it had made.
///
/// # Errors
/// When a stage asks for copies of a plain text, there is no file to evaluate on, or the copies cannot be made.
pub(super) fn make(stages: &mut [Stage], folder: &RunFolder, opener: &Opener<'_>) -> Result<()> {
    let mut made = BTreeSet::new();
    for Stage { name, recipe } in stages.iter_mut().filter(|stage| stage.recipe.augment.is_wanted()) {
        if recipe.data.read == Read::Corpus {
            return Err(explained(
                format!("stage `{name}` learns from a plain text, of which no copies are made"),
                "set `augment.copies` in a stage that learns from examples",
            ));
        }
        let arguments = arguments(recipe, folder)?;
        let settings = settings(recipe);
        let kept = folder.is_resumed() && arguments.out.exists();
        if made.insert(settings) && !kept {
            opener.console.say(format_args!("\ncopies for stage {name}"));
            augment::run(&arguments, opener.common, opener.console)?;
        }
        recipe.data.augmented = Some(arguments.out);
    }
    Ok(())
}

/// Why there must be a file to evaluate on.
const NO_HOLDOUT: &str =
    "a file to evaluate on: what is held out of the texts would have copies among those that are trained on";

/// Returns everything that copies depend on.
fn settings(recipe: &Recipe) -> String {
    let Recipe { augment, data, teacher, train, .. } = recipe;
    let paths = [&data.train, &data.eval, &teacher.path];
    format!("{augment:?} · {paths:?} · {} · {:?}", train.seed, [&data.text, &data.text_pair, &data.label])
}

/// Returns how `distill augment` would be asked for the copies of a recipe.
fn arguments(recipe: &Recipe, folder: &RunFolder) -> Result<AugmentArgs> {
    let AugmentSection { copies, replace, candidates, masked_lm, embeddings, stop_words, .. } =
        &recipe.augment;
    let data = &recipe.data;
    let named = &fingerprint(settings(recipe).as_bytes())[..8];
    Ok(AugmentArgs {
        data: required(data.train.clone(), "data", "the file to train on")?,
        out: folder.join(format!("augmented-{named}.tsv")),
        exclude: vec![required(data.eval.clone(), "eval", NO_HOLDOUT)?],
        overwrite: true,
        candidates: CandidateArgs {
            teacher: Some(required(
                recipe.teacher.path.clone(),
                "teacher",
                "the directory of the model to learn from",
            )?),
            embeddings: embeddings.clone(),
            max_vectors: CandidateArgs::MAX_VECTORS,
            masked_lm: masked_lm.clone(),
            candidates: *candidates,
            stop_words: stop_words.parse()?,
        },
        copies: CopyArgs {
            copies: *copies,
            replace: *replace,
            seed: recipe.train.seed,
            min_confidence: recipe.augment.min_confidence,
            agree: recipe.augment.agree,
            keep_labels: recipe.augment.keep_labels,
            originals: Originals::First,
        },
        columns: DataArgs {
            task: Some(data.task.clone()),
            format: data.format.clone(),
            text: data.text.clone(),
            text_pair: data.text_pair.clone(),
            label: data.label.clone(),
            labels: data.labels.clone(),
            max_length: data.max_length,
        },
    })
}
