//! What a student is taught with: texts, what the teacher says of them, and what it is asked while the student learns.

use super::alongside::{Alongside, check_tokens, compared, sizes_inside};
use super::{Besides, Opener};
use crate::blueprint::{Blueprint, Purpose, start_with};
use crate::bundle;
use crate::commands::controls::Control;
use crate::commands::material::{Shelf, Signal, Source, prepare, required, sources};
use crate::commands::run::{Finished, Run};
use crate::corpus::Subject;
use crate::error::explained;
use crate::examples::Examples;
use crate::masking::{Choice, Masker, Masking, Rarity};
use crate::metrics::argmax;
use crate::objective::Sizes;
use crate::recipe::{InitEmbeddings, MaskChoice, Read, Recipe, TrainSection};
use crate::report::percent;
use crate::run_folder::RunFolder;
use crate::table::folder_of;
use crate::task::check_order;
use crate::tokens::Tokenizer;
use crate::track::Destination;
use crate::trainer::course;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use student::import::onnx::words;
use teacher::Teacher;

/// The learning rate of a student that starts with copied weights.
const COPIED_RATE: f64 = 1e-4;
/// The learning rate of a student that starts as a narrow form of a wider model.
const NARROWED_RATE: f64 = 3e-4;
/// The learning rate of a student that starts at random.
const RANDOM_RATE: f64 = 5e-4;

/// What a student and its controls have in common.
pub struct Lesson<'a> {
    /// Where the teacher lies.
    pub teacher: PathBuf,
    /// What is predicted.
    pub subject: Subject,
    /// The texts to evaluate on, in the student's tokens.
    pub eval: Examples,
    /// The same in the teacher's.
    pub eval_of_teacher: Examples,
    train: Examples,
    /// The number of updates: to count them takes time where batches hold a number of tokens.
    steps: u64,
    tokenizer: Tokenizer,
    sources: BTreeMap<String, String>,
    /// The teacher, where it is asked while the student learns.
    alongside: Option<Alongside>,
    tracked: &'a [Destination],
    opener: &'a Opener<'a>,
}

impl<'a> Lesson<'a> {
    /// Reads the texts, asks the teacher about them, and builds the student; returns them with the resolved recipe.
    ///
    /// Whatever can be wrong is found before the long work begins.
    ///
    /// # Errors
    /// When models, tokenizers, texts and objective do not fit each other, or the teacher fails.
    pub fn prepare(
        mut recipe: Recipe,
        folder: &RunFolder,
        besides: &Besides<'a>,
        opener: &'a Opener<'a>,
    ) -> Result<(Self, Recipe, Blueprint)> {
        check_judged(&recipe)?;
        let what = "the directory of the model to learn from";
        let path = required(recipe.teacher.path.clone(), "teacher", what)?;
        let mut teacher = opener.teacher(&recipe, &path)?;
        let subject = Subject::of_model(&recipe.data, teacher.config(), teacher.num_classes())?;
        let subject = subject.telling(recipe.data.pairs)?;

        let tokenizer = opener.tokenizer(&teacher, &path, subject.max_length)?;
        let student_tokenizer = student_tokenizer(&recipe, &path, subject.max_length)?;
        let purpose = Purpose::of(&subject, &student_tokenizer)?;
        let blueprint = blueprint(&recipe, &purpose, &teacher)?;
        let console = opener.console;
        if let (false, None) = (blueprint.has_source(), recipe.student.init_embeddings)
            && let Some(flags) = start_with(&path, blueprint.bert.config())
        {
            console.say(format_args!(
                "the student starts at random; it would start as layers of its teacher with `{flags}`"
            ));
        }
        let student_tokenizer = student_tokenizer.cut_at(blueprint.bert.config().max_position_embeddings)?;
        let tokenizers = [&tokenizer, &student_tokenizer];

        let labels = recipe.teacher.cache.clone().unwrap_or_else(|| folder.join("labels.safetensors"));
        let shelf = Shelf {
            subject: &subject,
            folder: folder_of(&labels),
            threads: opener.threads(),
            seed: recipe.train.seed,
            console,
        };
        let tables = shelf.tables(&recipe.data, &student_tokenizer)?;
        let [mut train, mut eval] = prepare(&mut recipe, &subject, &tables, Signal::Teacher, console)?;
        let (blueprint, kept) = blueprint.narrowed(&train)?;
        if let Some(kept) = kept {
            console.say(format_args!(
                "the model to start with is made narrower: {} of its hidden states lie in the {} directions that are kept",
                percent(kept),
                blueprint.bert.config().hidden_size
            ));
        }
        let objective = recipe.objective.objective()?;
        Control::check(besides.controls, &objective, train.num_labelled())?;
        check_tokens(&objective, tokenizers)?;
        let sizes = objective.looks_inside().then(|| sizes_inside(&teacher, &objective)).transpose()?;
        let (objective, vocabulary) =
            (compared(&recipe, &blueprint, sizes)?, blueprint.bert.config().vocab_size);
        if objective.looks_inside() {
            console.say(super::stages::layers(&objective));
        }
        let mut eval_of_teacher = eval.clone();
        if recipe.data.read == Read::Examples && objective.asked().logits {
            let mut source = Source { teacher: &mut teacher, tokenizers, labels: &labels };
            // Logits of the texts to train on are needed only where they are compared; those of the others also judge.
            match &tables[..] {
                [_, of_eval] if !objective.needs_logits() => {
                    source.teach(&mut [&mut eval], &shelf, &recipe.data, std::slice::from_ref(of_eval))?;
                }
                all => source.teach(&mut [&mut train, &mut eval], &shelf, &recipe.data, all)?,
            }
            check_teacher(if train.is_taught() { &train } else { &eval }, &subject)?;
            eval_of_teacher = match shelf.tables_read_by(tokenizers, &recipe.data, &tables)?.last() {
                Some(table) => eval.read_from(table)?,
                None => eval.clone(),
            };
        }
        let steps = course(&train, &recipe.train).total_steps();
        let rate = match (kept, blueprint.num_copied) {
            (Some(_), _) => NARROWED_RATE,
            (None, 1..) => COPIED_RATE,
            (None, 0) => RANDOM_RATE,
        };
        recipe.resolve(steps, rate);
        recipe.data.max_length = Some(subject.max_length);
        let sources = sources(Some(&teacher), &train, &eval)?;
        // A teacher that has said all that it will be asked is closed: its memory is the student's now.
        let ask =
            || Alongside::new(teacher, sizes, &objective, [&train, &eval], (&recipe, &shelf, vocabulary));
        let alongside = objective.compares_tokens().then(ask).transpose()?;
        let lesson = Lesson {
            teacher: path,
            subject,
            eval,
            eval_of_teacher,
            train,
            steps,
            tokenizer: student_tokenizer,
            sources,
            alongside,
            tracked: besides.tracked,
            opener,
        };
        Ok((lesson, recipe, blueprint))
    }

