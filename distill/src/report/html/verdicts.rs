//! The top of the page: what follows for each student, before any figure.

use super::escape;
use crate::certainty::Needed;
use crate::report::svg::{Row, forest, mark};
use crate::report::{
    Estimate, Report, StudentReport, VerdictKind, difference, figure, milliseconds, percent, points,
    thousands, times,
};

impl Report {
    /// A card for each student, and a picture of all their differences from the teacher.
    pub(super) fn verdict_section(&self) -> String {
        let cards: String = self.judged().map(|(student, _)| self.card(student)).collect();
        let condition = self.condition.as_ref().map_or_else(String::new, |condition| {
            let names: Vec<String> = condition
                .met_by
                .iter()
                .map(|model| format!("<bdi>{}</bdi>", escape(&self.models[*model].name)))
                .collect();
            let (class, says) = match names.is_empty() {
                true => ("good", "holds for no student".to_owned()),
                false => ("bad", format!("holds for {}", names.join(", "))),
            };
            format!(
                r#"<p class="condition {class}">The condition <code>{}</code> {says}.</p>"#,
                escape(&condition.text)
            )
        });
        let class = if self.judged().count() > 1 { "cards many" } else { "cards" };
        format!(
            r#"<section class="verdict" aria-label="Verdict"><div class="{class}">{cards}</div>{condition}</section>"#
        )
    }

    fn card(&self, student: &StudentReport) -> String {
        let model = &self.models[student.model];
        let (class, sign, word) = match student.verdict.kind {
            VerdictKind::Better => ("good", "✓", "Better than the teacher"),
            VerdictKind::Within => ("good", "✓", "Within the margin"),
            VerdictKind::Undecided => ("open", "?", "Too few examples to tell"),
            VerdictKind::Worse => ("bad", "✗", "Worse than the margin allows"),
            VerdictKind::Unlabelled => ("open", "–", "No labels to judge by"),
        };
        let mut numbers = Vec::new();
        let first = self.primary();
        let name = first.title.to_lowercase();
        if let Some(value) = self.figure(model, &first.name).and_then(|estimate| estimate.value) {
            let over = student.differences.get(&first.name).and_then(|over| over.value);
            let over =
                over.map_or_else(String::new, |over| format!("{} points", difference(first.unit, over)));
            numbers.push((figure(first.unit, value), escape(&name), over));
        }
        if let Some(retained) = student.retained.value {
            numbers.push((
                percent(retained),
                format!("of the teacher’s {}", escape(&name)),
                between(student.retained),
            ));
        }
        if let (Some(of), Some(has)) = (&self.teacher().cost, &model.cost) {
            let ratio = of.file_bytes as f64 / has.file_bytes as f64;
            let size =
                format!("{} of {}", super::super::bytes(has.file_bytes), super::super::bytes(of.file_bytes));
            numbers.push(split(times(ratio, "smaller", "larger"), size));
            let ratio = of.latency.p50_ms / has.latency.p50_ms;
            let time = format!("{} of {}", milliseconds(has.latency.p50_ms), milliseconds(of.latency.p50_ms));
            numbers.push(split(times(ratio, "faster", "slower"), time));
        }
        let numbers: String = numbers
            .iter()
            .map(|(number, what, more)| {
                format!(r#"<div><dt>{what}<small>{}</small></dt><dd>{number}</dd></div>"#, escape(more))
            })
            .collect();
        format!(
            r#"<article class="card {class}"><p class="badge"><span aria-hidden="true">{sign}</span> {word}</p><h3>{}<bdi>{}</bdi></h3><p class="says">{}</p>{}<dl>{numbers}</dl></article>"#,
            symbol(student.model),
            escape(&model.name),
            escape(&format!("{}.", student.verdict.text)),
            self.more(student),
        )
    }

    /// What is behind the verdict: the test, and what distillation added.
    fn more(&self, student: &StudentReport) -> String {
        let mut more = String::new();
        if let Some(test) = student.mcnemar {
            more += &format!(
                "It breaks {} of the teacher’s right answers and mends {} of its wrong ones. ",
                thousands(test.broken),
                thousands(test.fixed)
            );
        }
        for over in &student.over_controls {
            let more_than = over.difference.value.map_or_else(|| "–".to_owned(), points);
            more += &format!(
                "{more_than} points over the control <bdi>{}</bdi>{}. ",
                escape(&self.models[over.control].name),
                ends(over.difference, points)
            );
        }
        if let Some(Needed::TooMany) = student.verdict.needed {
            more += "A wider margin would decide. ";
        }
        if more.is_empty() { String::new() } else { format!(r#"<p class="more">{}</p>"#, more.trim_end()) }
    }

    /// The differences of all students and controls, in the unit of the first figure.
    pub(super) fn forest_picture(&self) -> Option<String> {
        let first = self.primary();
        let hundred = |value: Option<f64>| value.map(|value| 100.0 * value);
        let rows: Vec<Row> = self
            .students
            .iter()
            .filter_map(|student| {
                let over = student.differences.get(&first.name)?;
                // The picture shows the interval that has decided.
                let decided = student.verdict.interval;
                let [low, high] = match decided {
                    Some(ends) => [Some(ends.low), Some(ends.high)],
                    None => [over.low, over.high],
                };
                let difference =
                    Estimate { value: hundred(over.value), low: hundred(low), high: hundred(high) };
                Some(Row { model: student.model, name: self.models[student.model].name.clone(), difference })
            })
            .collect();
        (!rows.is_empty()).then(|| forest("forest", &rows, self.method.margin_points, &first.title))
    }

    /// Which mark is whose, for all pictures of the page.
    pub(super) fn legend(&self) -> String {
        let items: String = self
            .models
            .iter()
            .enumerate()
            .map(|(place, model)| format!("<li>{}<bdi>{}</bdi></li>", symbol(place), escape(&model.name)))
            .collect();
        format!(r#"<ul class="legend" aria-label="Marks of the models">{items}</ul>"#)
    }
}

/// The mark of a model in a line of writing.
pub(super) fn symbol(model: usize) -> String {
    format!(r#"<svg class="symbol" viewBox="0 0 14 14" aria-hidden="true">{}</svg>"#, mark([7.0, 7.0], model))
}

/// Says the ends of an interval in brackets, after a space; nothing where there is none.
pub(super) fn ends(estimate: Estimate, say: impl Fn(f64) -> String) -> String {
    match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => format!(" ({} to {})", say(low), say(high)),
        _ => String::new(),
    }
}

/// Says between which ends a share lies; nothing where there are none.
fn between(share: Estimate) -> String {
    match (share.low, share.high) {
        (Some(low), Some(high)) => format!("{} to {}", percent(low), percent(high)),
        _ => String::new(),
    }
}

fn split(text: String, more: String) -> (String, String, String) {
    let (number, word) = text.split_once(' ').unwrap_or((&text, ""));
    (number.to_owned(), word.to_owned(), more)
}
