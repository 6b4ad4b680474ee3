//! The pictures of the page.

use super::escape;
use crate::comparison::measures::Unit;
use crate::report::svg::{Dot, Kind, Line, MOST_CLASSES, confusion, lines, pareto, reliability};
use crate::report::{Calibration, ConfusionCell, Estimate, ModelReport, Report, percent, thousands};
use std::collections::BTreeSet;

/// The confusions that are listed of models with many classes.
const LISTED: usize = 12;

impl Report {
    /// Quality against latency and size, and latency by length.
    pub(super) fn tradeoff_section(&self) -> Option<String> {
        let first = self.primary();
        let (scale, title) = match first.unit {
            Unit::Share => (100.0, format!("{}, %", first.title)),
            _ => (1.0, first.title.clone()),
        };
        let dots = |cost: &dyn Fn(&crate::cost::ModelCost) -> f64| -> Vec<Dot> {
            let dot = |(model, report): (usize, &ModelReport)| {
                let (quality, cost) = (self.figure(report, &first.name)?, cost(report.cost.as_ref()?));
                let scaled = |end: Option<f64>| end.map(|end| scale * end);
                let quality = Estimate {
                    value: scaled(quality.value),
                    low: scaled(quality.low),
                    high: scaled(quality.high),
                };
                Some(Dot { model, name: report.name.clone(), cost, quality })
            };
            self.models.iter().enumerate().filter_map(dot).collect()
        };
        let [by_time, by_size] =
            [dots(&|cost| cost.latency.p50_ms), dots(&|cost| cost.file_bytes as f64 / 1e6)];
        if by_time.is_empty() {
            return None;
        }
        let by_length: Vec<Line> = self
            .models
            .iter()
            .enumerate()
            .filter_map(|(model, report)| {
                let points = report.cost.as_ref()?.by_length.iter();
                let points = points.map(|latency| [latency.length as f64, latency.p50_ms]).collect();
                Some(Line { model, name: report.name.clone(), points })
            })
            .collect();
        let axes =
            [("tokens of a text", Kind::Logarithmic), ("p50 latency of one text, ms", Kind::Logarithmic)];
        Some(figures(&[
            (
                pareto("pareto-time", &by_time, ["p50 latency, ms", &title]),
                "The dashed line joins the models that none is both better and faster than.",
            ),
            (pareto("pareto-size", &by_size, ["file, MB", &title]), "The same against the size of the file."),
            (lines("latency", &by_length, "Latency by length", axes), "Single texts, one after the other."),
        ]))
    }

    /// How sure models are, and how right.
    pub(super) fn calibration_section(&self) -> Option<String> {
        let picture = |(place, model): (usize, &ModelReport)| {
            let calibration = model.calibration.as_ref()?;
            let picture = reliability(&format!("reliability-{place}"), calibration, &model.name);
            Some((picture, self.calibrated(model, calibration)))
        };
        let pictures: Vec<(String, String)> = self.models.iter().enumerate().filter_map(picture).collect();
        if pictures.is_empty() {
            return None;
        }
        let pictures: Vec<(String, &str)> =
            pictures.iter().map(|(picture, caption)| (picture.clone(), caption.as_str())).collect();
        let note = "Bars on the dashed line are as often right as they are sure; below it, too sure. The foot of a bar \
                    grows with the examples in it. Scaling divides the logits by one temperature, fitted on the half of \
                    the examples that it is not used for.";
        Some(format!("{}<p class=\"note\">{note}</p>", figures(&pictures)))
    }

    fn calibrated(&self, model: &ModelReport, calibration: &Calibration) -> String {
        let of = |name: &str| {
            let value = self.figure(model, name).and_then(|estimate| estimate.value);
            value.map_or_else(|| "–".to_owned(), percent)
        };
        let [one, other] = calibration.temperatures;
        format!(
            "<b><bdi>{}</bdi></b>: calibration error {}, {} after scaling by T = {one:.2} and {other:.2}",
            escape(&model.name),
            of("ece"),
            of("ece_scaled")
        )
    }

