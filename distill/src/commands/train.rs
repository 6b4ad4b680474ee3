//! `distill train`: the main job, from a teacher and a text to a verified student and a comparison.

use super::Opener;
use super::compare::{Contender, compare};
use super::material::{prepare, required};
use super::run::{Finished, RECIPE, Run};
use crate::blueprint::{Blueprint, Purpose};
use crate::bundle;
use crate::cli::{Common, TrainArgs};
use crate::console::Console;
use crate::corpus::{Corpus, Subject};
use crate::labels::LabelStore;
use crate::metrics::argmax;
use crate::recipe::Recipe;
use crate::run_folder::RunFolder;
use crate::soft_labels::ask_teacher;
use crate::task::check_order;
use crate::tokens::Tokenizer;
use crate::trainer::Examples;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;

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
    let (train, eval) = prepare(&mut recipe, &subject, Some(&teacher), console)?;

    // Whatever can be wrong is found before the long work begins.
    let tokenizer = opener.tokenizer(&teacher, &path, subject.max_length)?;
    let student_tokenizer = student_tokenizer(&recipe, &path, subject.max_length)?;
    let purpose = Purpose::of(&subject, &student_tokenizer)?;
    let blueprint = Blueprint::build(&recipe.student, &purpose, recipe.train.seed)?;
    let student_tokenizer = student_tokenizer.cut_at(blueprint.bert.config().max_position_embeddings)?;

    let cache = recipe.teacher.cache.clone().unwrap_or_else(|| folder.join("labels.safetensors"));
    let store = ask_teacher(&mut teacher, &tokenizer, &subject, &[&train, &eval], &cache, None, console)?;
    check_teacher(&store, &train, &subject)?;

    let threads = common.threads.unwrap_or(0);
    let train_examples = examples(&train, &student_tokenizer, &store, threads)?;
    let eval_examples = examples(&eval, &student_tokenizer, &store, threads)?;
    recipe.resolve(&train_examples, if blueprint.num_copied > 0 { COPIED_RATE } else { RANDOM_RATE });
    recipe.data.max_length = Some(subject.max_length);

    let sources = BTreeMap::from([
        ("teacher".to_owned(), teacher.fingerprint()?.to_owned()),
        ("train".to_owned(), train.dataset.fingerprint.clone()),
        ("eval".to_owned(), eval.dataset.fingerprint.clone()),
    ]);
    let run = Run {
        folder,
        recipe: &recipe,
        subject: &subject,
        train: &train_examples,
        eval: &eval_examples,
        tokenizer: student_tokenizer.source(),
        sources,
        console,
    };
    let notify = |line: &str| console.say(line);
    let Some(finished) = run.execute(blueprint, &opener.options(&notify))? else { return Ok(()) };
    drop(teacher);
    report(&finished, &path, folder, &eval, &subject, &opener)
}

/// Refuses a teacher whose classes stand in another order than the labels.
fn check_teacher(store: &LabelStore, train: &Corpus, subject: &Subject) -> Result<()> {
    let Some(labels) = &subject.labels else { return Ok(()) };
    let logits = store.logits_for(&train.keys)?;
    check_order(&argmax(logits.view()), &train.gold, labels)
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

fn examples(corpus: &Corpus, tokenizer: &Tokenizer, store: &LabelStore, threads: usize) -> Result<Examples> {
    Ok(Examples {
        encodings: corpus.encode(tokenizer, threads)?,
        gold: corpus.gold.clone(),
        soft: Some(store.logits_for(&corpus.keys)?),
    })
}

/// Sets the student that was written beside its teacher.
fn report(
    finished: &Finished,
    teacher: &Path,
    folder: &RunFolder,
    eval: &Corpus,
    subject: &Subject,
    opener: &Opener<'_>,
) -> Result<()> {
    let console = opener.console;
    let mut contenders =
        [Contender::open(opener, teacher, subject)?, Contender::open(opener, folder.path(), subject)?];
    let mut report = compare(&mut contenders, eval, subject, console)?;
    report.training = Some(finished.summary());
    bundle::write_text(&folder.join("report.json"), &report.to_json())?;
    console.hand_out(if console.json { report.to_json() } else { report.to_table() });
    console.say(format_args!("the student is in {}", folder.path().display()));
    Ok(())
}
