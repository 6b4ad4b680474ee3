//! The command line: parsed here, and acted on elsewhere.

mod arguments;
mod augment;
mod export;
mod overlay;
mod slim;

pub use arguments::{
    BenchArgs, BenchPart, CompareArgs, CostArgs, DataArgs, DemoArgs, EvalArgs, FinetuneArgs, InspectArgs,
    LabelArgs, PredictArgs, RecipesArgs, TrainArgs, TrainingArgs,
};
pub use augment::{AugmentArgs, CandidateArgs, CopyArgs, Originals};
pub use export::{ExportArgs, KeepArgs, Size};
pub use slim::SlimArgs;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Distil a BERT teacher in ONNX into a small, fast, verified ONNX student
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// Settings of every command
    #[command(flatten)]
    pub common: Common,
}

const EXAMPLES: &str = "\
Examples:
  distill demo
  distill train --teacher bert/ --data train.tsv --eval dev.tsv --out student/
  distill compare --teacher bert/ --student student/ --data test.tsv
  echo 'a delightful film' | distill predict --model student/";

/// Settings of every command
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Say nothing but errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Use this many threads; 0 for all cores. Changes no result
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// Use this ONNX Runtime library instead of searching for one
    #[arg(long, global = true, value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
}

/// What to do
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Distil a student: label, train, export, verify, compare
    Train(TrainArgs),
    /// Ask the teacher about every text once and keep its logits
    Label(LabelArgs),
    /// Make more texts out of few: copies with other words in place of some
    Augment(AugmentArgs),
    /// Write a trained student as a directory that other tools load
    Export(ExportArgs),
    /// Make a BERT ONNX that others made smaller: fewer words, fewer bits, measured
    Slim(SlimArgs),
    /// Measure an ONNX classifier on labelled text
    Eval(EvalArgs),
    /// Set a teacher beside its students: quality, certainty, size, speed
    Compare(CompareArgs),
    /// Train an encoder on labels alone, to make a teacher
    Finetune(FinetuneArgs),
    /// Classify texts, from the command line or one a line from standard input; prints JSON lines
    Predict(PredictArgs),
    /// Show what is in a model: inputs, outputs, layers, parameters, labels, size
    Inspect(InspectArgs),
    /// List the recipes that come with the program, or print one to copy
    Recipes(RecipesArgs),
    /// Show which ONNX Runtime is found where, and what the machine can do
    Doctor,
    /// Measure this machine: peaks, kernels, a training step, labelling, inference
    Bench(BenchArgs),
    /// Open a model and ask it once, in a process of its own; the request comes on standard input
    #[command(hide = true)]
    Probe,
    /// Show it all on a fresh machine: fetch a small encoder and film reviews, make a teacher, distil it, compare
    Demo(DemoArgs),
}
