//! The flags of `augment`, as the user reads them.

use super::DataArgs;
use crate::augment::stop_words::Choice;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Arguments of `augment`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
This is TinyBERT's data augmentation (Jiao et al. 2020, algorithm 1), for any language. Published: p = 0.4, K = 15, and \
N = 30 copies for CoLA, MRPC, STS-B and RTE, 20 for SST-2 and QNLI, 10 for MNLI and QQP, with BERT as the masked \
language model and 100,000 GloVe vectors for words of several pieces. A copy that was there before is dropped, so that \
short texts have fewer.

Without --masked-lm every word is replaced by its neighbours in the table of embeddings, which is fast but cruder: the \
table does not read the text. A model's table has no embedding for a word of several pieces, which is then left alone; \
a file of word vectors may have one. Words with digits or other signs in them, and single letters, are left alone.

The frequent words that are left alone are those that make up 1 in 500 of all words each, and 40 % together at most: \
what a list of stop words covers, in whatever language the texts are.

The output has the columns text, text_pair and label, and is read by `train --data` as it is. Give `train` an --eval \
file: a part held out of the output would hold copies of what is trained on. Copies have no label unless --keep-labels \
asks for it: the teacher says what they are, and a changed text may mean something else.")]
pub struct AugmentArgs {
    /// Make copies of the texts of this file: TSV, CSV or JSON lines, gzipped or not
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Write to this file: TSV, or JSON lines if it is called so
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Leave the texts of this file, such as those to evaluate on, out: copy none of them, and make none of them by
    /// chance; may be given several times
    #[arg(long, value_name = "FILE")]
    pub exclude: Vec<PathBuf>,
    /// Replace an earlier output file
    #[arg(long)]
    pub overwrite: bool,
    /// Where other words come from
    #[command(flatten)]
    pub candidates: CandidateArgs,
    /// How many copies, and which
    #[command(flatten)]
    pub copies: CopyArgs,
    /// What to read
    #[command(flatten)]
    pub columns: DataArgs,
}

/// Where other words come from
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Candidates")]
pub struct CandidateArgs {
    /// Take neighbours from the word embeddings of this model, and ask it for --min-confidence and --agree
    #[arg(long, value_name = "MODEL", required_unless_present_any = ["embeddings", "masked_lm"])]
    pub teacher: Option<PathBuf>,
    /// Take neighbours from this table: a model, or a text file of word vectors as GloVe and word2vec write it [default:
    /// that of the teacher, or else of the masked language model]
    #[arg(long, value_name = "TABLE")]
    pub embeddings: Option<PathBuf>,
    /// Take this many vectors of a text file, which has the most frequent words first
    #[arg(long, value_name = "N", default_value_t = Self::MAX_VECTORS, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_vectors: u32,
    /// Ask this ONNX masked language model about words that are one piece of its vocabulary; the text follows as a second
    /// segment
    #[arg(long, value_name = "MODEL")]
    pub masked_lm: Option<PathBuf>,
    /// Choose among this many words, K; of the model's best pieces those that are no whole words are dropped
    #[arg(long, value_name = "K", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub candidates: u32,
    /// Leave these words alone: `corpus` for the frequent words of the texts, `none`, or a file with a word a line
    #[arg(long, value_name = "WORDS", default_value = "corpus")]
    pub stop_words: Choice,
}

impl CandidateArgs {
    /// The vectors that are taken of a text file: the published number.
    pub const MAX_VECTORS: u32 = 100_000;
}

/// How many copies, and which
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Copies")]
pub struct CopyArgs {
    /// Try to make this many copies of each text, N
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub copies: u32,
    /// Replace each word with this probability, p
    #[arg(long, value_name = "P", default_value = "0.4", value_parser = probability)]
    pub replace: f64,
    /// Make every random choice from this seed
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
    /// Keep only copies of which the teacher is this sure
    #[arg(long, value_name = "P", value_parser = probability, requires = "teacher")]
    pub min_confidence: Option<f64>,
    /// Keep only copies that the teacher gives the label of their original, or what it says of that where it has none
    #[arg(long, requires = "teacher")]
    pub agree: bool,
    /// Give copies the label of their original, as published
    #[arg(long)]
    pub keep_labels: bool,
    /// Write the originals first, each among its copies, or none of them
    #[arg(long, value_name = "WHERE", default_value = "first")]
    pub originals: Originals,
}

/// Where the originals are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Originals {
    /// Before all copies, in the order of the file
    First,
    /// Each window of a few hundred before the copies that are made of it
    Among,
    /// Nowhere
    None,
}

fn probability(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if number > 0.0 && number <= 1.0 { Ok(number) } else { Err("it must be above 0 and at most 1".into()) }
}
