//! A comparison as a file and as a table.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// A teacher beside its students, on one data set.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was measured on.
    pub data: DataFacts,
    /// The models; the teacher first.
    pub models: Vec<ModelReport>,
    /// How the student was trained, when it was trained just before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<Value>,
}

/// What was measured on.
#[derive(Clone, Debug, Serialize)]
pub struct DataFacts {
    /// The file.
    pub path: String,
    /// The texts.
    pub examples: usize,
    /// Those with a label.
    pub labelled: usize,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// What was found out about a model.
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    /// What the user called it.
    pub name: String,
    /// The graph.
    pub onnx: String,
    /// How good it is: figures by name, the one to select by first. Empty without labels.
    pub quality: Map<String, Value>,
    /// The share of texts on which it says what the teacher says; of a regression, Pearson's correlation with it.
    pub agreement: Option<f64>,
    /// The mean divergence from the teacher, in nats; none for a regression.
    pub mean_kl: Option<f64>,
    /// The numbers in the graph that were learnt.
    pub parameters: u64,
    /// The size of the graph with its external data, in bytes.
    pub file_bytes: u64,
    /// The time to open the graph, in seconds.
    pub load_seconds: f64,
    /// Half of all single texts took at most this long, in milliseconds.
    pub latency_p50_ms: f64,
    /// The texts that were classified in a second, many at a time.
    pub texts_per_second: f64,
}

impl Report {
    /// Returns the report as JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self)
            .unwrap_or_else(|error| json!({ "error": error.to_string() }).to_string())
            + "\n"
    }

    /// Returns the report as a table with one column for each model, and a line for each student.
    pub fn to_table(&self) -> String {
        let mut rows = vec![self.row("", |model| model.name.clone())];
        for name in self.models.first().map(|model| &model.quality).into_iter().flat_map(Map::keys) {
            rows.push(self.row(name, |model| number(model.quality.get(name).and_then(Value::as_f64))));
        }
        rows.push(self.row("agreement with teacher", |model| number(model.agreement)));
        if self.models.iter().any(|model| model.mean_kl.is_some()) {
            rows.push(self.row("mean KL from teacher, nats", |model| number(model.mean_kl)));
        }
        rows.push(self.row("parameters", |model| count(model.parameters as usize)));
        rows.push(self.row("file, MB", |model| format!("{:.1}", model.file_bytes as f64 / 1e6)));
        rows.push(self.row("load, ms", |model| format!("{:.0}", model.load_seconds * 1e3)));
        rows.push(self.row("one text, p50, ms", |model| format!("{:.2}", model.latency_p50_ms)));
        rows.push(self.row("many texts, per second", |model| format!("{:.0}", model.texts_per_second)));
        let verdicts: Vec<String> = self.models.iter().skip(1).map(|student| self.verdict(student)).collect();
        format!("{}\n\n{}", aligned(&rows), verdicts.join("\n"))
    }

    fn row(&self, title: &str, cell: impl Fn(&ModelReport) -> String) -> Vec<String> {
        std::iter::once(title.to_owned()).chain(self.models.iter().map(cell)).collect()
    }

    /// Says in a line what a student keeps of its teacher, and what it saves.
    fn verdict(&self, student: &ModelReport) -> String {
        let Some(teacher) = self.models.first() else { return String::new() };
        let kept = teacher.quality.iter().next().and_then(|(name, value)| {
            let (of, has) = (value.as_f64()?, student.quality.get(name)?.as_f64()?);
            (of > 0.0).then(|| format!("{:.1} % of the teacher's {name}, ", 100.0 * has / of))
        });
        format!(
            "{}: {}{}, {} ({} texts)",
            student.name,
            kept.unwrap_or_default(),
            times(teacher.file_bytes as f64 / student.file_bytes as f64, "smaller", "larger"),
            times(teacher.latency_p50_ms / student.latency_p50_ms, "faster", "slower"),
            self.data.examples,
        )
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"))
}

fn times(ratio: f64, more: &str, less: &str) -> String {
    if ratio >= 1.0 { format!("{ratio:.1}x {more}") } else { format!("{:.1}x {less}", 1.0 / ratio) }
}

/// Says a large number in three digits or so.
pub fn count(number: usize) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{:.1} k", number as f64 / 1e3),
        _ => format!("{:.1} M", number as f64 / 1e6),
    }
}

/// Lays cells out in columns: the first to the left, the others to the right.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, accuracy: f64, bytes: u64) -> ModelReport {
        ModelReport {
            name: name.into(),
            onnx: format!("{name}/model.onnx"),
            quality: Map::from_iter([("accuracy".to_owned(), json!(accuracy))]),
            agreement: Some(accuracy),
            mean_kl: Some(0.25),
            parameters: bytes / 4,
            file_bytes: bytes,
            load_seconds: 0.05,
            latency_p50_ms: bytes as f64 / 1e7,
            texts_per_second: 1e10 / bytes as f64,
        }
    }

    #[test]
    fn a_table_has_a_column_for_each_model_and_a_verdict_for_each_student() {
        let data = DataFacts { path: "dev.tsv".into(), examples: 872, labelled: 872, sha256: "00".into() };
        let models = vec![model("teacher", 0.9, 90_000_000), model("student", 0.855, 30_000_000)];
        let report = Report { data, models, training: None };
        let expected = "                            teacher  student
accuracy                     0.9000   0.8550
agreement with teacher       0.9000   0.8550
mean KL from teacher, nats   0.2500   0.2500
parameters                   22.5 M    7.5 M
file, MB                       90.0     30.0
load, ms                         50       50
one text, p50, ms              9.00     3.00
many texts, per second          111      333

student: 95.0 % of the teacher's accuracy, 3.0x smaller, 3.0x faster (872 texts)";
        assert_eq!(report.to_table(), expected);
        let json: Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["models"][1]["quality"]["accuracy"], 0.855);
    }
}
