//! `distill finetune`: a teacher out of an encoder and labels.

use super::Opener;
use super::material::{Shelf, Signal, prepare, required, sources};
use super::run::{RECIPE, Run};
use crate::blueprint::{Blueprint, Purpose, read_config};
use crate::bundle;
use crate::cli::{Common, FinetuneArgs};
use crate::console::Console;
use crate::corpus::Subject;
use crate::recipe::Recipe;
use crate::run_folder::RunFolder;
use crate::track::Destination;
use crate::trainer::course;
use anyhow::Result;

/// The learning rate of fine-tuning (Devlin et al. 2019, appendix A.3).
const RATE: f64 = 5e-5;

/// Trains an encoder on labels alone.
///
/// # Errors
/// When anything on the way fails; what was done so far is kept, and `--resume` goes on.
pub fn run(args: &FinetuneArgs, common: &Common, console: &Console) -> Result<()> {
    let recipe = args.recipe(common)?;
    let folder = RunFolder::open(&args.out, args.training.existing(), RECIPE)?;
    finetune(recipe, &folder, &args.training.track, common, console)
}

/// Trains an encoder by a recipe, into a folder. `tracked`: where the run can be followed besides.
///
/// # Errors
/// As [`run`].
pub fn finetune(
    mut recipe: Recipe,
    folder: &RunFolder,
    tracked: &[Destination],
    common: &Common,
    console: &Console,
) -> Result<()> {
    let base = required(recipe.student.init.clone(), "base", "the directory of the encoder to start with")?;
    let config = read_config(&base.join("config.json"))?;
    let subject = Subject::of_data(&recipe.data, Some(config.max_position_embeddings))?;
    let tokenizer = bundle::tokenizer(&base, subject.max_length)?;
    tokenizer.check_vocabulary(config.vocab_size, &base.display().to_string())?;

    let threads = common.threads.unwrap_or(0);
    let shelf =
        Shelf { subject: &subject, folder: folder.join("tokens"), threads, seed: recipe.train.seed, console };
    let tables = shelf.tables(&recipe.data, &tokenizer)?;
    let subject = subject.clone().with_labels(recipe.data.labels.as_deref(), tables[0].labels())?;
    let [train, eval] = prepare(&mut recipe, &subject, &tables, Signal::Labels, console)?;
    let purpose = Purpose::of(&subject, &tokenizer)?;
    let mut blueprint = Blueprint::build(&recipe.student, &purpose, &recipe.train)?;
    // What is made here teaches others, who may want to look inside.
    blueprint.bert = blueprint.bert.written_whole();
    let course = course(&train, &recipe.train);
    recipe.resolve(course.total_steps(), RATE);
    recipe.data.max_length = Some(subject.max_length);
    let sources = sources(None, &train, &eval)?;
    let objective = recipe.objective.objective()?;
    let run = Run {
        folder,
        recipe: &recipe,
        settings: RECIPE,
        objective: &objective,
        insight: None,
        masker: None,
        subject: &subject,
        train: &train,
        eval: &eval,
        tokenizer: tokenizer.source(),
        sources,
        tracked,
        console,
    };
    let (opener, notify) = (Opener { common, console }, |line: &str| console.say(line));
    match run.execute(blueprint, course, &opener.options(&notify))? {
        Some(finished) => finished.conclude(folder, console),
        None => Ok(()),
    }
}
