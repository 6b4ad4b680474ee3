//! Students beside the teacher: differences, tests, verdicts, examples, controls, runs that differ in their seeds.

use super::condition::Values;
use super::examples::{Best, Case};
use super::measures::{Measure, Unit};
use super::tally::{Evidence, Facts};
use super::verdict::Question;
use super::{Estimates, Ground, Settings};
use crate::certainty::{Interval, difference_of_shares, holm, mcnemar, share};
use crate::metrics::Bin;
use crate::report::{
    BinReport, Calibration, ConditionReport, ConfusionCell, Estimate, ExampleList, ExampleReport,
    GroupReport, McNemarReport, OverControl, Report, Role, Spread, StudentReport, Verdict, VerdictKind,
    percent,
};
use anyhow::Result;

/// The models with what was found out about them, the teacher first.
pub struct Judged<'a> {
    /// The figures, the one to select by first.
    pub measures: &'a [Measure],
    /// Figures and facts of each model.
    pub models: &'a [(Evidence, Facts)],
    /// What they were compared on.
    pub ground: &'a Ground<'a>,
    /// How.
    pub settings: &'a Settings,
}

/// The characters of a text in a report, at most.
const SHOWN: usize = 600;

impl Judged<'_> {
    /// Adds what follows for the students to a report on the models.
    ///
    /// # Errors
    /// When the condition asks for a figure that is not defined.
    pub fn fill(&self, report: &mut Report) -> Result<()> {
        report.students = (1..report.models.len()).map(|model| self.student(report, model)).collect();
        // Controls are not on trial.
        let roles: Vec<Role> = report.models.iter().map(|model| model.role).collect();
        let students = report.students.iter_mut().filter(|student| roles[student.model] == Role::Student);
        let mut tested: Vec<&mut McNemarReport> = students.filter_map(|it| it.mcnemar.as_mut()).collect();
        let corrected = holm(&tested.iter().map(|test| test.p).collect::<Vec<_>>());
        tested.iter_mut().zip(corrected).for_each(|(test, p)| test.p_holm = p);
        report.groups = self.settings.groups.iter().map(|group| self.group(group)).collect();
        self.show_examples(report);
        if let Some(condition) = &self.settings.condition {
            let mut met_by = Vec::new();
            for (student, _) in report.judged() {
                if condition.holds(&variables_of(report, student))? {
                    met_by.push(student.model);
                }
            }
            report.condition = Some(ConditionReport { text: condition.text().to_owned(), met_by });
        }
        Ok(())
    }

    fn student(&self, report: &Report, model: usize) -> StudentReport {
        let (teacher, student) = (&self.models[0].0, &self.models[model].0);
        let difference = student.with(teacher, |student, teacher| student - teacher);
        let ratio = student.with(teacher, |student, teacher| student / teacher);
        let mut differences = estimates(self.measures, &difference);
        differences.retain(|name, _| !self.measures.iter().any(|m| m.name() == name && m.is_of_a_pair()));
        let controls = report.models.iter().enumerate().filter(|(place, other)| {
            other.role == Role::Control && *place != model && report.models[model].role == Role::Student
        });
        let over = |control: usize| {
            let more = student.with(&self.models[control].0, |student, control| student - control);
            OverControl { control, difference: Estimate::of(more.values[0], more.interval(0)) }
        };
        let test = self.test(model);
        StudentReport {
            model,
            differences,
            retained: Estimate::of(ratio.values[0], ratio.interval(0)),
            verdict: self.verdict(&report.models[model].name, &difference, test.as_ref(), student),
            mcnemar: test,
            over_controls: controls.map(|(control, _)| over(control)).collect(),
            broken: ExampleList::default(),
            fixed: ExampleList::default(),
        }
    }

    fn labelled(&self) -> u64 {
        self.ground.data.labelled as u64
    }

    fn test(&self, model: usize) -> Option<McNemarReport> {
        let Facts::Classes(facts) = &self.models[model].1 else { return None };
        let test = mcnemar(facts.broken.seen, facts.fixed.seen);
        (self.labelled() > 0).then_some(McNemarReport {
            broken: test.broken,
            fixed: test.fixed,
            p: test.p,
            p_holm: test.p,
            method: test.method,
        })
    }

    fn verdict(
        &self,
        name: &str,
        difference: &Evidence,
        test: Option<&McNemarReport>,
        student: &Evidence,
    ) -> Verdict {
        let first = self.measures[0];
        if self.labelled() == 0 {
            let seen = student.interval(0).or_else(|| shares(first, student, self.ground.gold.len()));
            let ends = seen
                .map_or(String::new(), |ends| format!(" ({} to {})", percent(ends.low), percent(ends.high)));
            let agreement = percent(student.values[0]);
            let text = format!(
                "{name} agrees with the teacher on {agreement}{ends}; there are no labels to judge by"
            );
            return Verdict { kind: VerdictKind::Unlabelled, text, interval: seen, needed: None };
        }
        // Of shares the score interval is used, which is right where few pairs disagree, or none.
        let interval = match (first, test) {
            (Measure::Accuracy, Some(test)) => difference_of_shares(test.broken, test.fixed, self.labelled()),
            _ => difference.interval(0),
        };
        let title = self.ground.subject.task.metric.name();
        let question = Question {
            student: name,
            figure: if title == "f1" { "F1" } else { title },
            difference: difference.values[0],
            interval,
            standard_error: difference.standard_error(0),
            margin: self.settings.margin,
            examples: self.labelled(),
        };
        question.verdict()
    }

    fn group(&self, (name, models): &(String, Vec<usize>)) -> GroupReport {
        let spread = |measure: usize| {
            let values = models.iter().map(|model| self.models[*model].0.values[measure]);
            spread(&values.filter(|value| value.is_finite()).collect::<Vec<_>>())
        };
        let spreads = self.measures.iter().enumerate();
        let spreads = spreads.filter_map(|(place, m)| Some((m.name().to_owned(), spread(place)?)));
        GroupReport { name: name.clone(), models: models.clone(), spread: spreads.collect() }
    }

    /// Adds the examples in which students and teacher differ, with their texts.
    fn show_examples(&self, report: &mut Report) {
        let lists = |model: usize| match &self.models[model].1 {
            Facts::Classes(facts) => [&facts.broken, &facts.fixed],
            Facts::Values(facts) => [&facts.worsened, &facts.improved],
        };
        for student in &mut report.students {
            let [broken, fixed] = lists(student.model).map(|list| self.examples(list));
            (student.broken, student.fixed) = (broken, fixed);
        }
    }

    fn examples(&self, list: &Best) -> ExampleList {
        let rows: Vec<usize> = list.cases.iter().map(|case| case.row).collect();
        let passages = (self.ground.passages)(&rows);
        let shown = list.cases.iter().zip(passages).map(|(case, passage)| self.example(case, passage));
        ExampleList { count: list.seen, shown: shown.collect() }
    }

    fn example(&self, case: &Case, passage: Option<super::Passage>) -> ExampleReport {
        let name = |value: f64| match &self.ground.subject.labels {
            Some(labels) => labels.names()[value as usize].clone(),
            None => format!("{value:.3}"),
        };
        let [gold, teacher, student] = case.values.map(name);
        let (line, texts) = match passage {
            Some(passage) => (passage.line, [Some(passage.text), passage.text_pair]),
            None => (None, [None, None]),
        };
        let [text, text_pair] = texts.map(|text| text.map(|text| cut(&text)));
        ExampleReport {
            example: case.row + 1,
            line,
            text,
            text_pair,
            gold,
            teacher,
            student,
            confidence: case.surprise,
        }
    }
}

