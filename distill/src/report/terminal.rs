//! A comparison on a terminal of 80 columns: a row for each model, and a sentence for each student.

use super::numbers::{bytes, count, difference, figure, percent, probability, thousands, times};
use super::{Estimate, ModelReport, Report, Role, StudentReport};
use crate::comparison::measures::Unit;

/// The columns of a terminal.
const WIDTH: usize = 80;
/// Those of a model's name, at most.
const NAME: usize = 18;

impl Report {
    /// Returns the report as text for a terminal.
    pub fn to_table(&self) -> String {
        let mut parts = vec![self.headline(), self.quality()];
        parts.extend(self.figures());
        parts.extend(self.cost());
        parts.extend(self.spread());
        parts.push(self.verdicts());
        parts.join("\n\n")
    }

    fn headline(&self) -> String {
        let data = &self.data;
        let labelled = match data.labelled {
            0 => "no labels".to_owned(),
            all if all == data.examples => "all labelled".to_owned(),
            some => format!("{} labelled", thousands(some as u64)),
        };
        let examples = thousands(data.examples as u64);
        format!("{} · {examples} examples, {labelled} · intervals of 95 %", data.path)
    }

    /// The figure to select by, how far from the teacher's it is, and how close to the teacher the model is.
    fn quality(&self) -> String {
        let first = self.primary();
        let unlabelled = first.name == "agreement";
        let mut rows = vec![vec![String::new()]];
        rows[0].extend(match unlabelled {
            true => vec![first.title.to_lowercase(), "KL".into()],
            false => {
                let over = "over teacher, points".into();
                vec![first.title.to_lowercase(), over, "agree".into(), "KL".into()]
            }
        });
        for (place, model) in self.models.iter().enumerate() {
            let student = self.students.iter().find(|student| student.model == place);
            let own = |name: &str| self.figure(model, name).filter(|_| student.is_some());
            let kl = own("mean_kl").and_then(|it| it.value).map_or_else(dash, |kl| format!("{kl:.4}"));
            let say = |it: Estimate| with_ends(it, |value| figure(first.unit, value));
            let mut row = vec![called(model)];
            if unlabelled {
                row.extend([own(&first.name).map_or_else(dash, say), kl]);
            } else {
                let over = student.and_then(|student| student.differences.get(&first.name));
                let over = over.map(|over| with_ends(*over, |value| difference(first.unit, value)));
                let agreement = own("agreement").and_then(|it| it.value).map_or_else(dash, percent);
                let quality = self.figure(model, &first.name).map_or_else(dash, say);
                row.extend([quality, over.unwrap_or_else(dash), agreement, kl]);
            }
            rows.push(row);
        }
        aligned(&rows)
    }

    /// All other figures, in percent or as they are.
    fn figures(&self) -> Vec<String> {
        let others: Vec<_> = self
            .measures
            .iter()
            .skip(1)
            .filter(|measure| !["agreement", "mean_kl", "micro_f1"].contains(&measure.name.as_str()))
            .collect();
        if others.is_empty() {
            return Vec::new();
        }
        let titles =
            others.iter().map(|measure| measure.name.replace("_scaled", "\u{2009}T").replace('_', " "));
        let mut rows = vec![std::iter::once(String::new()).chain(titles).collect::<Vec<_>>()];
        for model in &self.models {
            let cell = |name: &str, unit: Unit| {
                let value = self.figure(model, name).and_then(|estimate| estimate.value);
                value.map_or_else(dash, |value| match unit {
                    Unit::Share => format!("{:.1}", 100.0 * value),
                    _ => format!("{value:.3}"),
                })
            };
            let cells = others.iter().map(|measure| cell(&measure.name, measure.unit));
            rows.push(std::iter::once(called(model)).chain(cells).collect());
        }
        vec![aligned(&rows)]
    }

    fn cost(&self) -> Option<String> {
        let cost = self.teacher().cost.as_ref()?;
        let titles = ["", "MB", "params", "load ms", "p50 ms", "p95 ms", "texts/s", "peak MB"];
        let mut rows = vec![titles.map(str::to_owned).to_vec()];
        for model in &self.models {
            let Some(cost) = &model.cost else { continue };
            rows.push(vec![
                called(model),
                format!("{:.1}", cost.file_bytes as f64 / 1e6),
                count(cost.parameters as usize),
                format!("{:.0}", cost.load_ms),
                format!("{:.2}", cost.latency.p50_ms),
                format!("{:.2}", cost.latency.p95_ms),
                format!("{:.0}", cost.throughput.texts_per_second),
                cost.peak_bytes.map_or_else(dash, |bytes| format!("{:.0}", bytes as f64 / 1e6)),
            ]);
        }
        let latency = &cost.latency;
        let s = |count: usize| if count == 1 { "" } else { "s" };
        Some(format!(
            "{}\n(times of {} text{} of {} tokens, {} thread{})",
            aligned(&rows),
            latency.batch,
            s(latency.batch),
            latency.length,
            latency.threads,
            s(latency.threads)
        ))
    }

