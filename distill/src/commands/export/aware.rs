//! Distilling through the rounding: the student is trained on with the weights that a file will store.
//!
//! Jacob et al. 2018 (section 3) and Zafrir et al. 2019 (Q8BERT) fine-tune on labels; here the teacher's logits are the
//! target, as they were before.

use crate::bundle::Bundle;
use crate::cli::ExportArgs;
use crate::commands::Opener;
use crate::commands::run::RECIPE;
use crate::commands::train::{Besides, Lesson};
use crate::error::explained;
use crate::recipe::{Recipe, StudentSection};
use crate::run_folder::{Existing, RunFolder};
use anyhow::Result;
use std::path::Path;
use student::quant::Range;

/// The learning rate: the student has learnt already, and only settles on what can be stored.
const RATE: f64 = 3e-5;

/// Trains a student for `steps` updates, its weights rounded as in the most compact of the formats, in a folder of its own.
///
/// # Errors
/// When no format rounds, when teacher or data are neither given nor in the student's recipe, or when training fails or is
/// interrupted.
pub fn train(args: &ExportArgs, steps: u64, folder: &Path, opener: &Opener<'_>) -> Result<Bundle> {
    let folder = RunFolder::open(folder, Existing::Refuse, RECIPE)?;
    let besides = Besides::default();
    let (lesson, recipe, blueprint) = Lesson::prepare(recipe(args, steps)?, &folder, &besides, opener)?;
    match lesson.teach(&recipe, (&folder, RECIPE), blueprint)? {
        Some(_) => Bundle::open(folder.path()),
        None => Err(explained(
            "the training was interrupted; nothing was exported",
            "give the same command again",
        )),
    }
}

/// Returns the recipe of the stage.
fn recipe(args: &ExportArgs, steps: u64) -> Result<Recipe> {
    let rounding = args.formats.iter().copied().filter(|format| format.matrices(Range::Full).is_some()).max();
    let format = rounding.ok_or_else(|| {
        explained(
            "no format is asked for that rounds anything",
            "add `int8`, `int8-embeddings` or `int4` to `--formats`",
        )
    })?;
    let file = args.student.join(RECIPE);
    let mut recipe = Recipe::load(file.exists().then_some(file.as_path()), &[])?;
    args.columns.lay_over(&mut recipe);
    let aware = &args.aware;
    recipe.teacher.path = aware.teacher.clone().or(recipe.teacher.path.take());
    recipe.data.train = args.data.clone().or(recipe.data.train.take());
    recipe.data.eval = args.eval.clone().or(recipe.data.eval.take());
    recipe.student = StudentSection {
        shape: Some(args.student.display().to_string()),
        init: Some(args.student.clone()),
        dropout: recipe.student.dropout,
        ..StudentSection::default()
    };
    let train = &mut recipe.train;
    train.max_steps = Some(steps);
    train.learning_rate = aware.lr.or(Some(RATE));
    train.eval_every = None;
    train.rounding = Some(format.name().to_owned());
    train.reduce_range = args.keep.reduce_range;
    train.embedding_bits = args.keep.embedding_bits.bits();
    train.exclude.clone_from(&args.keep.exclude);
    let cache = aware.cache.clone().or(recipe.teacher.cache.take());
    recipe.teacher.cache = cache.or_else(|| Some(args.student.join("labels.safetensors")));
    recipe.validate()?;
    Ok(recipe)
}
