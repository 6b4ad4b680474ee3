//! `distill compare`: a teacher beside its students, on quality, size and speed.

use super::Opener;
use crate::asking::ask;
use crate::cli::{Common, CompareArgs};
use crate::console::Console;
use crate::corpus::Subject;
use crate::error::explained;
use crate::measure::{self, class_order};
use crate::recipe::Recipe;
use crate::report::{DataFacts, ModelReport, Report};
use crate::task::{Gold, LabelSet};
use crate::tokens::{Encodings, Tokenizer};
use crate::{bundle, names};
use anyhow::Result;
use ndarray::{Array2, Axis};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
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
    /// The texts of the comparison in the model's own tokens.
    texts: Encodings,
    /// What the model says of them, [texts, C], in the order of the comparison's classes, where that is known.
    logits: Option<Array2<f32>>,
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
    let open = |path: &PathBuf| -> Result<Contender> {
        let contender = Contender::open(&opener, path, &subject)?;
        let texts = corpus.encode(&contender.tokenizer, 0)?;
        Ok(contender.with_texts(texts))
    };
    let mut contenders = paths.map(open).collect::<Result<Vec<_>>>()?;
    let data = DataFacts {
        path: corpus.dataset.path.display().to_string(),
        examples: corpus.len(),
        labelled: corpus.num_labelled(),
        sha256: corpus.dataset.fingerprint.clone(),
    };
    let report = compare(&mut contenders, &corpus.gold, data, &subject, console)?;
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
        Ok(Contender { name, model, tokenizer, order, texts: Encodings::default(), logits: None })
    }

    /// Takes the texts of the comparison in the model's own tokens.
    pub fn with_texts(self, texts: Encodings) -> Self {
        Contender { texts, ..self }
    }

    /// Takes what the model said of these texts when it was asked earlier, in the order of the comparison's classes.
    pub fn has_said(&mut self, logits: Array2<f32>) {
        self.logits = Some(logits);
    }

    /// Returns the logits of every text, in the order of the comparison's classes.
    fn say(&mut self, progress: &(dyn Fn(usize) + Sync)) -> Result<Array2<f32>> {
        if let Some(logits) = self.logits.take() {
            progress(logits.nrows());
            return Ok(logits);
        }
        let logits = ask(&mut self.model, &self.texts, 0..self.texts.len(), progress)?;
        Ok(match &self.order {
            Some(order) => logits.select(Axis(1), order),
            None => logits,
        })
    }
}

/// Sets the first contender, the teacher, beside the others. `gold`: the label of each text.
///
/// # Errors
/// When a model fails.
pub fn compare(
    contenders: &mut [Contender],
    gold: &[Gold],
    data: DataFacts,
    subject: &Subject,
    console: &Console,
) -> Result<Report> {
    let progress = Mutex::new(console.progress("compare", contenders.len() * gold.len()));
    let advance = |more| {
        if let Ok(mut progress) = progress.lock() {
            progress.advance(more, String::new);
        }
    };
    let mut models = Vec::with_capacity(contenders.len());
    let mut teacher_logits: Option<Array2<f32>> = None;
    for contender in contenders.iter_mut() {
        let logits = contender.say(&advance)?;
        let reference = teacher_logits.get_or_insert_with(|| logits.clone());
        let facts = summary(contender.model.path())?;
        models.push(ModelReport {
            name: contender.name.clone(),
            onnx: contender.model.path().display().to_string(),
            quality: measure::figures(subject, logits.view(), gold),
            agreement: measure::agreement(subject, reference.view(), logits.view()),
            mean_kl: measure::mean_kl(subject, reference.view(), logits.view()),
            parameters: facts.num_parameters() as u64,
            file_bytes: file_bytes(contender.model.path(), &facts),
            load_seconds: contender.model.load_seconds(),
            latency_p50_ms: 0.0,
            texts_per_second: 0.0,
        });
    }
    if let Ok(progress) = progress.into_inner() {
        progress.finish();
    }
    time(contenders, &mut models)?;
    Ok(Report { data, models, training: None })
}

/// The single texts that are timed.
const SINGLES: usize = 64;
/// The texts of a timed batch, and how often it is timed.
const BATCH: usize = 256;
const BATCH_ROUNDS: usize = 5;

/// Times all models in turn, so that a noisy machine is fair to all.
fn time(contenders: &mut [Contender], models: &mut [ModelReport]) -> Result<()> {
    let examples = contenders.first().map_or(0, |contender| contender.texts.len());
    let mut singles = vec![Vec::with_capacity(SINGLES); contenders.len()];
    for i in 0..SINGLES.min(examples) {
        let chosen = i * examples / SINGLES.min(examples);
        for (Contender { model, texts, .. }, times) in contenders.iter_mut().zip(&mut singles) {
            times.push(seconds(|| ask(model, texts, [chosen], &|_| {}))?);
        }
    }
    let batch = BATCH.min(examples);
    let mut batches = vec![Vec::with_capacity(BATCH_ROUNDS); contenders.len()];
    for _ in 0..BATCH_ROUNDS {
        for (Contender { model, texts, .. }, times) in contenders.iter_mut().zip(&mut batches) {
            times.push(seconds(|| ask(model, texts, 0..batch, &|_| {}))?);
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
