//! The flags of each command, as the user reads them.

use crate::recipe::{InitEmbeddings, Precision};
use crate::track::Destination;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What to read of a data file
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Use what is known of a data set: text, regression, sst2, cola, mrpc, qqp, mnli, snli, qnli, rte, wnli, stsb,
    /// agnews, banking77, sms-spam, subj [default: text]
    #[arg(long, value_name = "NAME")]
    pub task: Option<String>,
    /// Read the file as tsv, csv or jsonl, whatever it is called
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Take the text from this column; `#3` for the third [default: found by its usual names]
    #[arg(long, value_name = "COLUMN")]
    pub text: Option<String>,
    /// Take the second text of a pair from this column
    #[arg(long, value_name = "COLUMN")]
    pub text_pair: Option<String>,
    /// Take the label from this column
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
    /// Name the classes, in the order of the teacher's logits
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub labels: Option<Vec<String>>,
    /// Cut texts after this many tokens [default: that of the task, 128 for most]
    #[arg(long, value_name = "TOKENS")]
    pub max_length: Option<usize>,
}

/// How to train
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Training")]
pub struct TrainingArgs {
    /// Take settings from a recipe: a file, or one that comes with the program (`distill recipes` lists them); every run
    /// writes one with all settings to its output directory
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Change any setting of the recipe
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// See each example this often [default: 3]
    #[arg(long, value_name = "N")]
    pub epochs: Option<u32>,
    /// Make this many updates, whatever the epochs
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,
    /// Put this many examples in a batch [default: 32]
    #[arg(long, value_name = "N", conflicts_with = "batch_tokens")]
    pub batch_size: Option<usize>,
    /// Put as many examples in a batch as fit into this many tokens
    #[arg(long, value_name = "TOKENS")]
    pub batch_tokens: Option<usize>,
    /// Multiply matrices in this precision: auto, f32 or bf16 [default: auto: bf16 where this machine is faster in it]
    #[arg(long, value_name = "PRECISION")]
    pub precision: Option<Precision>,
    /// Reach this learning rate after the warm-up [default: 1e-4 with copied weights, 3e-4 with
    /// narrowed ones, 5e-4 without, 5e-5 to fine-tune]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub lr: Option<f64>,
    /// Evaluate after this many updates [default: an eighth of the run]
    #[arg(long, value_name = "N")]
    pub eval_every: Option<u64>,
    /// Stop after this many evaluations without a better result; 0 for never [default: 0]
    #[arg(long, value_name = "N")]
    pub patience: Option<u32>,
    /// Make every random choice from this seed [default: 42]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Write the run to MLflow's file store too; look at it with `MLFLOW_ALLOW_FILE_STORE=true mlflow ui
    /// --backend-store-uri DIR`. The curves are always written for TensorBoard: `tensorboard --logdir OUT`
    #[arg(long, value_name = "mlflow:DIR")]
    pub track: Vec<Destination>,
    /// Replace the files of an earlier run in the output directory
    #[arg(long, conflicts_with = "resume")]
    pub overwrite: bool,
    /// Continue an interrupted run, to the same bytes
    #[arg(long)]
    pub resume: bool,
}

