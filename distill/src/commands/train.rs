//! `distill train`: the main job, from a teacher and a text to a verified student and a comparison.

use super::Opener;
use super::compare::{Contender, compare};
use super::material::{Shelf, Signal, prepare, required};
use super::run::{Finished, RECIPE, Run};
use crate::blueprint::{Blueprint, Purpose};
use crate::bundle;
use crate::cli::{Common, TrainArgs};
use crate::console::Console;
use crate::corpus::Subject;
use crate::examples::Examples;
use crate::metrics::argmax;
use crate::recipe::Recipe;
use crate::report::DataFacts;
use crate::run_folder::RunFolder;
use crate::soft_labels::{Kept, ask_teacher};
use crate::table::folder_of;
use crate::task::{Gold, check_order};
use crate::tokens::Tokenizer;
use crate::trainer::course;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The learning rate of a student that starts with copied weights.
const COPIED_RATE: f64 = 1e-4;
/// The learning rate of a student that starts at random.
const RANDOM_RATE: f64 = 5e-4;

/// Distils a student.
///
/// # Errors
/// When anything on the way fails; what was done so far is kept, and `--resume` goes on.
pub fn run(args: &TrainArgs, common: &Common, console: &Console) -> Result<()> {
    let folder = RunFolder::open(&args.out, args.training.existing(), RECIPE)?;
    let recipe = args.recipe(common)?;
    distil(recipe, &folder, common, console)
}

/// Distils a student by a recipe, into a folder.
///
/// # Errors
/// As [`run`].
pub fn distil(mut recipe: Recipe, folder: &RunFolder, common: &Common, console: &Console) -> Result<()> {
    let opener = Opener { common, console };
    let path = required(recipe.teacher.path.clone(), "teacher", "the directory of the model to learn from")?;
    let mut teacher = opener.teacher(&recipe.teacher, &path)?;
    let subject = Subject::of_model(&recipe.data, teacher.config(), teacher.num_classes())?;

    // Whatever can be wrong is found before the long work begins.
    let tokenizer = opener.tokenizer(&teacher, &path, subject.max_length)?;
    let student_tokenizer = student_tokenizer(&recipe, &path, subject.max_length)?;
    let purpose = Purpose::of(&subject, &student_tokenizer)?;
    let blueprint = Blueprint::build(&recipe.student, &purpose, recipe.train.seed)?;
    let student_tokenizer = student_tokenizer.cut_at(blueprint.bert.config().max_position_embeddings)?;

    let labels = recipe.teacher.cache.clone().unwrap_or_else(|| folder.join("labels.safetensors"));
    let threads = common.threads.unwrap_or(0);
    let shelf = Shelf { subject: &subject, folder: folder_of(&labels), threads, console };
    let tables = shelf.tables(&recipe.data, &student_tokenizer)?;
    let [mut train, mut eval] = prepare(&mut recipe, &subject, &tables, Signal::Teacher, console)?;
    let data = recipe.data.clone();
    let as_the_teacher_reads = || match tokenizer.encodes_like(&student_tokenizer) {
        true => Ok(tables.clone()),
        false => shelf.tables(&data, &tokenizer),
    };
    let kept = Kept::new(&labels, None, &teacher, &tokenizer, &subject)?;
    let store = ask_teacher(&mut teacher, &kept, &tables, &as_the_teacher_reads, console)?;
    Examples::taught_by([&mut train, &mut eval], &Arc::new(store))?;
    check_teacher(&train, &subject)?;
    let eval_of_teacher = match as_the_teacher_reads()?.last() {
        Some(table) => eval.read_from(table)?,
        None => eval.clone(),
    };

    let length = |example| train.length(example);
    let course = course(train.len(), &length, &recipe.train);
    recipe.resolve(course.total_steps(), if blueprint.num_copied > 0 { COPIED_RATE } else { RANDOM_RATE });
    recipe.data.max_length = Some(subject.max_length);
    let sources = BTreeMap::from([
        ("teacher".to_owned(), teacher.fingerprint()?.to_owned()),
        ("train".to_owned(), train.table().fingerprint().to_owned()),
        ("eval".to_owned(), eval.table().fingerprint().to_owned()),
    ]);
    // It has said all that it will be asked: its memory is the student's now.
    drop(teacher);
    let run = Run {
        folder,
        recipe: &recipe,
        subject: &subject,
        train: &train,
        eval: &eval,
        tokenizer: student_tokenizer.source(),
        sources,
        console,
    };
    let notify = |line: &str| console.say(line);
    let Some(finished) = run.execute(blueprint, course, &opener.options(&notify))? else { return Ok(()) };
    report(&finished, &path, folder, [&eval_of_teacher, &eval], &subject, &opener)
}

/// The labelled rows on which the order of the teacher's classes is checked, at most: far more than it takes.
const CHECKED: usize = 100_000;

/// Refuses a teacher whose classes stand in another order than the labels.
fn check_teacher(train: &Examples, subject: &Subject) -> Result<()> {
    let Some(labels) = &subject.labels else { return Ok(()) };
    let chosen: Vec<usize> = train.spread(CHECKED).collect();
    let Some(logits) = train.soft(chosen.iter().copied()) else { return Ok(()) };
    let gold = chosen.iter().map(|&example| train.gold(example));
    check_order(argmax(logits.view()).into_iter().zip(gold), labels)
}

/// Opens the student's tokenizer: its own where one is given or comes with its shape or weights, else the teacher's.
fn student_tokenizer(recipe: &Recipe, teacher: &Path, max_length: usize) -> Result<Tokenizer> {
    let section = &recipe.student;
    let own = |folder: &Path| folder.join("tokenizer.json").exists().then(|| folder.to_owned());
    let folder = section
        .tokenizer
        .clone()
        .or_else(|| own(Path::new(section.shape.as_deref()?)))
        .or_else(|| own(section.init.as_deref()?))
        .unwrap_or_else(|| teacher.to_owned());
    bundle::tokenizer(&folder, max_length)
}

/// Sets the student that was written beside its teacher. `eval`: the same texts with the tokens of the one and of the
/// other.
///
/// What the teacher's file says of them is in the store, so it is opened only to be timed.
fn report(
    finished: &Finished,
    teacher: &Path,
    folder: &RunFolder,
    eval: [&Examples; 2],
    subject: &Subject,
    opener: &Opener<'_>,
) -> Result<()> {
    let console = opener.console;
    let mut contenders = Vec::with_capacity(eval.len());
    for (path, eval) in [teacher, folder.path()].into_iter().zip(eval) {
        contenders.push(Contender::open(opener, path, subject)?.with_texts(eval.encodings(0..eval.len())));
    }
    if let Some(logits) = eval[0].soft(0..eval[0].len()) {
        contenders[0].has_said(logits);
    }
    let gold = eval[0].golds();
    let labelled = gold.iter().filter(|gold| **gold != Gold::Missing).count();
    let table = eval[0].table();
    let data = DataFacts {
        path: table.path().display().to_string(),
        examples: gold.len(),
        labelled,
        sha256: table.fingerprint().to_owned(),
    };
    let mut report = compare(&mut contenders, &gold, data, subject, console)?;
    report.training = Some(finished.summary());
    bundle::write_text(&folder.join("report.json"), &report.to_json())?;
    console.hand_out(if console.json { report.to_json() } else { report.to_table() });
    console.say(format_args!("the student is in {}", folder.path().display()));
    Ok(())
}
