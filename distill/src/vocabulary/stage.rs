//! A model with a smaller vocabulary in a folder of its own, proven to be the same on the corpus.

use super::files::{read_json, renumbered_config, write_json, write_tokenizer};
use super::numbering::Numbering;
use super::plan::{Plan, Texts};
use super::proof::{Sample, compare_logits, compare_tokens};
use crate::bundle::{self, Bundle};
use crate::console::Console;
use crate::error::explained;
use crate::tokens::Tokenizer;
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use student::bert::{Bert, BertConfig};
use student::export::onnx;
use student::{Architecture, Arena};
use teacher::{Options, Teacher};
use tempfile::TempDir;

/// A model whose vocabulary can be trimmed.
pub enum Model<'a> {
    /// A student of ours.
    Student(&'a Bundle),
    /// An ONNX file that somebody else made, and the `config.json` that describes it.
    Graph {
        /// The graph.
        onnx: &'a Path,
        /// Its configuration.
        config: &'a Path,
    },
}

/// What was trimmed, and how it was proven.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trimmed {
    /// The file with the texts.
    pub corpus: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The texts in it, all of which were tokenised before and after, into the same pieces.
    pub texts: usize,
    /// The distinct words in it.
    pub words: usize,
    /// The pieces that these words are made of.
    pub pieces_of_corpus: usize,
    /// The pieces of the vocabulary before.
    pub pieces_before: usize,
    /// The pieces of the vocabulary after.
    pub pieces_after: usize,
    /// The texts whose logits were compared before and after, to the last bit.
    pub texts_compared: usize,
    /// The distinct pieces in these texts.
    pub pieces_compared: usize,
}

/// A trimmed model in a temporary folder, in the layout of a model directory.
pub struct Staged {
    folder: TempDir,
    /// What was done.
    pub trimmed: Trimmed,
}

const CONFIG: &str = "config.json";

impl Staged {
    /// Returns the model directory, which goes with this value.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("trimmed")
    }
}

impl Trimmed {
    /// Returns what the trimmed graph says of it, to be added to its notes.
    pub fn notes(&self) -> BTreeMap<String, String> {
        let notes = [
            ("vocabulary_sha256", self.sha256.clone()),
            ("vocabulary_texts", self.texts.to_string()),
            ("vocabulary_pieces", format!("{} of {}", self.pieces_after, self.pieces_before)),
        ];
        notes.map(|(key, value)| (key.to_owned(), value)).into()
    }

    /// Says it in a line.
    pub fn to_line(&self) -> String {
        format!(
            "vocabulary: {} of {} pieces kept, {} of them in the {} texts of `{}`; the same pieces in every text, the \
             same logits on {} texts with {} of the pieces",
            self.pieces_after,
            self.pieces_before,
            self.pieces_of_corpus,
            self.texts,
            self.corpus,
            self.texts_compared,
            self.pieces_compared,
        )
    }
}

/// Makes the model with the pieces that the corpus needs, and compares it with the whole one.
///
/// # Errors
/// When the tokenizer is none of the WordPiece kind, the table of embeddings is not found, a file cannot be read, or the
/// trimmed model is not the same on the corpus.
pub fn stage(
    model: &Model<'_>,
    tokenizer: &Tokenizer,
    corpus: &Texts<'_>,
    options: &Options<'_>,
    console: &Console,
) -> Result<Staged> {
    let config = match model {
        Model::Student(bundle) => serde_json::from_str(&bundle.bert.config().to_json())?,
        Model::Graph { config, .. } => read_json(config)?,
    };
    let plan = Plan::of(tokenizer, &config, corpus)?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let [whole, trimmed] = ["whole", "trimmed"].map(|name| folder.path().join(name));
    for folder in [&whole, &trimmed] {
        std::fs::create_dir_all(folder.join("onnx"))
            .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    }
    write_tokenizer(tokenizer.source(), &plan.definition, &plan.numbering, &trimmed)?;
    let renamed = Tokenizer::open(&trimmed, tokenizer.max_length())?;
    let sample = compare_tokens(&plan, tokenizer, &renamed, corpus)?;
    let facts = facts(&plan, &sample, corpus);
    let [mut before, mut after] = match model {
        Model::Student(bundle) => {
            cut_student(bundle, &plan.numbering, facts.notes(), [&whole, &trimmed], options)?
        }
        Model::Graph { onnx, .. } => {
            cut_graph(onnx, &config, &plan.numbering, &facts.notes(), &trimmed, options)?
        }
    };
    compare_logits(&sample, &mut before, &mut after, console)?;
    let _ = std::fs::remove_dir_all(whole);
    Ok(Staged { folder, trimmed: facts })
}