/// Arguments of `train`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The student's shape is a preset (bert-tiny, bert-mini, tinybert-4l-312, minilm-l6-384, bert-small, \
minilm-l12-384, bert-medium, tinybert-6l-768, bert-base), a config.json, or a directory with one. \
Labels are optional: without them the student learns from the teacher alone.")]
pub struct TrainArgs {
    /// Learn from this model: a directory with config.json, tokenizer.json and an ONNX file
    #[arg(long, value_name = "DIR")]
    pub teacher: Option<PathBuf>,
    /// Train on this file: TSV, CSV or JSON lines, gzipped or not
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Evaluate on this file [default: a twentieth of the training file is held out]
    #[arg(long, value_name = "FILE")]
    pub eval: Option<PathBuf>,
    /// Learn from this plain text where the recipe does: documents divided by blank lines, gzipped or not
    #[arg(long, value_name = "FILE")]
    pub corpus: Option<PathBuf>,
    /// Train a model of this shape [default: tinybert-4l-312, or that of `--init`]
    #[arg(long, value_name = "SHAPE")]
    pub student: Option<String>,
    /// Start with the weights of this model: a directory, model.safetensors or an ONNX file; a wider one is made
    /// narrower
    #[arg(long, value_name = "MODEL")]
    pub init: Option<PathBuf>,
    /// Copy these of its layers, counted from 0
    #[arg(long, value_name = "LAYERS", value_delimiter = ',', requires = "init")]
    pub init_layers: Option<Vec<usize>>,
    /// Start with the teacher's word embeddings, projected to the student's width: svd
    #[arg(long, value_name = "HOW")]
    pub init_embeddings: Option<InitEmbeddings>,
    /// Write the student to this directory
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Keep the teacher's logits in this file [default: labels.safetensors in the output directory]
    #[arg(long, value_name = "FILE")]
    pub cache: Option<PathBuf>,
    /// Compute what goes on inside the teacher once, where the recipe compares that, and keep it beside the labels, in
    /// half precision; the room that it takes is said first [default: compute it while the student learns]
    #[arg(long)]
    pub cache_inside: bool,
    /// Soften both distributions by this temperature [default: 2]
    #[arg(long, value_name = "T")]
    pub temperature: Option<f64>,
    /// Weigh the teacher with this and the labels with the rest [default: 0.9]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub alpha: Option<f64>,
    /// Train the student twice more, on labels alone and with the logits of other texts, to controls/ in the output
    /// directory, and say what distillation added
    #[arg(long)]
    pub controls: bool,
    /// What to read
    #[command(flatten)]
    pub columns: DataArgs,
    /// How to train
    #[command(flatten)]
    pub training: TrainingArgs,
}

/// Arguments of `finetune`
#[derive(Clone, Debug, Args)]
pub struct FinetuneArgs {
    /// Start with this encoder: a directory with config.json, tokenizer.json and model.safetensors or an ONNX file
    #[arg(long, value_name = "DIR")]
    pub base: Option<PathBuf>,
    /// Train on this file
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Evaluate on this file [default: a twentieth of the training file is held out]
    #[arg(long, value_name = "FILE")]
    pub eval: Option<PathBuf>,
    /// Write the model to this directory
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// What to read
    #[command(flatten)]
    pub columns: DataArgs,
    /// How to train
    #[command(flatten)]
    pub training: TrainingArgs,
}

/// Arguments of `label`
#[derive(Clone, Debug, Args)]
pub struct LabelArgs {
    /// Ask this model
    #[arg(long, value_name = "DIR")]
    pub teacher: PathBuf,
    /// About the texts of this file
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Keep its logits in this file; what is in it already is not asked again
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Do one part of the work, e.g. 2/8; a run without it then gathers the parts
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
    /// What to read
    #[command(flatten)]
    pub columns: DataArgs,
}

/// Arguments of `eval`
#[derive(Clone, Debug, Args)]
pub struct EvalArgs {
    /// Measure this model: a directory, or an ONNX file beside its config.json and tokenizer.json
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// On the texts of this file
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// What to read
    #[command(flatten)]
    pub columns: DataArgs,
}

/// Arguments of `compare`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A model is a directory, or an ONNX file beside its config.json and tokenizer.json; any of them can stand in any place. \
Models whose classes stand in another order are aligned by the names of the classes.

A condition compares numbers with <, <=, >, >=, == and !=, joined by `and`, `or`, `not` and brackets. The numbers, of \
each student: every figure (accuracy, f1, macro_f1, matthews, pearson, spearman, agreement, mean_kl, nll, brier, ece, …); \
by how much it is worse than the teacher's, in points (accuracy_drop), and the worst end of the interval of that \
(accuracy_drop_high); retained, in percent; p and p_holm; p50_ms, p95_ms, p99_ms, load_ms, first_ms, peak_mb, \
resident_mb, file_mb, parameters, texts_per_second, core_seconds_per_million; speedup and shrink over the teacher.")]
pub struct CompareArgs {
    /// Compare with this model
    #[arg(long, value_name = "MODEL")]
    pub teacher: PathBuf,
    /// Compare this model; may be given several times
    #[arg(long, value_name = "MODEL", required_unless_present = "seeds_of")]
    pub student: Vec<PathBuf>,
    /// Compare several runs of one student, which differ in their seeds; may be given several times
    #[arg(long, value_name = "NAME=MODEL,MODEL,…")]
    pub seeds_of: Vec<String>,
    /// Show what this model, trained without the teacher, does instead; may be given several times
    #[arg(long, value_name = "MODEL")]
    pub control: Vec<PathBuf>,
    /// On the texts of this file
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Write report.json, report.md and report.html to this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace the report in the output directory
    #[arg(long)]
    pub overwrite: bool,
    /// Let a student be so many points (hundredths) worse than the teacher
    #[arg(long, value_name = "POINTS", default_value_t = 1.0)]
    pub margin: f64,
    /// Exit with 1 if this holds for a student, e.g. "accuracy_drop > 1.0 or p50_ms > 3"
    #[arg(long, value_name = "CONDITION")]
    pub fail_if: Option<String>,
    /// Draw the examples again so many times
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub resamples: u32,
    /// Draw them from this seed
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
    /// What to measure of their cost
    #[command(flatten)]
    pub cost: CostArgs,
    /// What to read
    #[command(flatten)]
    pub columns: DataArgs,
}

