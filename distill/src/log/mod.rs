//! The log of a run: one JSON object a line in `log.jsonl`, and what a person sees meanwhile.

mod curves;

pub use curves::{Curve, Point, Scalars, read_curves, read_scalars};

use crate::console::{Console, Progress};
use crate::track::{Ending, Trackers};
use crate::trainer::{Event, Step};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Writes down the events of a run as they come.
pub struct RunLog {
    file: File,
    path: PathBuf,
    trackers: Option<Trackers>,
    progress: Progress,
    terms: Vec<&'static str>,
    score_name: String,
    every: u64,
    recent: Option<Vec<f64>>,
    /// The seconds of training before this process.
    before: f64,
    /// The tokens since the start of this process.
    tokens: usize,
    /// The tokens and the seconds, without those of evaluations, at the last line of a step.
    last: (usize, f64),
    /// The seconds at the last step, and those that evaluations took.
    stepped: f64,
    evaluating: f64,
}

/// The log's name in the folder of a run.
pub const FILE: &str = "log.jsonl";
/// The lines of training steps that a whole run writes, about.
const LINES: u64 = 1000;

impl RunLog {
    /// Opens the log of a run that has made `done` of `total` updates; what an interrupted run wrote after that goes.
    ///
    /// # Errors
    /// When the log cannot be read or written.
    pub fn open(
        path: &Path,
        console: &Console,
        (done, total): (u64, u64),
        terms: Vec<&'static str>,
        score_name: &str,
    ) -> Result<Self> {
        let context = || format!("cannot write the log `{}`", path.display());
        let kept = if done > 0 { lines_until(path, done).with_context(context)? } else { String::new() };
        crate::bundle::write_text(path, &kept)?;
        let file = File::options().append(true).open(path).with_context(context)?;
        let mut progress = console.progress("train", total as usize);
        progress.skip(done as usize);
        let every = (total / LINES).max(1);
        let (path, score_name) = (path.to_owned(), score_name.to_owned());
        let before = read_scalars(&path)?.last().map_or(0.0, |last| last.seconds);
        Ok(RunLog {
            file,
            path,
            trackers: None,
            progress,
            terms,
            score_name,
            every,
            recent: None,
            before,
            tokens: 0,
            last: (0, 0.0),
            stepped: 0.0,
            evaluating: 0.0,
        })
    }

    /// Tells others what is written from now on.
    pub fn followed_by(self, trackers: Trackers) -> Self {
        RunLog { trackers: Some(trackers), ..self }
    }

