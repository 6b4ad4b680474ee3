//! The measurements as rows, for people and for programs.

use crate::cost::clock::Cost;
use crate::report::aligned;
use serde::Serialize;
use serde_json::{Value, json};

/// One measurement. What has no meaning for it is null.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The measurement it belongs to: `kernels`, `step`, `label` or `infer`.
    pub what: &'static str,
    /// What was measured.
    pub name: String,
    /// The precision of the products in it.
    pub precision: Option<String>,
    /// Processor time of a run on all threads, in milliseconds.
    pub cpu_ms: f64,
    /// Time that passed in a run, in milliseconds.
    pub wall_ms: f64,
    /// Tokens in a second that passed.
    pub tokens_per_second: Option<f64>,
    /// Texts in a second that passed.
    pub texts_per_second: Option<f64>,
    /// 10⁹ floating-point operations in a second of processor time.
    pub gflops: Option<f64>,
    /// 10⁹ bytes in a second of processor time.
    pub gigabytes_per_second: Option<f64>,
    /// `gflops` by the measured peak of the precision.
    pub share_of_peak: Option<f64>,
    /// Processor time by that of the whole that the row is a part of.
    pub share_of_whole: Option<f64>,
}

impl Row {
    /// Makes a row of a cost alone.
    pub fn new(what: &'static str, name: impl Into<String>, cost: Cost) -> Self {
        Row {
            what,
            name: name.into(),
            precision: None,
            cpu_ms: cost.cpu_ms,
            wall_ms: cost.wall_ms,
            tokens_per_second: None,
            texts_per_second: None,
            gflops: None,
            gigabytes_per_second: None,
            share_of_peak: None,
            share_of_whole: None,
        }
    }

    /// Adds the tokens and texts that went through.
    pub fn with_texts(mut self, tokens: usize, texts: usize) -> Self {
        let cost = self.cost();
        self.tokens_per_second = Some(cost.per_second(tokens as f64));
        self.texts_per_second = Some(cost.per_second(texts as f64));
        self
    }

    /// Adds the operations that were done, in a precision with a measured peak in 10⁹ operations a second.
    pub fn with_flops(mut self, flops: f64, precision: student::Precision, peak: f64) -> Self {
        let rate = self.cost().giga_per_cpu_second(flops);
        self.precision = Some(precision.to_string());
        self.gflops = Some(rate);
        self.share_of_peak = Some(rate / peak);
        self
    }

    /// Adds the bytes that were moved.
    pub fn with_bytes(mut self, bytes: f64) -> Self {
        self.gigabytes_per_second = Some(self.cost().giga_per_cpu_second(bytes));
        self
    }

    /// Adds what it is a part of.
    pub fn with_whole(mut self, whole: Cost) -> Self {
        self.share_of_whole = Some(self.cpu_ms / whole.cpu_ms.max(1e-6));
        self
    }

    fn cost(&self) -> Cost {
        Cost { cpu_ms: self.cpu_ms, wall_ms: self.wall_ms }
    }
}

/// Returns the rows as one JSON object, beside what they were measured with.
pub fn to_json(mut settings: Value, rows: &[Row]) -> Value {
    settings["rows"] = json!(rows);
    settings
}

/// Returns the rows as a table.
pub fn to_table(rows: &[Row]) -> String {
    let head = ["", "CPU ms", "wall ms", "tokens/s", "texts/s", "rate", "of peak", "of whole"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    let whole = |x: Option<f64>| x.map_or_else(String::new, |x| format!("{x:.0}"));
    let share = |x: Option<f64>| x.map_or_else(String::new, |x| format!("{:.1} %", 100.0 * x));
    for row in rows {
        let precision = row.precision.as_ref().map_or_else(String::new, |precision| format!(" {precision}"));
        let rate = match (row.gflops, row.gigabytes_per_second) {
            (Some(rate), _) => format!("{rate:.1} GFLOP/s"),
            (None, Some(rate)) => format!("{rate:.1} GB/s"),
            (None, None) => String::new(),
        };
        lines.push(vec![
            format!("{} · {}{precision}", row.what, row.name),
            format!("{:.3}", row.cpu_ms),
            format!("{:.3}", row.wall_ms),
            whole(row.tokens_per_second),
            whole(row.texts_per_second),
            rate,
            share(row.share_of_peak),
            share(row.share_of_whole),
        ]);
    }
    aligned(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_line_and_an_object() {
        let cost = Cost { cpu_ms: 10.0, wall_ms: 20.0 };
        let rows = [
            Row::new("step", "step", cost).with_texts(40, 4).with_flops(1e9, student::Precision::F32, 200.0),
            Row::new("kernels", "memory", cost).with_bytes(1e8).with_whole(cost.times(2)),
        ];
        let expected =
            "                  CPU ms  wall ms  tokens/s  texts/s           rate  of peak  of whole
step · step f32   10.000   20.000      2000      200  100.0 GFLOP/s   50.0 %
kernels · memory  10.000   20.000                         10.0 GB/s             50.0 %";
        assert_eq!(to_table(&rows), expected);
        let json = to_json(json!({ "threads": 1 }), &rows);
        assert_eq!((&json["threads"], &json["rows"][0]["share_of_peak"]), (&json!(1), &json!(0.5)));
        assert_eq!(json["rows"][1]["share_of_peak"], Value::Null);
    }
}
