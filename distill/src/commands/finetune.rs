//! `distill finetune`: a teacher out of an encoder and labels.

use super::Opener;
use super::material::{prepare, required};
use super::run::{RECIPE, Run};
use crate::blueprint::{Blueprint, Purpose, read_config};
use crate::bundle;
use crate::cli::{Common, FinetuneArgs};
use crate::console::Console;
use crate::corpus::{Corpus, Subject};
use crate::recipe::Recipe;
use crate::run_folder::RunFolder;
use crate::tokens::Tokenizer;
use crate::trainer::Examples;
use anyhow::Result;
use std::collections::BTreeMap;

/// The learning rate of fine-tuning (Devlin et al. 2019, appendix A.3).
const RATE: f64 = 5e-5;

/// Trains an encoder on labels alone.
///
/// # Errors
/// When anything on the way fails; what was done so far is kept, and `--resume` goes on.
pub fn run(args: &FinetuneArgs, common: &Common, console: &Console) -> Result<()> {
    let folder = RunFolder::open(&args.out, args.training.existing(), RECIPE)?;
    let recipe = args.recipe(common)?;
    finetune(recipe, &folder, common, console)
}

/// Trains an encoder by a recipe, into a folder.
///
/// # Errors
/// As [`run`].
pub fn finetune(mut recipe: Recipe, folder: &RunFolder, common: &Common, console: &Console) -> Result<()> {
    let base = required(recipe.student.init.clone(), "base", "the directory of the encoder to start with")?;
    let data = required(recipe.data.train.clone(), "data", "the file to train on")?;
    let config = read_config(&base.join("config.json"))?;
    let subject = Subject::of_data(&recipe.data, &data, Some(config.max_position_embeddings))?;
    let (train, eval) = prepare(&mut recipe, &subject, None, console)?;

    let tokenizer = bundle::tokenizer(&base, subject.max_length)?;
    tokenizer.check_vocabulary(config.vocab_size, &base.display().to_string())?;
    let purpose = Purpose::of(&subject, &tokenizer)?;
    let blueprint = Blueprint::build(&recipe.student, &purpose, recipe.train.seed)?;
    let threads = common.threads.unwrap_or(0);
    let (train_examples, eval_examples) =
        (examples(&train, &tokenizer, threads)?, examples(&eval, &tokenizer, threads)?);
    recipe.resolve(&train_examples, RATE);
    recipe.data.max_length = Some(subject.max_length);
    let sources = BTreeMap::from([
        ("train".to_owned(), train.dataset.fingerprint.clone()),
        ("eval".to_owned(), eval.dataset.fingerprint.clone()),
    ]);
    let run = Run {
        folder,
        recipe: &recipe,
        subject: &subject,
        train: &train_examples,
        eval: &eval_examples,
        tokenizer: tokenizer.source(),
        sources,
        console,
    };
    let (opener, notify) = (Opener { common, console }, |line: &str| console.say(line));
    if let Some(finished) = run.execute(blueprint, &opener.options(&notify))? {
        let summary = serde_json::to_string_pretty(&finished.summary())?;
        bundle::write_text(&folder.join("report.json"), &(summary.clone() + "\n"))?;
        if console.json {
            console.hand_out(summary);
        }
        console.say(format_args!("the model is in {}", folder.path().display()));
    }
    Ok(())
}

fn examples(corpus: &Corpus, tokenizer: &Tokenizer, threads: usize) -> Result<Examples> {
    Ok(Examples { encodings: corpus.encode(tokenizer, threads)?, gold: corpus.gold.clone(), soft: None })
}