/// Returns the figures of a model with their intervals.
pub fn estimates(measures: &[Measure], evidence: &Evidence) -> Estimates {
    let of = |(place, measure): (usize, &Measure)| {
        let estimate = Estimate::of(evidence.values[place], evidence.interval(place));
        (measure.name().to_owned(), estimate)
    };
    measures.iter().enumerate().map(of).collect()
}

/// The interval of a share that is 0 or 1 on all resamples.
fn shares(measure: Measure, evidence: &Evidence, rows: usize) -> Option<Interval> {
    let value = evidence.values[0];
    (measure.unit() == Unit::Share && value.is_finite()).then(|| share(value * rows as f64, rows as f64))?
}

/// Returns how sure a model is and how right, and which classes it takes for which.
pub fn certainty_of(facts: &Facts) -> (Option<Calibration>, Option<Vec<ConfusionCell>>) {
    let Facts::Classes(facts) = facts else { return (None, None) };
    if facts.confusion.is_empty() {
        return (None, None);
    }
    let bin = |bin: &Bin| BinReport {
        examples: bin.rows as u64,
        confidence: (bin.rows > 0.0).then(|| bin.confidence / bin.rows),
        accuracy: (bin.rows > 0.0).then(|| bin.right / bin.rows),
    };
    let [bins, bins_scaled] = facts.reliability.each_ref().map(|bins| bins.iter().map(bin).collect());
    let cells = facts.confusion.iter().map(|(&[gold, predicted], &examples)| ConfusionCell {
        gold: gold as usize,
        predicted: predicted as usize,
        examples,
    });
    (Some(Calibration { temperatures: facts.temperatures, bins, bins_scaled }), Some(cells.collect()))
}

