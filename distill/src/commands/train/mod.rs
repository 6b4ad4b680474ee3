//! `distill train`: the main job, from a teacher and a text to a verified student and a comparison.

mod alongside;
mod copies;
mod lesson;
mod report;
mod stages;

use super::Opener;
use super::controls::{self, Control};
use super::run::RECIPE;
use crate::bundle;
use crate::cli::{Common, TrainArgs};
use crate::console::Console;
use crate::recipe::{Read, Recipe};
use crate::run_folder::RunFolder;
use crate::track::Destination;
use anyhow::Result;
pub(super) use lesson::Lesson;
use std::path::Path;

/// Distils a student.
///
/// # Errors
/// When anything on the way fails; what was done so far is kept, and `--resume` goes on.
pub fn run(args: &TrainArgs, common: &Common, console: &Console) -> Result<()> {
    let recipe = args.recipe(common)?;
    let folder = RunFolder::open(&args.out, args.training.existing(), RECIPE)?;
    let controls: &[Control] = if args.controls { &Control::ALL } else { &[] };
    distil(recipe, &folder, &Besides { tracked: &args.training.track, controls }, common, console)
}

/// What is wanted besides the student.
#[derive(Default)]
pub struct Besides<'a> {
    /// Where its run can be followed, besides its folder.
    pub tracked: &'a [Destination],
    /// The controls that are trained after it.
    pub controls: &'a [Control],
}

/// Distils a student by a recipe, into a folder.
///
/// # Errors
/// As [`run`].
pub fn distil(
    recipe: Recipe,
    folder: &RunFolder,
    besides: &Besides<'_>,
    common: &Common,
    console: &Console,
) -> Result<()> {
    let opener = Opener { common, console };
    if let Some(about) = &recipe.about {
        console.say(format_args!("{}\n", about.trim()));
    }
    let mut stages = recipe.stages()?;
    if stages.len() > 1 {
        console.say(stages::table(&stages));
        stages::check(&stages)?;
        bundle::write_text(&folder.join(RECIPE), &recipe.to_toml())?;
    }
    copies::make(&mut stages, folder, &opener)?;
    let Some((last, before)) = stages.split_last() else { return Ok(()) };
    let mut last = last.recipe.clone();
    let mut settings = RECIPE;
    if !before.is_empty() {
        let Some(start) = stages::run(before, folder, besides.tracked, &opener)? else { return Ok(()) };
        last.student.start_from(&start);
        settings = stages::SETTINGS;
    }
    let (lesson, recipe, blueprint) = Lesson::prepare(last, folder, besides, &opener)?;
    let beginners: Vec<_> = besides.controls.iter().map(|_| blueprint.again()).collect();
    let Some(student) = lesson.teach(&recipe, (folder, settings), blueprint)? else { return Ok(()) };
    if recipe.data.read == Read::Corpus {
        // A teacher does not say of a piece of plain text what the student has learnt to say of it, if that is anything.
        return student.conclude(folder, console);
    }
    let mut controls = Vec::new();
    for (&control, beginner) in besides.controls.iter().zip(beginners) {
        console.say(format_args!("\ncontrol: {}", control.describe()));
        let recipe = control.recipe(&recipe, lesson.subject.is_regression());
        let folder = folder.inner(&Path::new(controls::FOLDER).join(control.name()), RECIPE)?;
        let Some(finished) = lesson.teach(&recipe, (&folder, RECIPE), beginner)? else { return Ok(()) };
        controls.push((folder, finished));
    }
    let students: Vec<_> = std::iter::once((folder, &student))
        .chain(controls.iter().map(|(folder, finished)| (folder, finished)))
        .collect();
    report::report(
        &students,
        &lesson.teacher,
        [&lesson.eval_of_teacher, &lesson.eval],
        &lesson.subject,
        &opener,
    )
}