/// Writes our student whole and trimmed, and opens both.
fn cut_student(
    bundle: &Bundle,
    numbering: &Numbering,
    notes: BTreeMap<String, String>,
    [whole, trimmed]: [&PathBuf; 2],
    options: &Options<'_>,
) -> Result<[Teacher; 2]> {
    let mut metadata = bundle::metadata_of(&bundle.folder);
    metadata.extend(notes);
    onnx::write(&bundle.bert, &bundle.params, &whole.join(bundle::ONNX), &BTreeMap::new())?;
    bundle::write_text(&whole.join(CONFIG), &bundle.bert.config().to_json())?;
    let (bert, params) = cut_weights(&bundle.bert, &bundle.params, numbering)?;
    bundle::write(trimmed, &bert, &params, trimmed, &metadata)?;
    Ok([Teacher::open(whole, options)?, Teacher::open(trimmed, options)?])
}

/// Writes somebody's graph without the rows of dropped pieces, and opens both.
fn cut_graph(
    graph: &Path,
    config: &Value,
    numbering: &Numbering,
    notes: &BTreeMap<String, String>,
    trimmed: &Path,
    options: &Options<'_>,
) -> Result<[Teacher; 2]> {
    let whole = Teacher::open(graph, options)?;
    let mut cut = onnx::Model::read(graph)?;
    cut.keep_words(&whole.signature().input_ids.name, numbering.kept())?;
    cut.with_notes(notes).write(&trimmed.join(bundle::ONNX))?;
    write_json(&trimmed.join(CONFIG), &renumbered_config(config, numbering)?)?;
    Ok([whole, Teacher::open(trimmed, options)?])
}

/// Returns the student with the rows of kept pieces alone, in each tensor that has a row for each piece.
fn cut_weights(bert: &Bert, params: &Arena, numbering: &Numbering) -> Result<(Bert, Arena)> {
    let old = bert.config();
    let pad = numbering.new_id(old.pad_token_id).ok_or_else(|| {
        explained(
            format!(
                "`config.json` says that the id of padding is `{}`, which no piece has",
                old.pad_token_id
            ),
            "correct `pad_token_id`",
        )
    })?;
    let highest = numbering.kept().last().map_or(0, |&id| id as usize);
    if highest >= old.vocab_size {
        return Err(explained(
            format!(
                "the tokenizer has a piece with the id `{highest}`, but the model only {} rows",
                old.vocab_size
            ),
            "use the tokenizer that the model was trained with",
        ));
    }
    let cut = Bert::new(BertConfig { vocab_size: numbering.len(), pad_token_id: pad, ..old.clone() })?;
    let mut kept = Arena::zeros(cut.layout());
    for (from, to) in bert.layout().entries().iter().zip(cut.layout().entries()) {
        let numbers = &params.data()[from.range()];
        let target = &mut kept.data_mut()[to.range()];
        if from.shape == to.shape {
            target.copy_from_slice(numbers);
        } else {
            let width = numbers.len() / from.shape[0];
            for (row, &id) in target.chunks_exact_mut(width).zip(numbering.kept()) {
                row.copy_from_slice(&numbers[id as usize * width..][..width]);
            }
        }
    }
    Ok((cut, kept))
}

fn facts(plan: &Plan, sample: &Sample, corpus: &Texts<'_>) -> Trimmed {
    Trimmed {
        corpus: corpus.path.display().to_string(),
        sha256: plan.fingerprint.clone(),
        texts: plan.texts,
        words: plan.words,
        pieces_of_corpus: plan.used,
        pieces_before: plan.definition.num_pieces(),
        pieces_after: plan.numbering.len(),
        texts_compared: sample.old.len(),
        pieces_compared: sample.pieces,
    }
}
