//! The tables of the page: a row for each figure, a column for each model.

use super::escape;
use super::verdicts::symbol;
use crate::cost::ModelCost;
use crate::report::{
    Estimate, MeasureFacts, Report, Role, bytes, count, difference, figure, milliseconds, probability,
    thousands,
};

impl Report {
    /// The figures of every model, with their intervals.
    pub(super) fn quality_section(&self) -> Option<String> {
        let rows: String = self
            .measures
            .iter()
            .map(|measure| {
                let cells: String = self
                    .models
                    .iter()
                    .map(|model| {
                        let own = model.role == Role::Teacher && of_a_pair(measure);
                        let estimate = self.figure(model, &measure.name).filter(|_| !own);
                        cell(estimate, |value| figure(measure.unit, value))
                    })
                    .collect();
                row(&titled(measure), &cells)
            })
            .collect();
        let note = "Below each figure, between which ends it lies with 95 % confidence. Arrows say which way is better.";
        Some(format!("{}<p class=\"note\">{note}</p>", self.table("", &rows, 0)))
    }

    /// The differences from the teacher, and McNemar's test.
    pub(super) fn difference_section(&self) -> Option<String> {
        if self.students.iter().all(|student| student.differences.is_empty()) {
            return None;
        }
        let measures = self.measures.iter().filter(|measure| !of_a_pair(measure));
        let mut rows: String = measures
            .map(|measure| {
                let say = |value| difference(measure.unit, value);
                let of = |student: &crate::report::StudentReport| {
                    cell(student.differences.get(&measure.name).copied(), say)
                };
                row(&titled(measure), &self.students.iter().map(of).collect::<String>())
            })
            .collect();
        let mut tested = |title: &str, say: &dyn Fn(&crate::report::McNemarReport) -> String| {
            let cells = self.students.iter().map(|student| match &student.mcnemar {
                Some(test) => format!("<td>{}</td>", escape(&say(test))),
                None => "<td>–</td>".to_owned(),
            });
            rows += &row(title, &cells.collect::<String>());
        };
        if self.students.iter().any(|student| student.mcnemar.is_some()) {
            tested("Right answers broken", &|test| thousands(test.broken));
            tested("Wrong answers mended", &|test| thousands(test.fixed));
            tested("McNemar’s p", &|test| probability(test.p));
            tested("… for all students (Holm)", &|test| probability(test.p_holm));
        }
        let picture = self
            .forest_picture()
            .map_or_else(String::new, |svg| format!(r#"<figure class="wide">{svg}</figure>"#));
        let note = "Shares and correlations differ in points (hundredths). Teacher and student are drawn again together, \
                    so that a difference is known better than either figure.";
        Some(format!("{picture}{}<p class=\"note\">{note}</p>", self.table("", &rows, 1)))
    }

    /// What every model costs.
    pub(super) fn cost_section(&self) -> Option<String> {
        let first = self.teacher().cost.as_ref()?;
        let mut rows = String::new();
        let mut add = |title: &str, say: &dyn Fn(&ModelCost) -> Option<String>| {
            let said: Vec<Option<String>> =
                self.models.iter().map(|model| model.cost.as_ref().and_then(say)).collect();
            if said.iter().any(Option::is_some) {
                let cells = said.into_iter().map(|cell| {
                    format!("<td>{}</td>", cell.map_or_else(|| "–".to_owned(), |cell| escape(&cell)))
                });
                rows += &row(title, &cells.collect::<String>());
            }
        };
        add("Parameters", &|cost| Some(count(cost.parameters as usize)));
        add("File", &|cost| Some(bytes(cost.file_bytes)));
        add("Time to load", &|cost| Some(milliseconds(cost.load_ms)));
        add("First answer", &|cost| cost.first_ms.map(milliseconds));
        add("Memory, at most", &|cost| cost.peak_bytes.map(bytes));
        add("Memory, afterwards", &|cost| cost.resident_bytes.map(bytes));
        add("Latency, p50", &|cost| Some(milliseconds(cost.latency.p50_ms)));
        add("Latency, p95", &|cost| Some(milliseconds(cost.latency.p95_ms)));
        add("Latency, p99", &|cost| Some(milliseconds(cost.latency.p99_ms)));
        add("Texts per second", &|cost| Some(thousands(cost.throughput.texts_per_second as u64)));
        add("Tokens per second", &|cost| Some(thousands(cost.throughput.tokens_per_second as u64)));
        add("Core-seconds per million texts", &|cost| Some(thousands(cost.per_million.core_seconds as u64)));
        add("Price of a million texts", &|cost| cost.per_million.price.map(|price| format!("{price:.2}")));
        let latency = &first.latency;
        let s = |count: usize| if count == 1 { "" } else { "s" };
        let note = format!(
            "Latency is that of {} text{} of {} tokens on {} thread{}, warm, in {} samples or so, all models in turn. \
             Texts per second are texts of the data, {:.1} tokens long on average, in batches of similar length.",
            latency.batch,
            s(latency.batch),
            latency.length,
            latency.threads,
            s(latency.threads),
            latency.samples,
            first.throughput.mean_tokens,
        );
        Some(format!("{}<p class=\"note\">{note}</p>", self.table("", &rows, 0)))
    }

    /// How figures spread over runs of one student.
    pub(super) fn spread_section(&self) -> Option<String> {
        let groups: Vec<String> = self
            .groups
            .iter()
            .map(|group| {
                let spreads = self.measures.iter().filter_map(|measure| {
                    let spread = group.spread.get(&measure.name)?;
                    let say = |value| escape(&figure(measure.unit, value));
                    let cells = [Some(spread.mean), spread.deviation, Some(spread.least), Some(spread.greatest)]
                        .map(|value| format!("<td>{}</td>", value.map_or_else(|| "–".to_owned(), say)));
                    Some(row(&titled(measure), &cells.concat()))
                });
                format!(
                    r#"<h3><bdi>{}</bdi>, {} runs</h3><div class="scroll" tabindex="0"><table><thead><tr><td></td><th scope="col">mean</th><th scope="col">standard deviation</th><th scope="col">least</th><th scope="col">greatest</th></tr></thead><tbody>{}</tbody></table></div>"#,
                    escape(&group.name),
                    group.models.len(),
                    spreads.collect::<String>()
                )
            })
            .collect();
        (!groups.is_empty()).then(|| groups.concat())
    }

    /// A table with a column for each model, from one of them on.
    fn table(&self, corner: &str, rows: &str, first: usize) -> String {
        let heads: String = self
            .models
            .iter()
            .enumerate()
            .skip(first)
            .map(|(place, model)| {
                let role = match model.role {
                    Role::Teacher => "teacher",
                    Role::Student => "student",
                    Role::Control => "control",
                };
                let name = escape(&model.name);
                format!(r#"<th scope="col">{}<bdi>{name}</bdi><small>{role}</small></th>"#, symbol(place))
            })
            .collect();
        format!(
            r#"<div class="scroll" tabindex="0" role="region" aria-label="Table"><table><thead><tr><td>{corner}</td>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"#
        )
    }
}

fn of_a_pair(measure: &MeasureFacts) -> bool {
    ["agreement", "mean_kl"].contains(&measure.name.as_str())
}

fn titled(measure: &MeasureFacts) -> String {
    let (arrow, says) = if measure.is_a_loss { ("↓", "less is better") } else { ("↑", "more is better") };
    let title = escape(&measure.title);
    format!(r#"{title}&#160;<span class="arrow" role="img" aria-label="{says}">{arrow}</span>"#)
}

fn row(title: &str, cells: &str) -> String {
    format!(r#"<tr><th scope="row">{title}</th>{cells}</tr>"#)
}

fn cell(estimate: Option<Estimate>, say: impl Fn(f64) -> String) -> String {
    let Some(value) = estimate.and_then(|estimate| estimate.value) else { return "<td>–</td>".to_owned() };
    let bare = |value| say(value).trim_end_matches("\u{a0}%").to_owned();
    let ends = match estimate.map(|estimate| (estimate.low, estimate.high)) {
        Some((Some(low), Some(high))) => format!("{} to {}", bare(low), bare(high)),
        _ => "&#160;".to_owned(),
    };
    format!("<td>{}<small>{ends}</small></td>", say(value))
}
