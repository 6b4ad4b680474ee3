//! The lower part of the page: controls, examples, and how everything was found out.

use super::escape;
use super::verdicts::{ends, symbol};
use crate::certainty::{EXACT_BELOW, McNemarMethod};
use crate::report::{ExampleList, ExampleReport, Report, StudentReport, figure, percent, points, thousands};

impl Report {
    /// Students beside controls: what distillation itself has added.
    pub(super) fn control_section(&self) -> Option<String> {
        let first = self.primary();
        let mut rows = String::new();
        for (student, model) in self.judged() {
            for over in &student.over_controls {
                let control = &self.models[over.control];
                let of = |model| self.figure(model, &first.name).and_then(|estimate| estimate.value);
                let [own, without] = [of(model), of(control)]
                    .map(|value| value.map_or_else(|| "–".to_owned(), |value| figure(first.unit, value)));
                let more = over.difference.value.map_or_else(|| "–".to_owned(), points);
                let says = match (over.difference.low, over.difference.high) {
                    (Some(low), _) if low > 0.0 => "more than chance",
                    (_, Some(high)) if high < 0.0 => "less than without",
                    _ => "may be chance",
                };
                rows += &format!(
                    r#"<tr><th scope="row">{}<bdi>{}</bdi></th><td>{own}</td><th scope="row">{}<bdi>{}</bdi></th><td>{without}</td><td>{more}<small>{}</small></td><td>{says}</td></tr>"#,
                    symbol(student.model),
                    escape(&model.name),
                    symbol(over.control),
                    escape(&control.name),
                    ends(over.difference, points).trim().trim_matches(['(', ')']),
                );
            }
        }
        let head = "<thead><tr><th scope=\"col\">student</th><td></td><th scope=\"col\">control</th><td></td>\
                    <th scope=\"col\">difference, points</th><th scope=\"col\">which is</th></tr></thead>";
        let note = "A control is the same student at the same budget without what the teacher knows: on labels alone, or \
                    with the logits of other texts.";
        (!rows.is_empty()).then(|| {
            format!(r#"<div class="scroll" tabindex="0" role="region" aria-label="Controls"><table class="left">{head}<tbody>{rows}</tbody></table></div><p class="note">{note}</p>"#)
        })
    }

    /// What students break and what they fix.
    pub(super) fn example_section(&self) -> Option<String> {
        let regression = self.data.labels.is_empty();
        let titles = match regression {
            false => ["Broken: only the teacher is right", "Fixed: only the student is right"],
            true => ["Further off than the teacher", "Nearer than the teacher"],
        };
        let many = self.judged().count() > 2;
        let of = |(student, model): (&StudentReport, &crate::report::ModelReport)| {
            let lists: String = [&student.broken, &student.fixed]
                .into_iter()
                .zip(titles)
                .map(|(list, title)| self.list(list, title, many))
                .collect();
            (student.broken.count + student.fixed.count > 0).then(|| {
                format!("<h3>{}<bdi>{}</bdi></h3>{lists}", symbol(student.model), escape(&model.name))
            })
        };
        let bodies: String = self.judged().filter_map(of).collect();
        (!bodies.is_empty()).then_some(bodies)
    }

    fn list(&self, list: &ExampleList, title: &str, many: bool) -> String {
        if list.shown.is_empty() {
            return String::new();
        }
        let items: String = list.shown.iter().map(|example| self.example(example)).collect();
        let open = if many { "" } else { " open" };
        let (all, shown) = (thousands(list.count), list.shown.len());
        let count = if list.count as usize > shown { format!("{shown} of {all}") } else { all };
        format!(
            r#"<details{open}><summary>{title} <span>{count}, most confident first</span></summary><ol class="examples">{items}</ol></details>"#
        )
    }

    fn example(&self, example: &ExampleReport) -> String {
        let text = match (&example.text, &example.text_pair) {
            (Some(text), Some(pair)) => format!(
                r#"<p class="text" dir="auto">{}</p><p class="text pair" dir="auto">{}</p>"#,
                escape(text),
                escape(pair)
            ),
            (Some(text), None) => format!(r#"<p class="text" dir="auto">{}</p>"#, escape(text)),
            _ => r#"<p class="text missing">its text is not at hand</p>"#.to_owned(),
        };
        let place = match example.line {
            Some(line) => format!("line {}", thousands(line as u64)),
            None => format!("example {}", thousands(example.example as u64)),
        };
        let sure = match self.data.labels.is_empty() {
            true => format!("by {:.3}", example.confidence),
            false => percent(example.confidence),
        };
        format!(
            r#"<li>{text}<p class="says">right <b><bdi>{}</bdi></b> · teacher <b><bdi>{}</bdi></b> · student <b><bdi>{}</bdi></b> {sure} · {place}</p></li>"#,
            escape(&example.gold),
            escape(&example.teacher),
            escape(&example.student),
        )
    }

    /// How everything was found out.
    pub(super) fn method_section(&self) -> String {
        let method = &self.method;
        let draws = match method.blocks < self.data.examples {
            true => format!("{} blocks of them", thousands(method.blocks as u64)),
            false => "as many as there are".to_owned(),
        };
        let mut notes = vec![
            format!(
                "<b>Intervals</b> are bias-corrected and accelerated bootstrap intervals of 95 % (Efron 1987): the examples \
                 were drawn again with replacement {} times, {draws}, by seed {}, the same draws for all models.",
                thousands(method.resamples as u64),
                method.seed
            ),
            format!(
                "<b>The verdict</b> says whether the lower end of the difference from the teacher lies above −{} points. For \
                 accuracy that is the score interval of Tango (1998), which is right where few examples differ; it is the one in the \
                 picture. The number of examples that would tell is the one with which four tries in five would, if \
                 the difference and the share of examples on which the two disagree stay as they are.",
                method.margin_points
            ),
        ];
        if self.students.iter().any(|student| student.mcnemar.is_some()) {
            let exact = |student: &StudentReport| {
                student.mcnemar.is_some_and(|test| test.method == McNemarMethod::Exact)
            };
            let which = match self.students.iter().filter(|student| exact(student)).count() {
                0 => "here with the continuity correction for all".to_owned(),
                count if count == self.students.len() => "here exactly for all".to_owned(),
                count => format!("here exactly for {count} of {}", self.students.len()),
            };
            notes.push(format!(
                "<b>McNemar’s test</b> asks whether two models differ at all. It is exact where fewer than {EXACT_BELOW} \
                 examples are right for one of the two alone, else χ² with continuity correction; {which}. Holm’s \
                 correction makes the p-values of all students hold together."
            ));
            notes.push(
                "<b>Calibration</b> error is that of 15 equal bins of the probability of the predicted class (Guo et al. 2017). \
                 Temperatures are fitted on half of the examples and used for the other half, both ways; intervals take them as given. \
                 With few examples the error is overestimated. Brier scores of two classes are halved, as in scikit-learn."
                    .to_owned(),
            );
        }
        notes.push(format!(
            "<b>Texts</b> are cut after {} tokens. Data: <code>{}</code>, SHA-256 <code>{}</code>.",
            self.data.max_length,
            escape(&self.data.path),
            escape(&self.data.sha256)
        ));
        let models = self.models.iter().enumerate().map(|(place, model)| {
            format!(
                "<li>{}<bdi>{}</bdi>: <code>{}</code>, SHA-256 <code>{}</code></li>",
                symbol(place),
                escape(&model.name),
                escape(&model.onnx),
                escape(&model.sha256)
            )
        });
        let notes: String = notes.into_iter().map(|note| format!("<li>{note}</li>")).collect();
        format!(r#"<ul class="notes">{notes}</ul><ul class="files">{}</ul>"#, models.collect::<String>())
    }
}