    /// Writes an event down.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn record(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Step(step) => self.step(step),
            Event::Evaluated { step, score, best } => {
                self.evaluating += self.progress.seconds() - self.stepped;
                let mark = if best { " · best so far" } else { "" };
                self.progress.say(format_args!("step {step} · {} {score:.4}{mark}", self.score_name));
                let mut line = json!({ "event": "evaluation", "step": step, "best": best });
                line[&self.score_name] = json!(score);
                self.write(&line)
            }
        }
    }

    /// Takes the progress bar away, and tells others how the run ended.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn finish(self, ending: Ending) -> Result<()> {
        self.progress.finish();
        self.trackers.map_or(Ok(()), |trackers| trackers.finish(ending))
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        self.tokens += step.tokens;
        self.stepped = self.progress.seconds();
        let values: Vec<f64> =
            std::iter::once(step.evaluation.total).chain(step.evaluation.terms.iter().copied()).collect();
        match &mut self.recent {
            Some(recent) => {
                recent.iter_mut().zip(&values).for_each(|(recent, value)| *recent += 0.05 * (value - *recent))
            }
            None => self.recent = Some(values),
        }
        let rate = self.tokens as f64 / self.progress.seconds();
        let (recent, terms) = (self.recent.as_deref().unwrap_or_default(), &self.terms);
        self.progress.advance(1, || message(recent, terms, rate));
        if !step.step.is_multiple_of(self.every) && step.step != step.total {
            return Ok(());
        }
        let mut line = json!({
            "event": "step",
            "step": step.step,
            "epoch": step.epoch,
            "loss": step.evaluation.total,
            "learning_rate": step.learning_rate,
            "grad_norm": step.grad_norm,
            "tokens": step.tokens,
            "examples": step.examples,
            "tokens_per_second": self.rate(),
        });
        for (name, value) in self.terms.iter().zip(&step.evaluation.terms) {
            line[format!("loss_{name}")] = json!(value);
        }
        self.write(&line)
    }

    /// Returns the tokens in a second since the last line of a step, without evaluations.
    fn rate(&mut self) -> f64 {
        let now = (self.tokens, self.stepped - self.evaluating);
        let (tokens, seconds) = std::mem::replace(&mut self.last, now);
        ((self.tokens - tokens) as f64 / (self.last.1 - seconds).max(1e-9)).round()
    }

    fn write(&mut self, line: &Value) -> Result<()> {
        let mut line = line.clone();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        line["seconds"] = json!(to_milliseconds(self.before + self.progress.seconds()));
        line["time"] = json!(to_milliseconds(now.as_secs_f64()));
        writeln!(self.file, "{line}")
            .with_context(|| format!("cannot write the log `{}`", self.path.display()))?;
        match (&mut self.trackers, line.as_object().and_then(curves::scalars)) {
            (Some(trackers), Some(scalars)) => trackers.record(&scalars),
            _ => Ok(()),
        }
    }
}

/// Rounds seconds.
fn to_milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Says the losses and the rate: the whole first, the terms only where there are several.
fn message(recent: &[f64], terms: &[&str], rate: f64) -> String {
    let mut text = format!("loss {:.4}", recent.first().copied().unwrap_or_default());
    if terms.len() > 1 {
        for (name, value) in terms.iter().zip(&recent[1..]) {
            text += &format!(" · {name} {value:.4}");
        }
    }
    text + &format!(" · {} tokens/s", rate.round())
}

/// Returns the lines of the log up to an update; a torn last line is none.
fn lines_until(path: &Path, step: u64) -> std::io::Result<String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    let mut kept = String::new();
    for line in BufReader::new(file).lines() {
        let line = line?;
        let at = serde_json::from_str::<Value>(&line).ok().and_then(|line| line["step"].as_u64());
        if at.is_some_and(|at| at <= step) {
            kept += &line;
            kept.push('\n');
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Talk;
    use crate::objective::Evaluation;

    fn step(number: u64) -> Step {
        Step {
            step: number,
            total: 4,
            epoch: 1,
            evaluation: Evaluation { total: 0.5, terms: vec![0.25, 0.75] },
            learning_rate: 0.1,
            grad_norm: 1.0,
            tokens: 10,
            examples: 2,
        }
    }

    #[test]
    fn a_resumed_run_forgets_what_came_after_its_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let console = Console { talk: Talk::None, json: false };
        let open =
            |done| RunLog::open(&path, &console, (done, 4), vec!["kl", "cross_entropy"], "accuracy").unwrap();
        let mut log = open(0);
        for number in 1..=3 {
            log.record(Event::Step(&step(number))).unwrap();
        }
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "{\"event\": \"st").unwrap();
        let mut log = open(2);
        log.record(Event::Step(&step(3))).unwrap();
        log.record(Event::Evaluated { step: 3, score: 0.5, best: true }).unwrap();
        let lines: Vec<Value> = std::fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let steps: Vec<_> = lines.iter().map(|line| line["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, [1, 2, 3, 3]);
        assert_eq!(lines[0]["loss_cross_entropy"], 0.75);
        assert_eq!(lines[3]["accuracy"], 0.5);
        let seconds: Vec<f64> = lines.iter().map(|line| line["seconds"].as_f64().unwrap()).collect();
        assert!(seconds.is_sorted(), "training time goes on where it was left: {seconds:?}");
    }
}
