//! `distill demo`: all of it on a fresh machine, with nothing prepared.

mod sources;

use super::finetune::finetune;
use super::train::{Besides, distil};
use crate::cli::{Common, DemoArgs};
use crate::console::Console;
use crate::recipe::Recipe;
use crate::run_folder::{Existing, RunFolder};
use anyhow::Result;

/// The student of the demo: several times smaller than its teacher, and quick to train.
const STUDENT: &str = "bert-tiny";
/// The layers of the teacher's six that it starts as, made narrower.
const LAYERS: [usize; 2] = [2, 5];

/// Fetches an encoder and texts, makes a teacher, and distils it.
///
/// # Errors
/// When something cannot be fetched, or the work fails.
pub fn run(args: &DemoArgs, common: &Common, console: &Console) -> Result<()> {
    let existing = if args.overwrite { Existing::Overwrite } else { Existing::Refuse };
    let open = |name: &str| RunFolder::open(&args.out.join(name), existing, super::run::RECIPE);
    let (teacher, student) = (open("teacher")?, open("student")?);
    let encoder = sources::encoder(console)?;
    let texts = sources::texts(&args.out, console)?;

    console.say("\n1. Fine-tune the encoder on the labels: this is the teacher");
    let mut recipe = Recipe::default();
    recipe.data.train = Some(texts.train.clone());
    recipe.data.eval = Some(texts.eval.clone());
    recipe.data.task = "sst2".into();
    recipe.train.threads = common.threads.unwrap_or(0);
    let mut making = recipe.clone();
    making.student.init = Some(encoder);
    making.train.epochs = 1;
    making.train.eval_every = Some(150);
    making.validate()?;
    finetune(making, &teacher, &[], common, console)?;

    console.say("\n2. Distil it into a student several times smaller");
    recipe.teacher.path = Some(teacher.path().to_owned());
    recipe.student.shape = Some(STUDENT.into());
    recipe.student.init = Some(teacher.path().to_owned());
    recipe.student.init_layers = Some(LAYERS.to_vec());
    recipe.train.epochs = 3;
    recipe.train.learning_rate = Some(1e-3);
    distil(recipe, &student, &Besides::default(), common, console)?;

    let program = std::env::args().next().unwrap_or_else(|| "distill".into());
    let (teacher, student, eval) = (teacher.path().display(), student.path().display(), texts.eval.display());
    console.say(format_args!(
        "\nNext:
  {program} predict --model {student} \"a delightful film\"
  {program} compare --teacher {teacher} --student {student} --data {eval}
  {program} train --teacher DIR --data FILE --out DIR      # with your own teacher and text"
    ));
    Ok(())
}
