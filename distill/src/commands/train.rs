//! `distill train`: the main job, from a teacher and a text to a verified student and a comparison.

use super::Opener;
use super::controls::{self, Added, Control};
use super::material::{Shelf, Signal, Source, prepare, required, sources};
use super::run::{Finished, RECIPE, Run};
use crate::blueprint::{Blueprint, Purpose};
use crate::bundle;
use crate::cli::{Common, TrainArgs};
use crate::comparison::{Answers, Contender, Ground, Passage, Settings, compare};
use crate::console::Console;
use crate::corpus::Subject;
use crate::cost;
use crate::examples::Examples;
use crate::metrics::argmax;
use crate::recipe::Recipe;
use crate::report::{DataFacts, Report, Role};
use crate::run_folder::RunFolder;
use crate::table::folder_of;
use crate::task::check_order;
use crate::tokens::Tokenizer;
use crate::track::Destination;
use crate::trainer::course;
use anyhow::Result;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

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
    mut recipe: Recipe,
    folder: &RunFolder,
    besides: &Besides<'_>,
    common: &Common,
    console: &Console,
) -> Result<()> {
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
    Control::check(besides.controls, train.num_labelled())?;
    let tokenizers = [&tokenizer, &student_tokenizer];
    let mut source = Source { teacher: &mut teacher, tokenizers, labels: &labels };
    source.teach([&mut train, &mut eval], &shelf, &recipe.data, &tables)?;
    check_teacher(&train, &subject)?;
    let eval_of_teacher = match shelf.tables_read_by(tokenizers, &recipe.data, &tables)?.last() {
        Some(table) => eval.read_from(table)?,
        None => eval.clone(),
    };

    let length = |example| train.length(example);
    let total = course(train.len(), &length, &recipe.train).total_steps();
    recipe.resolve(total, if blueprint.num_copied > 0 { COPIED_RATE } else { RANDOM_RATE });
    recipe.data.max_length = Some(subject.max_length);
    let sources = sources(Some(&teacher), &train, &eval)?;
    // It has said all that it will be asked: its memory is the student's now.
    drop(teacher);
    let tracked = besides.tracked;
    let lesson = Lesson {
        subject: &subject,
        train,
        eval,
        tokenizer: &student_tokenizer,
        sources,
        tracked,
        opener: &opener,
    };
    let Some(student) = lesson.teach(&recipe, folder, blueprint)? else { return Ok(()) };
    let mut controls = Vec::new();
    for &control in besides.controls {
        console.say(format_args!("\ncontrol: {}", control.describe()));
        let recipe = control.recipe(&recipe, subject.is_regression());
        let folder = folder.inner(&Path::new(controls::FOLDER).join(control.name()), RECIPE)?;
        let blueprint = Blueprint::build(&recipe.student, &purpose, recipe.train.seed)?;
        let Some(finished) = lesson.teach(&recipe, &folder, blueprint)? else { return Ok(()) };
        controls.push((folder, finished));
    }
    let students: Vec<_> = std::iter::once((folder, &student))
        .chain(controls.iter().map(|(folder, finished)| (folder, finished)))
        .collect();
    report(&students, &path, [&eval_of_teacher, &lesson.eval], &subject, &opener)
}

/// What a student and its controls have in common.
struct Lesson<'a> {
    subject: &'a Subject,
    train: Examples,
    eval: Examples,
    tokenizer: &'a Tokenizer,
    sources: BTreeMap<String, String>,
    tracked: &'a [Destination],
    opener: &'a Opener<'a>,
}

impl Lesson<'_> {
    /// Trains a student by a resolved recipe, into a folder. Returns nothing when interrupted.
    fn teach(&self, recipe: &Recipe, folder: &RunFolder, blueprint: Blueprint) -> Result<Option<Finished>> {
        let train = match (recipe.objective.objective()?.needs_teacher(), recipe.teacher.shuffled) {
            (false, _) => self.train.untaught(),
            (true, true) => self.train.shuffled(recipe.train.seed),
            (true, false) => self.train.clone(),
        };
        let length = |example| train.length(example);
        let console = self.opener.console;
        let run = Run {
            folder,
            recipe,
            subject: self.subject,
            train: &train,
            eval: &self.eval,
            tokenizer: self.tokenizer.source(),
            sources: self.sources.clone(),
            tracked: self.tracked,
            console,
        };
        let notify = |line: &str| console.say(line);
        run.execute(blueprint, course(train.len(), &length, &recipe.train), &self.opener.options(&notify))
    }
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

