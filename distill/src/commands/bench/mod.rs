//! `distill bench`: how fast this machine is, and how much of it training, labelling and inference use.

mod infer;
mod kernels;
mod label;
pub mod sentences;
mod step;
mod table;

use super::Opener;
use super::material::required;
use crate::cli::{BenchArgs, BenchPart, Common};
use crate::console::Console;
use crate::error::explained;
use crate::names;
use anyhow::Result;
use kernels::Peaks;
use serde_json::{Value, json};
use student::Precision;
use student::Threads;
use student::bert::{BertConfig, PRESETS, Preset};
use student::engine::{bf16_unit, cpu_features};
use student::measure::Lengths;

/// V of the student: that of BERT.
const VOCAB_SIZE: usize = 30_522;

/// What is measured with.
pub struct Settings {
    config: BertConfig,
    batch_size: usize,
    lengths: Lengths,
    threads: Threads,
    /// The precision of a step.
    precision: Precision,
    /// The precision that was asked for; none when it was left open.
    asked: Option<Precision>,
}

/// Measures what was asked for: kernels and a step, when nothing was said.
///
/// # Errors
/// When a setting makes no sense, `--model` is missing where it is needed, or a model fails.
pub fn run(args: &BenchArgs, common: &Common, console: &Console) -> Result<()> {
    // One thread, unless asked otherwise: rates are those of a core.
    let common = Common { threads: common.threads.or(Some(1)), ..common.clone() };
    let opener = Opener { common: &common, console };
    let settings = Settings::new(args, opener.threads())?;
    let model = || required(args.model.clone(), "model", "the directory of an ONNX model");
    let rows = match args.what {
        Some(BenchPart::Label) => label::rows(&settings, &model()?, args.data.as_deref(), &opener)?,
        Some(BenchPart::Infer) => {
            let mut progress = console.progress("bench", infer::COUNT);
            let rows = infer::rows(&settings, &model()?, &opener, &mut progress)?;
            progress.finish();
            rows
        }
        Some(BenchPart::Kernels) => student_rows(&settings, &[BenchPart::Kernels], console)?,
        Some(BenchPart::Step) => student_rows(&settings, &[BenchPart::Step], console)?,
        None => student_rows(&settings, &[BenchPart::Kernels, BenchPart::Step], console)?,
    };
    console.hand_out(if console.json {
        serde_json::to_string_pretty(&table::to_json(settings.to_json(args), &rows))?
    } else {
        table::to_table(&rows)
    });
    Ok(())
}

/// Measures what needs no model.
fn student_rows(settings: &Settings, parts: &[BenchPart], console: &Console) -> Result<Vec<table::Row>> {
    let count = |part: &BenchPart| match part {
        BenchPart::Kernels => kernels::count(settings),
        _ => step::COUNT,
    };
    let mut progress = console.progress("bench", parts.iter().map(count).sum());
    let peaks = Peaks::measure(&settings.threads);
    let mut rows = Vec::new();
    for part in parts {
        rows.extend(match part {
            BenchPart::Kernels => kernels::rows(settings, peaks, &mut progress),
            _ => step::rows(settings, peaks, &mut progress)?,
        });
    }
    progress.finish();
    Ok(rows)
}

impl Settings {
    fn new(args: &BenchArgs, threads: usize) -> Result<Self> {
        let preset = Preset::named(&args.student).ok_or_else(|| unknown_student(&args.student))?;
        let config = preset.config(VOCAB_SIZE, vec!["negative".to_owned(), "positive".to_owned()]);
        let most = config.max_position_embeddings;
        let mean = args.mean_length.unwrap_or(args.length);
        for (flag, value, most) in [
            ("batch-size", args.batch_size, MAX_BATCH),
            ("length", args.length, most),
            ("mean-length", mean, args.length),
        ] {
            if value == 0 || value > most {
                return Err(explained(
                    format!("`--{flag}` is `{value}`, but must be between 1 and {most}"),
                    format!("leave `--{flag}` out for the usual value, or give one in the range"),
                ));
            }
        }
        let asked = match args.precision.unwrap_or_default() {
            crate::recipe::Precision::Auto => None,
            precision => Some(precision.engine()),
        };
        Ok(Settings {
            config,
            batch_size: args.batch_size,
            lengths: match args.mean_length {
                Some(mean) => Lengths::Ragged { mean, most: args.length },
                None => Lengths::Equal(args.length),
            },
            threads: Threads::new(threads)?,
            precision: asked.unwrap_or_else(Precision::auto),
            asked,
        })
    }

    /// Returns the lengths of the texts of a batch; another seed gives other ones, where they are ragged.
    fn draw_lengths(&self, seed: u64) -> Vec<usize> {
        self.lengths.draw(self.batch_size, seed)
    }

    /// Returns the precisions in which products are measured: both, unless one was asked for.
    fn product_precisions(&self) -> Vec<Precision> {
        self.asked.map_or_else(|| vec![Precision::F32, Precision::Bf16], |precision| vec![precision])
    }

    fn to_json(&self, args: &BenchArgs) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "cpu_features": cpu_features(),
            "bf16_unit": bf16_unit(),
            "threads": self.threads.count(),
            "student": args.student,
            "batch_size": self.batch_size,
            "length": args.length,
            "mean_length": args.mean_length,
            "precision": self.precision.to_string(),
            "model": args.model,
            "data": args.data,
        })
    }
}

/// The most sequences of a batch: what fits the memory of most machines with the largest preset.
const MAX_BATCH: usize = 4096;

fn unknown_student(name: &str) -> anyhow::Error {
    let presets = || PRESETS.iter().map(|preset| preset.name);
    let hint = match names::nearest(name, presets()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "choose one of them".to_owned(),
    };
    explained(format!("there is no student `{name}`; the presets are {}", names::list(presets())), hint)
}
