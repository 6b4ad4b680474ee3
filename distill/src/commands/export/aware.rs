//! Distilling through the rounding: the student is trained on with the weights that a file will store.
//!
//! Jacob et al. 2018 (section 3) and Zafrir et al. 2019 (Q8BERT) fine-tune on labels; here the teacher's logits are the
//! target, as they were before.

use crate::blueprint::{Blueprint, Purpose};
use crate::bundle::{self, Bundle};
use crate::cli::ExportArgs;
use crate::commands::Opener;
use crate::commands::material::{Shelf, Signal, Source, prepare, required, sources};
use crate::commands::run::{RECIPE, Run};
use crate::corpus::Subject;
use crate::error::explained;
use crate::recipe::{Recipe, StudentSection};
use crate::run_folder::{Existing, RunFolder};
use crate::table::folder_of;
use crate::trainer::course;
use anyhow::Result;
use std::path::{Path, PathBuf};
use student::quant::Range;

/// The learning rate: the student has learnt already, and only settles on what can be stored.
const RATE: f64 = 3e-5;

/// Trains a student for `steps` updates, its weights rounded as in the most compact of the formats, in a folder of its own.
///
/// # Errors
/// When no format rounds, when teacher or data are neither given nor in the student's recipe, or when training fails or is
/// interrupted.
pub fn train(
    args: &ExportArgs,
    given: &Bundle,
    steps: u64,
    folder: &Path,
    opener: &Opener<'_>,
) -> Result<Bundle> {
    let (mut recipe, labels) = recipe(args, steps)?;
    let folder = RunFolder::open(folder, Existing::Refuse, RECIPE)?;
    let console = opener.console;
    let path = required(recipe.teacher.path.clone(), "teacher", "the directory of the model to learn from")?;
    let mut teacher = opener.teacher(&recipe.teacher, &path)?;
    let subject = Subject::of_model(&recipe.data, teacher.config(), teacher.num_classes())?;
    let tokenizer = opener.tokenizer(&teacher, &path, subject.max_length)?;
    let own = bundle::tokenizer(&args.student, subject.max_length)?;
    let own = own.cut_at(given.bert.config().max_position_embeddings)?;
    let shelf = Shelf { subject: &subject, folder: folder_of(&labels), threads: opener.threads(), console };
    let tables = shelf.tables(&recipe.data, &own)?;
    let [mut train, mut eval] = prepare(&mut recipe, &subject, &tables, Signal::Teacher, console)?;
    let mut source = Source { teacher: &mut teacher, tokenizers: [&tokenizer, &own], labels: &labels };
    source.teach([&mut train, &mut eval], &shelf, &recipe.data, &tables)?;
    let purpose = Purpose::of(&subject, &own)?;
    let blueprint = Blueprint::build(&recipe.student, &purpose, recipe.train.seed)?;
    let length = |example| train.length(example);
    let course = course(train.len(), &length, &recipe.train);
    recipe.resolve(course.total_steps(), RATE);
    let sources = sources(Some(&teacher), &train, &eval)?;
    drop(teacher);
    let run = Run {
        folder: &folder,
        recipe: &recipe,
        subject: &subject,
        train: &train,
        eval: &eval,
        tokenizer: own.source(),
        sources,
        tracked: &[],
        console,
    };
    let notify = |line: &str| console.say(line);
    match run.execute(blueprint, course, &opener.options(&notify))? {
        Some(_) => Bundle::open(folder.path()),
        None => Err(explained(
            "the training was interrupted; nothing was exported",
            "give the same command again",
        )),
    }
}

/// Returns the recipe of the stage, and where the teacher's logits are.
fn recipe(args: &ExportArgs, steps: u64) -> Result<(Recipe, PathBuf)> {
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
    train.learning_rate = aware.lr;
    train.eval_every = None;
    train.rounding = Some(format.name().to_owned());
    train.reduce_range = args.reduce_range;
    train.exclude.clone_from(&args.exclude);
    recipe.validate()?;
    let labels = aware.cache.clone().or(recipe.teacher.cache.clone());
    Ok((recipe, labels.unwrap_or_else(|| args.student.join("labels.safetensors"))))
}
