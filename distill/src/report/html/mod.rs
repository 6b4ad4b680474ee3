//! A comparison as a page: one file that needs no network and no script, for screen, phone and paper.

mod escape;
mod evidence;
mod pictures;
mod tables;
mod verdicts;

pub use escape::escape;

use super::{Report, thousands};

const STYLE: &str = include_str!("style.css");

/// A section of a page: its anchor, its title, and what is in it.
struct Section {
    id: &'static str,
    title: &'static str,
    body: String,
}

impl Report {
    /// Returns the report as a page. Whatever comes from the user, names and texts and labels, is escaped.
    pub fn to_html(&self) -> String {
        let sections: Vec<Section> = [
            ("quality", "Quality", self.quality_section()),
            ("differences", "Differences from the teacher", self.difference_section()),
            ("tradeoff", "Quality against cost", self.tradeoff_section()),
            ("cost", "Cost", self.cost_section()),
            ("controls", "What distillation added", self.control_section()),
            ("seeds", "Spread over runs", self.spread_section()),
            ("calibration", "Calibration", self.calibration_section()),
            ("confusion", "Confusion", self.confusion_section()),
            ("training", "Training", self.training_section()),
            ("examples", "Examples", self.example_section()),
            ("method", "Method", Some(self.method_section())),
        ]
        .into_iter()
        .filter_map(|(id, title, body)| body.map(|body| Section { id, title, body }))
        .collect();
        let links: String = sections
            .iter()
            .map(|Section { id, title, .. }| format!(r##"<li><a href="#{id}">{title}</a></li>"##))
            .collect();
        let bodies: String = sections
            .iter()
            .map(|Section { id, title, body }| {
                format!(r#"<section id="{id}"><h2>{title}</h2>{body}</section>"#)
            })
            .collect();
        let file = file_name(&self.data.path);
        format!(
            r#"<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="{made_by}">
<link rel="icon" href="data:,">
<title>{title} · distill</title>
<style>{STYLE}</style></head>
<body><header><p class="kicker">distill · comparison</p><h1>Is the student good enough?</h1><p class="facts">{facts}</p></header>
<main>{verdicts}<nav aria-label="Sections"><ul>{links}</ul></nav>{legend}{bodies}</main>
<footer><p>Made by {made_by}. Everything on this page is in <code>report.json</code> beside it.</p></footer>
</body></html>
"#,
            made_by = escape(&self.made_by),
            title = escape(&file),
            facts = self.facts(),
            verdicts = self.verdict_section(),
            legend = self.legend(),
        )
    }

    fn facts(&self) -> String {
        let data = &self.data;
        let all = thousands(data.examples as u64);
        let labelled = match data.labelled {
            0 => "no labels".to_owned(),
            count if count == data.examples => "all labelled".to_owned(),
            count => format!("{} of them labelled", thousands(count as u64)),
        };
        let classes = match data.labels.len() {
            0 => "a number".to_owned(),
            count => format!("{count} classes"),
        };
        format!(
            "<bdi>{}</bdi> · {all} examples, {labelled} · {classes} · teacher <bdi>{}</bdi>",
            escape(&file_name(&data.path)),
            escape(&self.teacher().name)
        )
    }
}

fn file_name(path: &str) -> String {
    let name = std::path::Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| path.to_owned())
}