/// Sets the students that were written, the distilled one first and then its controls, beside their teacher. `eval`: the
/// same texts with the tokens of the teacher and of the students.
///
/// What the teacher's file says of them is in the store, so it is opened only to be timed.
fn report(
    students: &[(&RunFolder, &Finished)],
    teacher: &Path,
    eval: [&Examples; 2],
    subject: &Subject,
    opener: &Opener<'_>,
) -> Result<()> {
    let console = opener.console;
    let contender = |path, role, eval: &'_ Examples| {
        let eval = eval.clone();
        let tokens = Box::new(move |rows| Ok(eval.encodings(rows)));
        Contender::new(&opener.open(path)?, path, role, subject, tokens)
    };
    let mut asked = contender(teacher, Role::Teacher, eval[0])?;
    if let Some(logits) = eval[0].soft(0..eval[0].len()) {
        asked = asked.having_said(Answers::of(logits.view())?);
    }
    let mut contenders = vec![asked];
    for (place, (folder, _)) in students.iter().enumerate() {
        let role = if place == 0 { Role::Student } else { Role::Control };
        contenders.push(contender(folder.path(), role, eval[1])?);
    }
    let gold = eval[0].golds();
    let table = eval[0].table();
    let data = DataFacts {
        path: table.path().display().to_string(),
        examples: gold.len(),
        labelled: eval[0].num_labelled(),
        sha256: table.fingerprint().to_owned(),
        ..DataFacts::of(subject)
    };
    let ground = Ground {
        subject,
        gold: &gold,
        data: &data,
        passages: &|examples| passages(eval[0], subject, examples),
        open: &|path, cost| opener.contender(path, cost),
    };
    let settings = Settings { threads: opener.threads(), cost: Some(AT_A_GLANCE), ..Settings::default() };
    let mut report = compare(contenders, &ground, &settings, console)?;
    let [(folder, student), controls @ ..] = students else { return Ok(()) };
    let mut training = student.summary();
    let added = added(&report, &student.score_name);
    if let Some(added) = &added {
        let of = |(folder, finished): &(&RunFolder, &Finished)| {
            let mut summary = finished.summary();
            summary["folder"] = json!(folder.path());
            summary
        };
        training["controls"] = controls.iter().map(of).collect();
        training["added"] = json!(added);
    }
    report.training = Some(training);
    report.write(folder.path())?;
    console.hand_out(if console.json { report.to_json() } else { report.to_table() });
    if let Some(added) = added {
        console.say(added.sentence());
    }
    console.say(format_args!("the student is in {}", folder.path().display()));
    Ok(())
}

/// How models are measured after training: in about a second, without processes of their own. `compare` takes its time.
const AT_A_GLANCE: cost::Settings = cost::Settings {
    batch: 1,
    length: 128,
    threads: 1,
    budget: Duration::from_millis(200),
    core_hour_price: None,
    program: None,
};

/// Returns the texts of some examples, read from the data once more; nothing where it cannot be read again.
fn passages(eval: &Examples, subject: &Subject, examples: &[usize]) -> Vec<Option<Passage>> {
    let path = eval.table().path();
    let mut wanted: BTreeMap<usize, Option<Passage>> =
        examples.iter().map(|example| (eval.row(*example), None)).collect();
    let mut at = 0;
    if path.is_file() {
        // A file that has changed since gives no texts, or others; the figures are not those of the file.
        let _ = subject.scan(path, &mut |row| {
            if let Some(passage) = wanted.get_mut(&at) {
                *passage = Some(Passage { text: row.text, text_pair: row.text_pair, line: Some(row.line) });
            }
            at += 1;
            Ok(())
        });
    }
    examples.iter().map(|example| wanted.get(&eval.row(*example)).cloned().flatten()).collect()
}

/// Says what distillation added, where there are controls.
fn added(report: &Report, figure: &str) -> Option<Added> {
    let [_, student, undistilled, shuffled] = &report.models[..] else { return None };
    let of = |model| report.figure(model, figure).and_then(|estimate| estimate.value);
    Some(Added::new(figure, of(student)?, [of(undistilled)?, of(shuffled)?]))
}
