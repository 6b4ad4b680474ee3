//! A student on disk, in the layout that Hugging Face's tools load: configuration, tokenizer, weights, ONNX graph.

use crate::asking::ask;
use crate::error::explained;
use crate::tokens::{Encodings, Tokenizer, companions};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use student::bert::{Bert, BertConfig};
use student::engine::{CpuEngine, Engine};
use student::export::onnx;
use student::files::write_atomically;
use student::import::onnx::summary;
use student::{Architecture, Arena, Asked, Precision, checkpoint};
use teacher::{Options, Teacher};

/// The graph's place in a bundle.
pub const ONNX: &str = "onnx/model.onnx";
/// The weights' place in a bundle.
pub const WEIGHTS: &str = "model.safetensors";
const CONFIG: &str = "config.json";

/// A trained student as it lies in a directory.
pub struct Bundle {
    /// Where it lies.
    pub folder: PathBuf,
    /// The model.
    pub bert: Bert,
    /// Its weights.
    pub params: Arena,
}

/// What the exported graph was compared with the native student on.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Verification {
    /// The texts.
    pub examples: usize,
    /// The largest difference between two logits.
    pub max_difference: f32,
}

/// The largest difference between a logit of the graph and of the native student that passes.
const TOLERANCE: f32 = 1e-4;
/// The texts that an export is verified on.
const VERIFIED: usize = 64;
/// The padded tokens of a verified batch: many, so that short texts are padded to the length of long ones.
const VERIFIED_TOKENS: usize = 1 << 14;

impl Bundle {
    /// Opens the directory that `train` or `finetune` wrote.
    ///
    /// # Errors
    /// When configuration or weights are missing, damaged, or do not belong together.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG);
        if !path.exists() {
            return Err(explained(
                format!("`{}` holds no student: there is no `{CONFIG}`", folder.display()),
                "give the directory that `distill train` wrote with `--out`",
            ));
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let config =
            BertConfig::from_json(&text).with_context(|| format!("`{}` is not a student", path.display()))?;
        let bert = Bert::new(config)?;
        let mut params = Arena::zeros(bert.layout());
        let weights = checkpoint::read_weights(&folder.join(WEIGHTS))?;
        let loaded = weights.load(bert.layout(), &mut params, None)?;
        if let Some(name) = loaded.missing.first() {
            return Err(explained(
                format!("`{}` lacks the tensor `{name}` of the model", folder.join(WEIGHTS).display()),
                "the file is of another model; train or export it again",
            ));
        }
        Ok(Bundle { folder: folder.to_owned(), bert, params })
    }
}

/// Writes a student: weights, configuration, tokenizer files and graph, each one atomically.
///
/// # Errors
/// When a file cannot be written.
pub fn write(
    folder: &Path,
    bert: &Bert,
    params: &Arena,
    tokenizer: &Path,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let graph = folder.join(ONNX);
    let onnx_folder = graph.parent().unwrap_or(folder);
    std::fs::create_dir_all(onnx_folder)
        .with_context(|| format!("cannot make the folder `{}`", onnx_folder.display()))?;
    checkpoint::write_weights(&folder.join(WEIGHTS), bert.layout(), params)?;
    write_text(&folder.join(CONFIG), &bert.config().to_json())?;
    copy_files(companions(tokenizer), folder)?;
    onnx::write(bert, params, &graph, metadata)?;
    Ok(())
}

/// Copies files into a folder, each whole or not at all.
///
/// # Errors
/// When one cannot be read or written.
pub fn copy_files(files: impl IntoIterator<Item = PathBuf>, folder: &Path) -> Result<()> {
    for source in files {
        let Some(name) = source.file_name() else { continue };
        let bytes = std::fs::read(&source).with_context(|| format!("cannot read `{}`", source.display()))?;
        write_atomically(&folder.join(name), |file| file.write_all(&bytes))?;
    }
    Ok(())
}

/// Writes a text file atomically.
///
/// # Errors
/// When it cannot be written.
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    Ok(write_atomically(path, |file| file.write_all(text.as_bytes()))?)
}

/// Returns what the graph of a bundle says about where it comes from; nothing when there is no graph.
pub fn metadata_of(folder: &Path) -> BTreeMap<String, String> {
    summary(&folder.join(ONNX)).map(|summary| summary.metadata).unwrap_or_default()
}

/// Opens the exported graph and compares it with the native student on some of the texts, with padding in the batches.
///
/// # Errors
/// When the graph cannot be opened, or a logit differs by more than 1e-4; the graph is then taken away.
pub fn verify(
    folder: &Path,
    engine: &mut dyn Engine,
    texts: &Encodings,
    options: &Options<'_>,
) -> Result<Verification> {
    let graph = folder.join(ONNX);
    let mut attempt = || -> Result<Verification> {
        let chosen = spread(&texts.lengths(), VERIFIED);
        let mut model = Teacher::open(&graph, &options.clone().together(VERIFIED_TOKENS))?;
        let exported = ask(&mut model, texts, chosen.iter().copied(), &|_| {})?;
        let native = engine.evaluate(&texts.pack(chosen.iter().copied()), &Asked::logits()).logits;
        let difference = (&exported - &native).iter().fold(0.0_f32, |max, d| max.max(d.abs()));
        let verification = Verification { examples: chosen.len(), max_difference: difference };
        if difference <= TOLERANCE {
            Ok(verification)
        } else {
            Err(explained(
                format!(
                    "the exported graph differs from the student by {difference:.1e} (allowed: {TOLERANCE:.0e})"
                ),
                "this is a fault of distill or of ONNX Runtime; look at `distill doctor`, and please report it",
            ))
        }
    };
    attempt().inspect_err(|_| {
        // A graph that was not proven is not left in place.
        let _ = std::fs::remove_file(&graph);
    })
}

/// Makes an engine out of a bundle's parts.
///
/// # Errors
/// When the threads cannot be started.
pub fn engine(bert: Bert, params: Arena, threads: usize, precision: Precision) -> Result<CpuEngine<Bert>> {
    Ok(CpuEngine::new(bert, params, threads, precision)?)
}

/// Returns the tokenizer of a model directory, cutting at `max_length`.
///
/// # Errors
/// When there is none.
pub fn tokenizer(model: &Path, max_length: usize) -> Result<Tokenizer> {
    let beside = match model.parent() {
        Some(folder) if model.is_file() && folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) if model.is_file() => folder,
        _ => model,
    };
    let above = beside.parent().filter(|_| beside.file_name().is_some_and(|name| name == "onnx"));
    let has_one =
        |folder: &&Path| folder.join("tokenizer.json").exists() || folder.join("vocab.txt").exists();
    let folder = [Some(beside), above].into_iter().flatten().find(has_one).unwrap_or(beside);
    Tokenizer::open(folder, max_length)
}

/// Chooses at most `most` examples, spread over all lengths.
fn spread(lengths: &[usize], most: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| lengths[i]);
    let count = most.min(order.len());
    (0..count).map(|i| order[if count > 1 { i * (order.len() - 1) / (count - 1) } else { 0 }]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verified_examples_span_shortest_to_longest_without_repeats() {
        let lengths: Vec<usize> = (0..1000).map(|i| 1 + (i * 37) % 128).collect();
        let chosen = spread(&lengths, 64);
        let of = |i: usize| lengths[chosen[i]];
        assert_eq!((chosen.len(), of(0), of(63)), (64, 1, 128));
        let mut unique = chosen.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), 64);
        assert_eq!(spread(&[3], 64), [0]);
        assert_eq!(spread(&[], 64), [0_usize; 0]);
    }
}