    fn spread(&self) -> Option<String> {
        let first = self.primary();
        let line = |group: &super::GroupReport| {
            let spread = group.spread.get(&first.name)?;
            let deviation = spread
                .deviation
                .map_or_else(String::new, |deviation| format!(" ± {}", figure(first.unit, deviation)));
            Some(format!(
                "{}: {} over {} runs {}{deviation} ({} to {})",
                group.name,
                first.title.to_lowercase(),
                group.models.len(),
                figure(first.unit, spread.mean),
                figure(first.unit, spread.least),
                figure(first.unit, spread.greatest)
            ))
        };
        let lines: Vec<String> = self.groups.iter().filter_map(line).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    fn verdicts(&self) -> String {
        let mut lines: Vec<String> = self.judged().map(|(student, _)| self.sentences(student)).collect();
        if let Some(condition) = &self.condition {
            let names: Vec<&str> =
                condition.met_by.iter().map(|model| self.models[*model].name.as_str()).collect();
            lines.push(match names.is_empty() {
                true => format!("`{}` holds for no student.", condition.text),
                false => format!("`{}` holds for {}.", condition.text, names.join(", ")),
            });
        }
        lines.iter().map(|line| wrapped(line)).collect::<Vec<_>>().join("\n")
    }

    /// Says of a student what follows, what it saves, whether it differs at all, and what distillation added.
    pub fn sentences(&self, student: &StudentReport) -> String {
        let model = &self.models[student.model];
        let mut text = format!("{}.", student.verdict.text);
        if let (Some(retained), Some(saves)) = (student.retained.value, self.savings(model)) {
            let title = self.primary().title.to_lowercase();
            text += &format!(" It keeps {} of the teacher's {title}, {saves}.", percent(retained));
        } else if let Some(saves) = self.savings(model) {
            text += &format!(" It is {saves}.");
        }
        if let Some(test) = student.mcnemar {
            text += &format!(
                " It breaks {} examples and fixes {} (McNemar's p {}).",
                thousands(test.broken),
                thousands(test.fixed),
                probability(test.p_holm)
            );
        }
        for over in &student.over_controls {
            let unit = self.primary().unit;
            let control = &self.models[over.control].name;
            let more = with_ends(over.difference, |value| difference(unit, value));
            text += &format!(" Over the control {control}: {more} points.");
        }
        text
    }

    /// Says how much smaller and faster than the teacher a model is, where that was measured.
    pub fn savings(&self, model: &ModelReport) -> Option<String> {
        let (of, has) = (self.teacher().cost.as_ref()?, model.cost.as_ref()?);
        let smaller = times(of.file_bytes as f64 / has.file_bytes as f64, "smaller", "larger");
        let faster = times(of.latency.p50_ms / has.latency.p50_ms, "faster", "slower");
        Some(format!("{smaller} ({}), {faster}", bytes(has.file_bytes)))
    }
}

/// Says a number and its ends.
pub(super) fn with_ends(estimate: Estimate, say: impl Fn(f64) -> String) -> String {
    let bare = |value| say(value).trim_end_matches("\u{a0}%").to_owned();
    match (estimate.value, estimate.low, estimate.high) {
        (Some(value), Some(low), Some(high)) => format!("{} [{}, {}]", bare(value), bare(low), bare(high)),
        (Some(value), ..) => bare(value),
        _ => dash(),
    }
}

pub(super) fn dash() -> String {
    "–".to_owned()
}

/// Names a model in at most [`NAME`] characters: what tells runs apart stands at the end.
fn called(model: &ModelReport) -> String {
    let mark = if model.role == Role::Control { " *" } else { "" };
    // Control characters and the marks that turn writing around would break the table.
    let name: Vec<char> = model.name.chars().map(visible).collect();
    let room = NAME - mark.len();
    match name.len() > room {
        true => format!("…{}{mark}", name[name.len() - room + 1..].iter().collect::<String>()),
        false => format!("{}{mark}", name.iter().collect::<String>()),
    }
}

fn visible(c: char) -> char {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || turns { '\u{fffd}' } else { c }
}

/// Breaks a line between words so that it fits.
fn wrapped(text: &str) -> String {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, "  ".to_owned()));
        }
        if !line.trim().is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().map(visible));
    }
    lines.push(line);
    lines.join("\n")
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
