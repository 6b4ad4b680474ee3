//! The flags of `slim`, as the user reads them.

use super::{DataArgs, KeepArgs};
use clap::Args;
use std::path::PathBuf;
use student::export::Format;

/// Arguments of `slim`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The model is a BERT with a WordPiece vocabulary, exported by PyTorch, optimum or distill in float32, with its \
config.json and tokenizer. A trimmed model gives every text of the corpus the same pieces and the same logits, which \
is proven before anything is written; other texts may be cut into smaller pieces than before. The formats are those of \
`distill export`. The files come with a README.md that says what was measured.")]
pub struct SlimArgs {
    /// Make this model smaller: a directory, or an ONNX file beside its config.json and tokenizer.json
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Write to this directory
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Keep the word pieces alone that the texts of this file need, and every single character
    #[arg(long, value_name = "FILE")]
    pub trim_vocab: Option<PathBuf>,
    /// Write these formats: fp32, fp16, int8, int8-embeddings, int4
    #[arg(long, value_name = "FORMATS", value_delimiter = ',', default_value = "fp32,int8-embeddings")]
    pub formats: Vec<Format>,
    /// What a file keeps to
    #[command(flatten)]
    pub keep: KeepArgs,
    /// Measure on the texts of this file [default: a few built-in sentences]
    #[arg(long, value_name = "FILE")]
    pub eval: Option<PathBuf>,
    /// Replace the files in the output directory
    #[arg(long)]
    pub overwrite: bool,
    /// What to read
    #[command(flatten)]
    pub columns: DataArgs,
}