/// Returns the numbers that a condition may be about, without their values. `timed`: whether costs are measured.
pub fn variables(measures: &[Measure], timed: bool) -> Vec<String> {
    let plain = measures.iter().map(|measure| measure.name().to_owned());
    let alone = measures.iter().filter(|measure| !measure.is_of_a_pair());
    let drops = alone.flat_map(|m| [format!("{}_drop", m.name()), format!("{}_drop_high", m.name())]);
    let tests = ["retained", "p", "p_holm"].map(str::to_owned);
    let costs: &[&str] = if timed { &COSTS } else { &[] };
    plain.chain(drops).chain(tests).chain(costs.iter().map(|cost| (*cost).to_owned())).collect()
}

const COSTS: [&str; 14] = [
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "load_ms",
    "first_ms",
    "peak_mb",
    "resident_mb",
    "file_mb",
    "parameters",
    "texts_per_second",
    "tokens_per_second",
    "core_seconds_per_million",
    "speedup",
    "shrink",
];

/// Returns the numbers of a student that a condition may be about.
fn variables_of(report: &Report, student: &StudentReport) -> Values {
    let (teacher, model) = (report.teacher(), &report.models[student.model]);
    let mut values: Values =
        model.quality.iter().map(|(name, estimate)| (name.clone(), estimate.value)).collect();
    for measure in &report.measures {
        let Some(difference) = student.differences.get(&measure.name) else { continue };
        let in_points = matches!(measure.unit, Unit::Share | Unit::Correlation);
        let scale = if in_points { 100.0 } else { 1.0 } * if measure.is_a_loss { 1.0 } else { -1.0 };
        let worst = if measure.is_a_loss { difference.high } else { difference.low };
        values.push((format!("{}_drop", measure.name), difference.value.map(|value| scale * value)));
        values.push((format!("{}_drop_high", measure.name), worst.map(|value| scale * value)));
    }
    values.push(("retained".into(), student.retained.value.map(|value| 100.0 * value)));
    values.push(("p".into(), student.mcnemar.map(|test| test.p)));
    values.push(("p_holm".into(), student.mcnemar.map(|test| test.p_holm)));
    if let (Some(cost), Some(than)) = (&model.cost, &teacher.cost) {
        let mega = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / 1e6);
        let numbers = [
            Some(cost.latency.p50_ms),
            Some(cost.latency.p95_ms),
            Some(cost.latency.p99_ms),
            Some(cost.load_ms),
            cost.first_ms,
            mega(cost.peak_bytes),
            mega(cost.resident_bytes),
            mega(Some(cost.file_bytes)),
            Some(cost.parameters as f64),
            Some(cost.throughput.texts_per_second),
            Some(cost.throughput.tokens_per_second),
            Some(cost.per_million.core_seconds),
            Some(than.latency.p50_ms / cost.latency.p50_ms),
            Some(than.file_bytes as f64 / cost.file_bytes as f64),
        ];
        values.extend(COSTS.iter().zip(numbers).map(|(name, number)| ((*name).to_owned(), number)));
    }
    values
}

fn spread(values: &[f64]) -> Option<Spread> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (!values.is_empty()).then(|| Spread {
        mean,
        deviation: (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
        least: values.iter().copied().fold(f64::INFINITY, f64::min),
        greatest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    })
}

/// Cuts a text that is too long to be read.
fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
