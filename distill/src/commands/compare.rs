//! `distill compare`: a teacher beside its students, on quality, size and speed.

use super::Opener;
use crate::asking::ask;
use crate::cli::{Common, CompareArgs};
use crate::console::Console;
use crate::corpus::{Corpus, Subject};
use crate::error::explained;
use crate::measure::{self, class_order};
use crate::recipe::Recipe;
use crate::report::{DataFacts, ModelReport, Report};
use crate::task::LabelSet;
use crate::tokens::{Encodings, Tokenizer};
use crate::{bundle, names};
use anyhow::Result;
use ndarray::{Array2, Axis};
use std::path::Path;
use std::time::Instant;
use student::import::onnx::{Summary, summary};
use teacher::Teacher;

/// A model that takes part in a comparison.
pub struct Contender {
    name: String,
    model: Teacher,
    tokenizer: Tokenizer,
    /// Which of the model's logits is which class of the comparison; none when they stand in the same order.
    order: Option<Vec<usize>>,
}

/// Compares models.
///
/// # Errors
/// When a model or the data cannot be read, or two models have different classes.
pub fn run(args: &CompareArgs, common: &Common, console: &Console) -> Result<()> {
    let mut recipe = Recipe::default();
    args.columns.lay_over(&mut recipe);
    let opener = Opener { common, console };
    let teacher = opener.open(&args.teacher)?;
    let subject = Subject::of_model(&recipe.data, teacher.config(), teacher.num_classes())?;
    drop(teacher);
    let corpus = subject.read(&args.data)?;
    let paths = std::iter::once(&args.teacher).chain(&args.student);
    let mut contenders =
        paths.map(|path| Contender::open(&opener, path, &subject)).collect::<Result<Vec<_>>>()?;
    let report = compare(&mut contenders, &corpus, &subject, console)?;
    if let Some(path) = &args.out {
        bundle::write_text(path, &report.to_json())?;
    }
    console.hand_out(if console.json { report.to_json() } else { report.to_table() });
    Ok(())
}

impl Contender {
    /// Opens a model for a comparison.
    ///
    /// # Errors
    /// When it cannot be opened, or has other classes.
    pub fn open(opener: &Opener<'_>, path: &Path, subject: &Subject) -> Result<Self> {
        let model = opener.open(path)?;
        let tokenizer = opener.tokenizer(&model, path, subject.max_length)?;
        let own = &model.config().id2label;
        let order = match &subject.labels {
            Some(labels) if !own.is_empty() => {
                class_order(own, labels).map_err(|reason| other_classes(path, own, labels, reason))?
            }
            _ => None,
        };
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Contender { name, model, tokenizer, order })
    }

    /// Returns the logits of every text, in the order of the comparison's classes.
    fn logits(&mut self, encodings: &Encodings) -> Result<Array2<f32>> {
        let logits = ask(&mut self.model, encodings, 0..encodings.len(), &|_| {})?;
        Ok(match &self.order {
            Some(order) => logits.select(Axis(1), order),
            None => logits,
        })
    }
}

/// Sets the first contender, the teacher, beside the others.
///
/// # Errors
/// When a model fails.
pub fn compare(
    contenders: &mut [Contender],
    corpus: &Corpus,
    subject: &Subject,
    console: &Console,
) -> Result<Report> {
    let mut progress = console.progress("compare", contenders.len() * corpus.len());
    let mut models = Vec::with_capacity(contenders.len());
    let mut encoded = Vec::with_capacity(contenders.len());
    let mut teacher_logits: Option<Array2<f32>> = None;
    for contender in contenders.iter_mut() {
        let encodings = corpus.encode(&contender.tokenizer, 0)?;
        let logits = contender.logits(&encodings)?;
        let reference = teacher_logits.get_or_insert_with(|| logits.clone());
        let facts = summary(contender.model.path())?;
        models.push(ModelReport {
            name: contender.name.clone(),
            onnx: contender.model.path().display().to_string(),
            quality: measure::figures(subject, logits.view(), &corpus.gold),
            agreement: measure::agreement(subject, reference.view(), logits.view()),
            mean_kl: measure::mean_kl(subject, reference.view(), logits.view()),
            parameters: facts.num_parameters() as u64,
            file_bytes: file_bytes(contender.model.path(), &facts),
            load_seconds: contender.model.load_seconds(),
            latency_p50_ms: 0.0,
            texts_per_second: 0.0,
        });
        encoded.push(encodings);
        progress.advance(corpus.len(), || contender.name.clone());
    }
    progress.finish();
    time(contenders, &encoded, &mut models)?;
    let data = DataFacts {
        path: corpus.dataset.path.display().to_string(),
        examples: corpus.len(),
        labelled: corpus.num_labelled(),
        sha256: corpus.dataset.fingerprint.clone(),
    };
    Ok(Report { data, models, training: None })
}

/// The single texts that are timed.
const SINGLES: usize = 64;
/// The texts of a timed batch, and how often it is timed.
const BATCH: usize = 256;
const BATCH_ROUNDS: usize = 5;

/// Times all models in turn, so that a noisy machine is fair to all.
fn time(contenders: &mut [Contender], encoded: &[Encodings], models: &mut [ModelReport]) -> Result<()> {
    let examples = encoded.first().map_or(0, Encodings::len);
    let mut singles = vec![Vec::with_capacity(SINGLES); contenders.len()];
    for i in 0..SINGLES.min(examples) {
        let chosen = i * examples / SINGLES.min(examples);
        for ((contender, encodings), times) in contenders.iter_mut().zip(encoded).zip(&mut singles) {
            times.push(seconds(|| ask(&mut contender.model, encodings, [chosen], &|_| {}))?);
        }
    }
    let batch = BATCH.min(examples);
    let mut batches = vec![Vec::with_capacity(BATCH_ROUNDS); contenders.len()];
    for _ in 0..BATCH_ROUNDS {
        for ((contender, encodings), times) in contenders.iter_mut().zip(encoded).zip(&mut batches) {
            times.push(seconds(|| ask(&mut contender.model, encodings, 0..batch, &|_| {}))?);
        }
    }
    for ((model, singles), batches) in models.iter_mut().zip(&mut singles).zip(&mut batches) {
        model.latency_p50_ms = 1e3 * measure::median(singles);
        model.texts_per_second = batch as f64 / measure::median(batches);
    }
    Ok(())
}

/// Returns the size of a graph, with the data that it keeps in files beside it.
pub fn file_bytes(path: &Path, facts: &Summary) -> u64 {
    let stored: usize = facts.stored.values().map(|stored| stored.bytes).sum();
    let file = std::fs::metadata(path).map_or(0, |file| file.len());
    if stored as u64 > file { file + stored as u64 } else { file }
}

fn seconds<T>(work: impl FnOnce() -> Result<T>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

fn other_classes(path: &Path, own: &[String], labels: &LabelSet, reason: String) -> anyhow::Error {
    let shown = |names: &[String]| names::list(names.iter().map(String::as_str));
    explained(
        format!(
            "`{}` has the classes {}, but the teacher {}: {reason}",
            path.display(),
            shown(own),
            shown(labels.names())
        ),
        "compare models of the same classes; rename the teacher's with `--labels` if they only have other names",
    )
}
