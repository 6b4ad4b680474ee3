//! A comparison as Markdown, for a pull request or a model card.

use super::numbers::{bytes, difference, figure, milliseconds, percent, points, probability, thousands};
use super::terminal::{dash, with_ends};
use super::{ExampleList, ModelReport, Report, Role};
use std::fmt::Write;

/// The examples of each kind that are shown.
const SHOWN: usize = 5;
/// The characters of an example, at most.
const LONGEST: usize = 160;

impl Report {
    /// Returns the report as Markdown.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# Comparison on {}\n\n", escape(&self.data.path));
        for (student, _) in self.judged() {
            let _ = writeln!(text, "- {}", escape(&self.sentences(student)));
        }
        if let Some(condition) = &self.condition {
            let names = condition.met_by.iter().map(|model| escape(&self.models[*model].name));
            let names: Vec<String> = names.collect();
            let who = if names.is_empty() { "no student".to_owned() } else { names.join(", ") };
            let _ = writeln!(text, "- The condition `{}` holds for {who}.", condition.text.replace('`', "'"));
        }
        text += &format!("\n## Quality\n\n{}", self.quality_in_markdown());
        let differences = self.differences_in_markdown();
        if !differences.is_empty() {
            text += &format!("\n## Differences from the teacher\n\n{differences}");
        }
        if self.teacher().cost.is_some() {
            text += &format!("\n## Cost\n\n{}", self.cost_in_markdown());
        }
        text += &self.examples_in_markdown();
        let _ = write!(
            text,
            "\nIntervals of 95 % from {} resamples of {} examples, seed {}; margin {} points. Everything is in `report.json`.\n",
            thousands(self.method.resamples as u64),
            thousands(self.data.examples as u64),
            self.method.seed,
            self.method.margin_points
        );
        text
    }

    fn quality_in_markdown(&self) -> String {
        let mut rows = vec![heads("", self.models.iter())];
        for measure in &self.measures {
            let pair = ["agreement", "mean_kl"].contains(&measure.name.as_str());
            let cells = self.models.iter().map(|model| {
                let own = pair && model.role == Role::Teacher;
                let estimate = self.figure(model, &measure.name).filter(|_| !own);
                estimate
                    .map_or_else(dash, |estimate| with_ends(estimate, |value| figure(measure.unit, value)))
            });
            rows.push(std::iter::once(escape(&measure.title)).chain(cells).collect());
        }
        table(&rows)
    }

    fn differences_in_markdown(&self) -> String {
        let models = self.students.iter().map(|student| &self.models[student.model]);
        let mut rows = vec![heads("", models)];
        for measure in &self.measures {
            let estimates: Vec<_> =
                self.students.iter().map(|student| student.differences.get(&measure.name)).collect();
            if estimates.iter().any(Option::is_some) {
                let say = |value| difference(measure.unit, value);
                let cell = |it: Option<&super::Estimate>| it.map_or_else(dash, |it| with_ends(*it, say));
                let cells = estimates.into_iter().map(cell);
                rows.push(std::iter::once(escape(&measure.title)).chain(cells).collect());
            }
        }
        let tests = self.students.iter().map(|student| {
            student.mcnemar.map_or_else(dash, |test| {
                let (broken, fixed) = (thousands(test.broken), thousands(test.fixed));
                format!("{broken} broken, {fixed} fixed, p {}", probability(test.p_holm))
            })
        });
        if rows.len() == 1 {
            return String::new();
        }
        rows.push(std::iter::once("McNemar, p by Holm".to_owned()).chain(tests).collect());
        let controls = self.judged().flat_map(|(student, model)| {
            student.over_controls.iter().map(|over| {
                let control = &self.models[over.control].name;
                let more = with_ends(over.difference, points);
                format!("- {} over the control {}: {more} points\n", escape(&model.name), escape(control))
            })
        });
        let controls: String = controls.collect();
        format!("{}{}{controls}", table(&rows), if controls.is_empty() { "" } else { "\n" })
    }

    fn cost_in_markdown(&self) -> String {
        let titles = ["", "file", "load", "p50", "p95", "p99", "texts/s", "memory", "core-s per million"];
        let mut rows = vec![titles.map(str::to_owned).to_vec()];
        for model in &self.models {
            let Some(cost) = &model.cost else { continue };
            rows.push(vec![
                escape(&model.name),
                bytes(cost.file_bytes),
                milliseconds(cost.load_ms),
                milliseconds(cost.latency.p50_ms),
                milliseconds(cost.latency.p95_ms),
                milliseconds(cost.latency.p99_ms),
                thousands(cost.throughput.texts_per_second as u64),
                cost.peak_bytes.map_or_else(dash, bytes),
                thousands(cost.per_million.core_seconds as u64),
            ]);
        }
        table(&rows)
    }

    fn examples_in_markdown(&self) -> String {
        let mut text = String::new();
        for (student, model) in self.judged() {
            for (list, title) in [(&student.broken, "breaks"), (&student.fixed, "fixes")] {
                if !list.shown.is_empty() {
                    let count = thousands(list.count);
                    let _ = write!(
                        text,
                        "\n## {} {title} {count}\n\n{}",
                        escape(&model.name),
                        self.list_in_markdown(list)
                    );
                }
            }
        }
        text
    }

    fn list_in_markdown(&self, list: &ExampleList) -> String {
        let item = |example: &super::ExampleReport| {
            let texts = [&example.text, &example.text_pair].into_iter().flatten();
            let texts: Vec<String> =
                texts.map(|text| escape(&text.chars().take(LONGEST).collect::<String>())).collect();
            let sure = if self.data.labels.is_empty() {
                String::new()
            } else {
                format!(" ({})", percent(example.confidence))
            };
            let [gold, teacher, student] =
                [&example.gold, &example.teacher, &example.student].map(|it| escape(it));
            format!("1. {}: right {gold}, teacher {teacher}, student {student}{sure}\n", texts.join(" / "))
        };
        list.shown.iter().take(SHOWN).map(item).collect()
    }
}

fn heads<'a>(corner: &str, models: impl Iterator<Item = &'a ModelReport>) -> Vec<String> {
    std::iter::once(corner.to_owned()).chain(models.map(|model| escape(&model.name))).collect()
}

fn table(rows: &[Vec<String>]) -> String {
    let mut lines: Vec<String> = rows.iter().map(|row| format!("| {} |", row.join(" | "))).collect();
    let columns = rows.first().map_or(0, Vec::len);
    lines.insert(1.min(lines.len()), format!("|---|{}", "---:|".repeat(columns.saturating_sub(1))));
    lines.join("\n") + "\n"
}

/// Returns text that means itself in Markdown, on one line.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            c if c.is_control() => escaped.push(' '),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