    /// Trains a student by a resolved recipe, into a folder; `settings` is the file there that the recipe is written to.
    /// Returns nothing when interrupted.
    ///
    /// # Errors
    /// As [`Run::execute`].
    pub fn teach(
        &self,
        recipe: &Recipe,
        (folder, settings): (&RunFolder, &str),
        mut blueprint: Blueprint,
    ) -> Result<Option<Finished>> {
        let alongside = match recipe.objective.objective()?.compares_tokens() {
            true => self.alongside.as_ref(),
            false => None,
        };
        let sizes = alongside.and_then(|alongside| alongside.sizes);
        let objective = compared(recipe, &blueprint, sizes)?;
        if let Some(Sizes { hidden, .. }) = sizes.filter(|_| objective.shows_hidden_states())
            && hidden != blueprint.bert.config().hidden_size
        {
            blueprint = blueprint.projecting(hidden)?;
        }
        if objective.predicts_words() {
            blueprint = blueprint.predicting_words()?;
        }
        let train = match (objective.needs_teacher(), recipe.teacher.shuffled) {
            (false, _) => self.train.untaught(),
            (true, true) => self.train.shuffled(recipe.train.seed),
            (true, false) => self.train.clone(),
        };
        let masker = objective.predicts_words().then(|| self.masker(recipe, &train)).transpose()?;
        let console = self.opener.console;
        let run = Run {
            folder,
            recipe,
            settings,
            objective: &objective,
            subject: &self.subject,
            train: &train,
            eval: &self.eval,
            insight: alongside.map(|alongside| &alongside.insight),
            masker: masker.as_ref(),
            tokenizer: self.tokenizer.source(),
            sources: self.sources.clone(),
            tracked: self.tracked,
            console,
        };
        let notify = |line: &str| console.say(line);
        let settings = TrainSection { max_steps: Some(self.steps), ..recipe.train.clone() };
        run.execute(blueprint, course(&train, &settings), &self.opener.options(&notify))
    }
}

impl Lesson<'_> {
    /// Returns what hides words as the recipe says.
    fn masker(&self, recipe: &Recipe, train: &Examples) -> Result<Masker> {
        let inventory = self.tokenizer.inventory();
        let choice = match recipe.data.mask_choice {
            MaskChoice::Pieces => Choice::Pieces,
            MaskChoice::Words => Choice::Words,
            MaskChoice::Rare => Choice::Rare(Rarity::among(train, inventory.size)),
        };
        Masker::new(Masking { share: recipe.data.mask, choice, ..Masking::default() }, inventory)
    }
}

/// Builds the student of a recipe, with what it takes over from its teacher.
fn blueprint(recipe: &Recipe, purpose: &Purpose, teacher: &Teacher) -> Result<Blueprint> {
    let blueprint = Blueprint::build(&recipe.student, purpose, &recipe.train)?;
    match recipe.student.init_embeddings {
        None => Ok(blueprint),
        Some(InitEmbeddings::Svd) if blueprint.has_source() => Err(explained(
            "the student is to start with the embeddings of two models",
            "leave out `--init-embeddings`: `--init` brings the embeddings that belong to its layers",
        )),
        Some(InitEmbeddings::Svd) => {
            let table = words(teacher.path(), &teacher.signature().input_ids.name)?;
            blueprint.with_words(&table)
        }
    }
}

/// Refuses to compare logits where nobody judges texts.
fn check_judged(recipe: &Recipe) -> Result<()> {
    let judges = recipe.data.read == Read::Examples && !recipe.objective.compares_words();
    if judges || !recipe.objective.may_need_logits() {
        return Ok(());
    }
    Err(explained(
        "the objective compares logits, but neither sequences of a plain text are judged by a teacher, nor does a masked \
         language model judge texts",
        "compare what goes on inside, e.g. `--set objective.hidden_mse=1`, or learn from examples",
    ))
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
