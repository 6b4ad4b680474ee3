//! The subcommands: each one straight line from its arguments to its files.

mod augment;
mod bench;
mod compare;
mod controls;
mod demo;
mod doctor;
mod eval;
mod export;
mod finetune;
mod inspect;
mod label;
mod material;
mod predict;
mod probe;
mod recipes;
mod run;
mod slim;
mod train;
mod trim;

use crate::bundle;
use crate::cli::{Cli, Command, Common};
use crate::console::Console;
use crate::cost;
use crate::error::explained;
use crate::examples::Examples;
use crate::recipe::{Read, Recipe};
use crate::tokens::Tokenizer;
use anyhow::Result;
use std::path::Path;
use teacher::{Error, Names, Options, Teacher};

/// Does what the command line says.
///
/// # Errors
/// When the work fails.
pub fn run(cli: &Cli) -> Result<()> {
    let console = Console::new(cli.common.quiet, cli.common.json);
    let common = &cli.common;
    match &cli.command {
        Command::Train(args) => train::run(args, common, &console),
        Command::Label(args) => label::run(args, common, &console),
        Command::Augment(args) => augment::run(args, common, &console),
        Command::Export(args) => export::run(args, common, &console),
        Command::Slim(args) => slim::run(args, common, &console),
        Command::Eval(args) => eval::run(args, common, &console),
        Command::Compare(args) => compare::run(args, common, &console),
        Command::Finetune(args) => finetune::run(args, common, &console),
        Command::Predict(args) => predict::run(args, common, &console),
        Command::Inspect(args) => inspect::run(args, common, &console),
        Command::Recipes(args) => recipes::run(args, &console),
        Command::Doctor => doctor::run(common, &console),
        Command::Bench(args) => bench::run(args, common, &console),
        Command::Probe => probe::run(&console),
        Command::Demo(args) => demo::run(args, common, &console),
    }
}

/// Opens ONNX models for the commands: all in the same way.
struct Opener<'a> {
    common: &'a Common,
    console: &'a Console,
}

impl Opener<'_> {
    /// Returns how models are opened: a worker on each thread, and a word when ONNX Runtime has to be fetched.
    fn options<'a>(&self, notify: &'a dyn Fn(&str)) -> Options<'a> {
        Options {
            workers: self.threads(),
            onnx_runtime: self.common.onnxruntime.clone(),
            notify,
            ..Options::default()
        }
    }

    /// Returns the threads to use; 0 for all cores.
    fn threads(&self) -> usize {
        self.common.threads.unwrap_or(0)
    }

    /// Opens a model as it is.
    fn open(&self, model: &Path) -> Result<Teacher> {
        let console = *self.console;
        Ok(Teacher::open(model, &self.options(&move |line| console.say(line)))?)
    }

    /// Opens a model that need not be a classifier.
    fn body(&self, model: &Path) -> Result<Teacher> {
        let console = *self.console;
        Ok(Teacher::open_body(model, &self.options(&move |line| console.say(line)))?)
    }

    /// Opens a model for a comparison: to be asked, or to be measured.
    fn contender(&self, model: &Path, cost: Option<&cost::Settings>) -> Result<Teacher> {
        let console = *self.console;
        let notify = move |line: &str| console.say(line);
        let options = self.options(&notify);
        let options = match cost {
            Some(cost) => cost.options(options),
            None => options,
        };
        Ok(Teacher::open(model, &options)?)
    }

    /// Opens the teacher of a recipe, for what it will be asked.
    fn teacher(&self, recipe: &Recipe, model: &Path) -> Result<Teacher> {
        let section = &recipe.teacher;
        let console = *self.console;
        let notify = move |line: &str| console.say(line);
        let names = Names {
            input_ids: section.input_ids.clone(),
            attention_mask: section.attention_mask.clone(),
            token_type_ids: section.token_type_ids.clone(),
            logits: section.logits.clone(),
            ..Names::default()
        };
        let options = Options { names, batch_tokens: section.batch_tokens, ..self.options(&notify) };
        match recipe.data.read {
            _ if recipe.objective.compares_words() => {
                Teacher::open_masked_lm(model, &options).map_err(|error| match error {
                    Error::NotAMaskedLm { .. } | Error::UnusableTensor { .. } => explained(
                        error.to_string(),
                        "`masked_kl` compares with a masked language model: give one with `--teacher`, or for one stage \
                         with `--set STAGE.teacher.path=DIR`, or leave the term out with `--set objective.masked_kl=0`",
                    ),
                    error => error.into(),
                })
            }
            // Sequences of a plain text are not judged: there need be no classifier.
            Read::Corpus => Ok(Teacher::open_body(model, &options)?),
            Read::Examples => Ok(Teacher::open(model, &options)?),
        }
    }

    /// Opens the tokenizer that belongs to a model, and makes sure that it does.
    fn tokenizer(&self, model: &Teacher, folder: &Path, max_length: usize) -> Result<Tokenizer> {
        let tokenizer = bundle::tokenizer(folder, max_length)?;
        let tokenizer = tokenizer.cut_at(model.config().max_tokens().unwrap_or(max_length))?;
        if let Some(vocab_size) = model.config().vocab_size {
            tokenizer.check_vocabulary(vocab_size, &folder.display().to_string())?;
        }
        Ok(tokenizer)
    }
}

/// Says in a few words how many examples there are, and how many of them have labels.
fn describe(examples: &Examples) -> String {
    let (all, labelled) = (examples.len(), examples.num_labelled());
    let labels = match labelled {
        0 => "no labels".to_owned(),
        count if count == all => "all labelled".to_owned(),
        count => format!("{count} labelled"),
    };
    format!("{all} examples, {labels}")
}
