//! What is found out about a file before it is shipped.

use super::exam::Exam;
use super::interval;
use super::timing::{self, Speed};
use crate::asking::ask;
use crate::commands::Opener;
use crate::console::SharedProgress;
use crate::cost::file_bytes;
use crate::measure;
use crate::metrics::argmax;
use crate::tokens::Encodings;
use anyhow::Result;
use ndarray::{Array2, ArrayView2};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use student::export::Format;
use student::quant::TableBits;
use teacher::Teacher;

/// A file that is to be measured.
pub struct Variant {
    /// How its numbers are stored.
    pub format: Format,
    /// The bits of an embedding, where the format rounds them.
    pub embedding_bits: Option<u8>,
    /// Its place in a model directory.
    pub file: &'static str,
    /// Where it lies now.
    pub path: PathBuf,
}

/// What was found out about a file.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The name of its format.
    pub format: &'static str,
    /// The bits of an embedding, where the format rounds them.
    pub embedding_bits: Option<u8>,
    /// Its place in a model directory.
    pub file: &'static str,
    /// Its size.
    pub bytes: u64,
    /// How good it is, figures by name; empty without labels.
    pub quality: Map<String, Value>,
    /// From where to where the task's figure lies with 95 % confidence.
    pub interval: Option<[f64; 2]>,
    /// The points that it loses against the student as it was given: of the task's figure, or of agreement without labels.
    pub drop: f64,
    /// The share of texts on which it says what the student in single precision says; of a regression, the correlation.
    pub agreement: f64,
    /// The mean divergence from the student in single precision, in nats; none for a regression.
    pub mean_kl: Option<f64>,
    /// The largest change of a logit from alone to a padded batch.
    pub batch_difference: f32,
    /// The share of texts of which the class changes from alone to a padded batch.
    pub batch_flips: f64,
    /// How fast it answers.
    pub speed: Speed,
}

/// Asks every file about the texts of an exam, beside the model as it was given, and times them.
///
/// `reference`: the model as it was given, and the same exam in its own tokens.
///
/// # Errors
/// When a file cannot be opened, or fails.
pub fn measure(
    variants: &[Variant],
    reference: (&Path, &Exam),
    exam: &Exam,
    opener: &Opener<'_>,
) -> Result<Vec<Measured>> {
    let said = say(reference.0, reference.1, opener, "whole")?;
    let figure = |logits: ArrayView2<'_, f32>| {
        let quality = measure::figures(&exam.subject, logits, &exam.gold);
        let value = quality.get(exam.subject.task.metric.name()).and_then(Value::as_f64);
        (quality, value)
    };
    let whole = figure(said.view()).1;
    let paths: Vec<&Path> = variants.iter().map(|variant| variant.path.as_path()).collect();
    let mut all = Vec::with_capacity(variants.len());
    for Variant { format, embedding_bits, file, path } in variants {
        let logits = say(path, exam, opener, format.name())?;
        let (quality, value) = figure(logits.view());
        let agreement = measure::agreement(&exam.subject, said.view(), logits.view()).unwrap_or(0.0);
        let drop = whole.zip(value).map_or(1.0 - agreement, |(whole, value)| whole - value);
        let (batch_difference, batch_flips) = independence(path, &exam.texts, opener)?;
        all.push(Measured {
            format: format.name(),
            embedding_bits: *embedding_bits,
            file,
            bytes: file_bytes(path)?,
            quality,
            interval: interval::of_figure(&exam.subject, logits.view(), &exam.gold),
            drop: 100.0 * drop,
            agreement,
            mean_kl: measure::mean_kl(&exam.subject, said.view(), logits.view()),
            batch_difference,
            batch_flips,
            speed: Speed::default(),
        });
    }
    let speeds = timing::time(&paths, &exam.tokenizer, opener)?;
    all.iter_mut().zip(speeds).for_each(|(measured, speed)| measured.speed = speed);
    Ok(all)
}

impl Measured {
    /// Returns what is said of how its numbers are stored.
    pub fn stored(&self) -> String {
        match self.embedding_bits {
            Some(bits) if bits != TableBits::default().bits() => {
                format!("{}, {bits}-bit embeddings", self.format)
            }
            _ => self.format.to_owned(),
        }
    }

    /// Returns what a file says of itself: the figures that do not depend on the machine, for its notes.
    pub fn notes(&self, exam: &Exam) -> BTreeMap<String, String> {
        let quality =
            self.quality.iter().map(|(name, value)| (format!("measured_{name}"), value.to_string()));
        let own = [
            ("measured_format", self.format.to_owned()),
            (
                "measured_embedding_bits",
                self.embedding_bits.map_or_else(String::new, |bits| bits.to_string()),
            ),
            ("measured_agreement", format!("{:.6}", self.agreement)),
            ("measured_on_sha256", exam.fingerprint.clone().unwrap_or_default()),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value));
        quality.chain(own).filter(|(_, value)| !value.is_empty()).collect()
    }
}

/// Returns what a file says of every text.
///
/// # Errors
/// When it cannot be opened, or fails.
pub fn say(path: &Path, exam: &Exam, opener: &Opener<'_>, what: &str) -> Result<Array2<f32>> {
    let notify = |line: &str| opener.console.say(line);
    let mut model = Teacher::open(path, &opener.options(&notify))?;
    let progress = SharedProgress::new(opener.console.progress(what, exam.texts.len()), "texts");
    let logits = ask(&mut model, &exam.texts, 0..exam.texts.len(), &|more| progress.advance(more));
    progress.finish();
    logits
}

/// The texts that are asked about alone and together, and the padded tokens of a batch of them.
const TOGETHER: usize = 128;
const TOGETHER_TOKENS: usize = 1 << 12;

/// Returns how much a logit changes at most from a text alone to one in a padded batch, and how often the class does.
fn independence(path: &Path, texts: &Encodings, opener: &Opener<'_>) -> Result<(f32, f64)> {
    let notify = |line: &str| opener.console.say(line);
    let chosen: Vec<usize> = measure::evenly(texts.len(), TOGETHER).collect();
    let said = |batch_tokens| {
        let options = opener.options(&notify).together(batch_tokens);
        ask(&mut Teacher::open(path, &options)?, texts, chosen.iter().copied(), &|_| {})
    };
    let (alone, together) = (said(1)?, said(TOGETHER_TOKENS)?);
    let difference = (&alone - &together).iter().fold(0.0_f32, |max, d| max.max(d.abs()));
    let classes = [argmax(alone.view()), argmax(together.view())];
    let flips = classes[0].iter().zip(&classes[1]).filter(|(alone, together)| alone != together).count();
    Ok((difference, flips as f64 / chosen.len().max(1) as f64))
}