/// What to measure of the cost of models
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Cost")]
pub struct CostArgs {
    /// Do not measure time and memory
    #[arg(long, conflicts_with_all = ["time_batch", "time_length", "time_threads", "time_seconds", "core_hour_price"])]
    pub no_time: bool,
    /// Time batches of so many texts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub time_batch: u32,
    /// Make each text so long
    #[arg(long, value_name = "TOKENS", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub time_length: u32,
    /// Let a model use so many threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub time_threads: u32,
    /// Time each model for about so long, three times over
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub time_seconds: u32,
    /// Say what a million texts cost when an hour of a core costs this
    #[arg(long, value_name = "PRICE")]
    pub core_hour_price: Option<f64>,
}

/// Arguments of `predict`
#[derive(Clone, Debug, Args)]
pub struct PredictArgs {
    /// Ask this model
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Texts; one a line from standard input when there is none, with a tab before the second text of a pair
    pub texts: Vec<String>,
    /// Cut texts after this many tokens
    #[arg(long, value_name = "TOKENS", default_value_t = 128)]
    pub max_length: usize,
}

/// Arguments of `inspect`
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// A directory or an ONNX file
    pub model: PathBuf,
}

/// What to measure
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchPart {
    /// A training step of a student, whole and in parts
    Step,
    /// Peaks of the machine, and products of a student's shapes
    Kernels,
    /// Labelling with a model
    Label,
    /// Answers of a model, one text and many at a time
    Infer,
}

/// Arguments of `bench`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Runs on one thread unless --threads says otherwise. Times are medians of several runs. Rates in GFLOP/s and shares \
of peak count processor time: they are those of one core. Texts and tokens per second count the time that passes.")]
pub struct BenchArgs {
    /// Measure this [default: kernels and step]
    #[arg(value_name = "WHAT", value_enum)]
    pub what: Option<BenchPart>,
    /// Take the shapes of this preset, with random weights
    #[arg(long, value_name = "PRESET", default_value = "tinybert-4l-312")]
    pub student: String,
    /// Put this many texts in a batch
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub batch_size: usize,
    /// Make each text this many tokens long; with --mean-length, the longest
    #[arg(long, value_name = "TOKENS", default_value_t = 64)]
    pub length: usize,
    /// Draw the lengths of texts around this mean, as those of short phrases are; for step and kernels
    #[arg(long, value_name = "TOKENS")]
    pub mean_length: Option<usize>,
    /// Multiply matrices in this precision: auto, f32 or bf16 [default: auto; kernels are measured in both]
    #[arg(long, value_name = "PRECISION")]
    pub precision: Option<Precision>,
    /// Ask this model: a directory with config.json, tokenizer.json and an ONNX file; for label and infer
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Label the texts of this file [default: made-up sentences of its tokenizer's words]
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
}

/// Arguments of `demo`
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Write to this directory
    #[arg(long, value_name = "DIR", default_value = "distill-demo")]
    pub out: PathBuf,
    /// Replace the files of an earlier demo
    #[arg(long)]
    pub overwrite: bool,
}

/// Arguments of `recipes`
#[derive(Clone, Debug, Args)]
pub struct RecipesArgs {
    /// Print this recipe
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}
