//! Which matrices and tables it costs most to round: each alone, against the student in single precision.

use super::exam::Exam;
use super::measured::say;
use crate::cli::ExportArgs;
use crate::commands::Opener;
use crate::measure;
use crate::report::aligned;
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::Path;
use student::export::Format;
use student::export::onnx::{Model, Storage};
use student::quant::Range;

/// What it costs to round one matrix or table.
#[derive(Debug, Serialize)]
struct Cost {
    name: String,
    agreement: Option<f64>,
    mean_kl: Option<f64>,
    max_difference: f32,
}

/// Rounds each matrix and table alone, as in the most compact of the formats, and prints what changes, most first.
///
/// # Errors
/// When a graph cannot be written or run.
pub fn run(
    args: &ExportArgs,
    exact: &Model,
    exam: &Exam,
    workshop: &Path,
    opener: &Opener<'_>,
) -> Result<()> {
    let asked = args.formats.iter().copied().filter(|format| format.matrices(Range::Full).is_some()).max();
    let storage = args.keep.storage(asked.unwrap_or(Format::Int8Embeddings));
    std::fs::copy(args.student.join("config.json"), workshop.join("config.json"))
        .with_context(|| format!("cannot write to the folder `{}`", workshop.display()))?;
    let path = workshop.join("model.onnx");
    exact.write(&path)?;
    let whole = say(&path, exam, opener, "student")?;
    let names: Vec<String> = exact.rounding(&storage).into_keys().collect();
    let mut costs = Vec::with_capacity(names.len());
    for name in &names {
        let others: Vec<String> = exact.roundable().into_iter().filter(|other| other != name).collect();
        exact.stored_as(&Storage { exclude: &others, ..storage })?.write(&path)?;
        let logits = say(&path, exam, opener, name)?;
        costs.push(Cost {
            name: name.clone(),
            agreement: measure::agreement(&exam.subject, whole.view(), logits.view()),
            mean_kl: measure::mean_kl(&exam.subject, whole.view(), logits.view()),
            max_difference: (&logits - &whole).iter().fold(0.0_f32, |max, d| max.max(d.abs())),
        });
    }
    let weight = |cost: &Cost| cost.mean_kl.unwrap_or(f64::from(cost.max_difference));
    costs.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    if opener.console.json {
        let format = storage.format.name();
        opener
            .console
            .hand_out(serde_json::json!({ "format": format, "examples": exam.texts.len(), "alone": costs }));
    } else {
        opener.console.hand_out(table(&costs, storage.format, exam.texts.len()));
    }
    Ok(())
}

fn table(costs: &[Cost], format: Format, texts: usize) -> String {
    let title = ["rounded alone", "as fp32", "KL", "largest change"].map(String::from).to_vec();
    let number = |value: Option<f64>, show: fn(f64) -> String| value.map_or_else(|| "–".to_owned(), show);
    let rows = costs.iter().map(|cost| {
        vec![
            cost.name.clone(),
            number(cost.agreement, |value| format!("{value:.4}")),
            number(cost.mean_kl, |value| format!("{value:.1e}")),
            format!("{:.1e}", cost.max_difference),
        ]
    });
    let rows: Vec<_> = std::iter::once(title).chain(rows).collect();
    format!("{}\n\n({format}, {texts} texts)", aligned(&rows))
}