    /// Which classes models take for which.
    pub(super) fn confusion_section(&self) -> Option<String> {
        let labels = &self.data.labels;
        let mut pictures = Vec::new();
        let mut lists = String::new();
        for (place, model) in self.models.iter().enumerate() {
            let Some(cells) = &model.confusion else { continue };
            if labels.len() <= MOST_CLASSES {
                let picture = confusion(&format!("confusion-{place}"), cells, labels, &model.name);
                pictures.push((picture, format!("<b><bdi>{}</bdi></b>", escape(&model.name))));
            } else {
                lists += &confused(model, cells, labels);
            }
        }
        if pictures.is_empty() && lists.is_empty() {
            return None;
        }
        let pictures: Vec<(String, &str)> =
            pictures.iter().map(|(picture, caption)| (picture.clone(), caption.as_str())).collect();
        let note = "Each row is what is right, each column what was predicted; the darker, the larger its share of the row.";
        let note =
            if lists.is_empty() { note } else { "The classes that are taken for each other most often." };
        Some(format!(
            "{}<div class=\"columns\">{lists}</div><p class=\"note\">{note}</p>",
            figures(&pictures)
        ))
    }

    /// The course of the trainings whose logs were found: a picture for every term and figure.
    pub(super) fn training_section(&self) -> Option<String> {
        let besides = ["train/learning_rate", "train/grad_norm", "train/tokens_per_second"];
        let mut tags = Vec::new();
        let mut seen = BTreeSet::new();
        for curve in self.models.iter().flat_map(|model| &model.curves) {
            if !besides.contains(&curve.tag.as_str()) && seen.insert(&curve.tag) {
                tags.push(&curve.tag);
            }
        }
        // With a single term, the whole is that term.
        let terms = tags.iter().filter(|tag| tag.starts_with("train/")).count();
        tags.retain(|tag| terms != 2 || *tag != "train/loss");
        let pictures: Vec<(String, String)> = tags
            .iter()
            .take(12)
            .enumerate()
            .map(|(place, tag)| {
                let of = |(model, report): (usize, &ModelReport)| {
                    let curve = report.curves.iter().find(|curve| curve.tag == **tag)?;
                    let points =
                        curve.steps.iter().zip(&curve.values).map(|(x, y)| [*x as f64, *y]).collect();
                    Some(Line { model, name: report.name.clone(), points })
                };
                let drawn: Vec<Line> = self.models.iter().enumerate().filter_map(of).collect();
                let axes = [("updates", Kind::Linear), (tag.as_str(), Kind::Linear)];
                (lines(&format!("curve-{place}"), &drawn, &format!("Course of {tag}"), axes), String::new())
            })
            .collect();
        let drawn: Vec<(String, &str)> =
            pictures.iter().map(|(svg, caption)| (svg.clone(), caption.as_str())).collect();
        let note = "Means of neighbouring updates. Terms are unweighted; <code>train/loss</code> is their weighted sum.";
        (!drawn.is_empty()).then(|| format!("{}<p class=\"note\">{note}</p>", figures(&drawn)))
    }
}

/// Sets pictures beside each other, each with what is below it.
fn figures(pictures: &[(String, &str)]) -> String {
    let figure = |(picture, caption): &(String, &str)| match caption.is_empty() {
        true => format!("<figure>{picture}</figure>"),
        false => format!("<figure>{picture}<figcaption>{caption}</figcaption></figure>"),
    };
    format!(r#"<div class="figures">{}</div>"#, pictures.iter().map(figure).collect::<String>())
}

fn confused(model: &ModelReport, cells: &[ConfusionCell], labels: &[String]) -> String {
    let mut wrong: Vec<&ConfusionCell> = cells.iter().filter(|cell| cell.gold != cell.predicted).collect();
    wrong.sort_by_key(|cell| std::cmp::Reverse(cell.examples));
    let item = |cell: &&ConfusionCell| {
        let [gold, predicted] = [cell.gold, cell.predicted].map(|class| escape(&labels[class]));
        format!("<li><bdi>{gold}</bdi> taken for <bdi>{predicted}</bdi>: {}</li>", thousands(cell.examples))
    };
    let items: String = wrong.iter().take(LISTED).map(item).collect();
    format!("<div><h3><bdi>{}</bdi></h3><ol>{items}</ol></div>", escape(&model.name))
}
