//! What an export found out, as a table and as JSON.

use super::exam::Exam;
use super::measured::Measured;
use crate::bundle::{ONNX, Verification};
use crate::console::Console;
use crate::report::{aligned, count};
use crate::vocabulary::Trimmed;
use serde_json::{Value, json};
use std::path::Path;

/// What an export found out and did.
pub struct Outcome<'a> {
    /// Where the files lie.
    pub folder: &'a Path,
    /// Every format that was measured.
    pub all: &'a [Measured],
    /// The places of those that were put in place.
    pub shipped: &'a [usize],
    /// The number of parameters.
    pub parameters: usize,
    /// How the graph in single precision compares with the native student.
    pub verification: Verification,
    /// What was trimmed of the vocabulary.
    pub trimmed: Option<&'a Trimmed>,
}

impl Outcome<'_> {
    /// Returns the outcome as JSON. `onnx` and `bytes` are those of the first file that was put in place.
    pub fn to_json(&self, exam: &Exam) -> Value {
        let first = self.shipped.first().map(|&i| &self.all[i]);
        json!({
            "onnx": first.map(|it| self.folder.join(it.file)),
            "bytes": first.map(|it| it.bytes),
            "parameters": self.parameters,
            "verification": self.verification,
            "eval": exam.file,
            "examples": exam.texts.len(),
            "formats": self.all,
            "vocabulary": self.trimmed,
            "shipped": self.shipped.iter().map(|&i| self.all[i].file).collect::<Vec<_>>(),
        })
    }

    /// Hands out the table, and says where the files are.
    pub fn print(&self, exam: &Exam, console: &Console) {
        console.hand_out(self.to_table(exam));
        let files: Vec<_> = self.shipped.iter().map(|&i| self.all[i].file).collect();
        console.say(format_args!(
            "{} · {} · {} parameters · `{ONNX}` verified on {} texts: logits differ by at most {:.1e}",
            self.folder.display(),
            files.join(", "),
            count(self.parameters),
            self.verification.examples,
            self.verification.max_difference
        ));
    }

    fn to_table(&self, exam: &Exam) -> String {
        format!("{}\n\n({} texts; {LEGEND})", aligned(&rows(self.all, self.shipped, exam)), exam.texts.len())
    }
}

/// What the columns mean.
pub const LEGEND: &str = "times on one thread; in a batch: the largest change of a logit against the text alone, and the share \
                          of texts whose class changes";

/// Returns the figures of the files as rows under a row of titles; those that were not put in place are marked.
pub fn rows(all: &[Measured], shipped: &[usize], exam: &Exam) -> Vec<Vec<String>> {
    let figure = exam.subject.task.metric.name();
    let has_figures = all.iter().any(|it| it.quality.contains_key(figure));
    let mut title = vec!["format".to_owned(), "file".into(), "MB".into()];
    if has_figures {
        title.extend([figure.to_owned(), "95 %".into()]);
    }
    title
        .extend(["as fp32", "KL", "1x16, ms", "1x128, ms", "16x32, texts/s", "in a batch"].map(String::from));
    let rows = all.iter().enumerate().map(|(i, it)| {
        let mark = if shipped.contains(&i) { "" } else { " (not kept)" };
        let mut row = vec![format!("{}{mark}", it.stored()), it.file.to_owned(), megabytes(it.bytes)];
        if has_figures {
            let value = it.quality.get(figure).and_then(Value::as_f64);
            row.push(value.map_or_else(dash, |value| format!("{value:.4}")));
            row.push(it.interval.map_or_else(dash, |[low, high]| format!("{low:.3} to {high:.3}")));
        }
        row.push(format!("{:.4}", it.agreement));
        row.push(it.mean_kl.map_or_else(dash, |kl| format!("{kl:.1e}")));
        row.push(format!("{:.2}", it.speed.p50_1x16_ms));
        row.push(format!("{:.2}", it.speed.p50_1x128_ms));
        row.push(format!("{:.0}", it.speed.texts_per_second_16x32));
        row.push(format!("±{:.0e}, {:.1} %", it.batch_difference, 100.0 * it.batch_flips));
        row
    });
    std::iter::once(title).chain(rows).collect()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

fn dash() -> String {
    "–".to_owned()
}
