//! Stages: runs one after the other, each of which starts with the student that the one before left behind.

use super::{Besides, Lesson, Opener, RECIPE};
use crate::bundle;
use crate::error::explained;
use crate::objective::Objective;
use crate::recipe::{Recipe, Stage};
use crate::run_folder::RunFolder;
use crate::track::Destination;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The folder of the stages in the folder of the student.
const FOLDER: &str = "stages";
/// The settings that a stage was begun with.
pub(super) const SETTINGS: &str = "stage.toml";

/// Runs some stages; those that an earlier call finished are not run again. Returns the folder with the student of the last
/// of them; nothing when interrupted.
///
/// # Errors
/// As a run; or when a stage that is there was begun with other settings.
pub(super) fn run(
    stages: &[Stage],
    folder: &RunFolder,
    tracked: &[Destination],
    opener: &Opener<'_>,
) -> Result<Option<PathBuf>> {
    let mut start: Option<PathBuf> = None;
    for (number, stage) in (1..).zip(stages) {
        let mut recipe = stage.recipe.clone();
        if let Some(start) = &start {
            recipe.student.start_from(start);
        }
        recipe.teacher.cache.get_or_insert_with(|| folder.join("labels.safetensors"));
        let inner = folder.inner(&Path::new(FOLDER).join(format!("{number}-{}", stage.name)), SETTINGS)?;
        opener.console.say(format_args!("\nstage {number}: {}", stage.name));
        let settings = recipe.to_toml();
        if is_finished(&inner, &settings)? {
            opener.console.say("finished before");
        } else {
            bundle::write_text(&inner.join(SETTINGS), &settings)?;
            let besides = Besides { tracked, ..Besides::default() };
            let (lesson, recipe, blueprint) = Lesson::prepare(recipe, &inner, &besides, opener)?;
            if lesson.teach(&recipe, (&inner, RECIPE), blueprint)?.is_none() {
                return Ok(None);
            }
        }
        start = Some(inner.path().to_owned());
    }
    opener.console.say("\nlast stage");
    Ok(start)
}

/// Refuses stages that name what is not there, before the first of them begins.
///
/// # Errors
/// When a file or directory is missing, or an objective makes no sense.
pub(super) fn check(stages: &[Stage]) -> Result<()> {
    for Stage { name, recipe } in stages {
        let Recipe { teacher, data, student, augment, objective, .. } = recipe;
        let named = [
            ("teacher.path", &teacher.path),
            ("data.train", &data.train),
            ("data.eval", &data.eval),
            ("data.corpus", &data.corpus),
            ("student.init", &student.init),
            ("student.tokenizer", &student.tokenizer),
            ("augment.masked_lm", &augment.masked_lm),
            ("augment.embeddings", &augment.embeddings),
        ];
        let missing = named.into_iter().find(|(_, path)| path.as_ref().is_some_and(|path| !path.exists()));
        if let Some((key, Some(path))) = missing {
            return Err(explained(
                format!("stage `{name}` names `{}`, which is not there", path.display()),
                format!("give another `{key}`, for this stage alone with `--set {name}.{key}=…`"),
            ));
        }
        if !objective.is_undecided() {
            objective.objective().with_context(|| format!("stage `{name}`"))?;
        }
    }
    Ok(())
}

/// Says whether a stage came to its end in an earlier call that this one continues.
fn is_finished(folder: &RunFolder, settings: &str) -> Result<bool> {
    if !folder.is_resumed() {
        return Ok(false);
    }
    let begun_with = std::fs::read_to_string(folder.join(SETTINGS)).unwrap_or_default();
    if begun_with != settings {
        return Err(explained(
            format!("the stage in `{}` was begun with other settings", folder.path().display()),
            "resume with the recipe and the flags that the run was started with, or start anew with `--overwrite`",
        ));
    }
    Ok(folder.join(bundle::ONNX).exists())
}

/// Shows the stages of a recipe: what each learns from, for what, and how long.
pub(super) fn table(stages: &[Stage]) -> String {
    let goals: Vec<String> = stages.iter().map(|stage| stage.recipe.objective.describe()).collect();
    let width = goals.iter().map(|goal| goal.chars().count()).max().unwrap_or(0);
    let line = |(number, (stage, goal)): (usize, (&Stage, &String))| {
        let recipe = &stage.recipe;
        let train = &recipe.train;
        let long =
            train.max_steps.map_or(format!("{} epochs", train.epochs), |steps| format!("{steps} steps"));
        format!("  {number}  {:<14} {goal:<width$} {long}", stage.name)
    };
    let lines: Vec<String> = (1..).zip(stages.iter().zip(&goals)).map(line).collect();
    format!("stages:\n{}", lines.join("\n"))
}

/// Shows which layer of a student learns from which of its teacher.
pub(super) fn layers(objective: &Objective) -> String {
    let pairs = &objective.comparison().pairs;
    let row = |name: &str, side: usize| {
        let layers: Vec<String> = pairs.iter().map(|pair| format!("{:>3}", pair[side])).collect();
        format!("  {name:<8}{}", layers.join(""))
    };
    format!("layers that learn from each other:\n{}\n{}", row("student", 0), row("teacher", 1))
}
