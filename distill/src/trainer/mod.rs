//! The training loop: ask, compare, correct, update.
//!
//! The loop knows an engine, an objective and examples; it knows no files but its checkpoint, and no clock. What it does
//! at update `n` depends on the recipe, the data and `n` alone, so that a run that was interrupted continues to the same
//! bits.

mod batch;
mod checkpoint;
mod health;

pub use batch::{Batch, Supply};
pub use checkpoint::CheckpointFolder;
use checkpoint::Progress;

use crate::batches::{BatchSize, Course, Lengths, Plan, Until};
use crate::error::explained;
use crate::examples::Examples;
use crate::masking::Moment;
use crate::objective::{Evaluation, Objective};
use crate::recipe::TrainSection;
use anyhow::Result;
use ndarray::{Array2, Axis};
use std::sync::atomic::{AtomicBool, Ordering};
use student::Asked;
use student::engine::{DropoutKey, Engine};
use student::optim::{AdamWStep, Schedule};

/// What the loop reports while it runs.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// An update was made.
    Step(&'a Step),
    /// The student was evaluated after `step` updates.
    Evaluated {
        /// The updates made.
        step: u64,
        /// The figure to select by; higher is better.
        score: f64,
        /// Whether it is the best so far.
        best: bool,
    },
}

/// One update.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its number, from 1.
    pub step: u64,
    /// The updates of the whole run.
    pub total: u64,
    /// The epoch, from 1.
    pub epoch: usize,
    /// The objective and its terms before the update.
    pub evaluation: Evaluation,
    /// The learning rate.
    pub learning_rate: f64,
    /// The norm of the gradient before clipping.
    pub grad_norm: f64,
    /// The tokens that the student read.
    pub tokens: usize,
    /// The examples that the student read.
    pub examples: usize,
}

/// Judges a student.
pub trait Score {
    /// Returns a finite number; higher is better.
    ///
    /// # Errors
    /// When a teacher that has to be asked fails.
    fn score(&self, engine: &mut dyn Engine) -> Result<f64>;
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The updates made.
    pub steps: u64,
    /// The updates after which the student that is kept was evaluated, and its score.
    pub best: Option<(u64, f64)>,
    /// Whether the run was interrupted and can be continued.
    pub interrupted: bool,
}

/// A run: everything that the loop needs.
pub struct Trainer<'a> {
    /// The student.
    pub engine: &'a mut dyn Engine,
    /// What it is trained for.
    pub objective: &'a Objective,
    /// What it is trained on.
    pub supply: Supply<'a>,
    /// The settings, with nothing left undecided.
    pub settings: &'a TrainSection,
    /// How the student is judged; nothing when there is nothing to judge it on.
    pub score: Option<&'a dyn Score>,
    /// Where checkpoints are kept.
    pub checkpoint: &'a CheckpointFolder,
    /// Set from outside to stop after the present update.
    pub stop: &'a AtomicBool,
    /// Says, now and then, that it is time for a checkpoint.
    pub is_checkpoint_due: &'a mut dyn FnMut() -> bool,
    /// Told about everything that happens.
    pub on_event: &'a mut dyn FnMut(Event<'_>) -> Result<()>,
}

impl Trainer<'_> {
    /// Trains to the end of the course, or until told to stop. The engine then holds the student that is kept: the best
    /// one that was evaluated, or the last.
    ///
    /// # Errors
    /// When the loss is not finite or grows without bound, or a checkpoint cannot be written.
    pub fn run(mut self, mut course: Course<'_>) -> Result<Outcome> {
        let mut progress = self.checkpoint.restore(self.engine)?.unwrap_or_default();
        let total = course.total_steps();
        let mut next = None;
        while progress.step < total && !progress.stopped_early {
            let number = progress.step;
            let lesson = next.take().unwrap_or_else(|| self.prepare(&mut course, number));
            // The teacher reads the next batches while the student learns from these.
            next = (number + 1 < total).then(|| self.prepare(&mut course, number + 1));
            let step = self.update(lesson, number, total)?;
            progress
                .health
                .observe(step.evaluation.total)
                .map_err(|why| self.diverged(&mut course, &step, &why))?;
            progress.step = step.step;
            (self.on_event)(Event::Step(&step))?;
            let interrupted = self.stop.load(Ordering::Relaxed);
            let evaluate = self.is_evaluation_due(progress.step, total);
            if evaluate {
                self.evaluate(&mut progress)?;
            }
            if evaluate || interrupted || (self.is_checkpoint_due)() {
                self.checkpoint.save(self.engine, &progress)?;
            }
            if interrupted && progress.step < total {
                return Ok(Outcome { steps: progress.step, best: progress.best, interrupted: true });
            }
        }
        if progress.best.is_some() {
            self.checkpoint.restore_best(self.engine)?;
        }
        Ok(Outcome { steps: progress.step, best: progress.best, interrupted: false })
    }

    /// Packs the batches of the update with this number, counted from 0, and asks the teacher about them.
    fn prepare(&self, course: &mut Course<'_>, number: u64) -> Lesson {
        let (epoch, batches) = course.step(number);
        let moment = Moment { seed: self.settings.seed, epoch: epoch as u64 };
        let batch = |examples| self.supply.ask(self.supply.batch(examples, moment));
        Lesson { epoch, batches: batches.into_iter().map(batch).collect() }
    }

    /// Makes the update with this number, counted from 0.
    fn update(&mut self, lesson: Lesson, number: u64, total: u64) -> Result<Step> {
        let settings = self.settings;
        let totals = self.supply.totals(&lesson.batches);
        let objective = self.objective.at(number as f64 / total as f64);
        let mut sum = Evaluation { total: 0.0, terms: vec![0.0; self.objective.terms().len()] };
        let mut tokens = 0;
        for (i, batch) in lesson.batches.into_iter().enumerate() {
            let key =
                DropoutKey { seed: settings.seed, pass: number * settings.accumulate as u64 + i as u64 };
            tokens += batch.packed().num_tokens();
            let outputs = self.engine.forward(batch.packed(), objective.asked(), key);
            let (evaluation, d_outputs) = self.supply.evaluate(&objective, batch, &outputs, totals)?;
            self.engine.backward(d_outputs)?;
            sum.total += evaluation.total;
            sum.terms.iter_mut().zip(&evaluation.terms).for_each(|(sum, term)| *sum += term);
        }
        let step = adamw_step(settings, total, number);
        let grad_norm = self.engine.update(&step);
        if !grad_norm.is_finite() {
            sum.total = f64::NAN;
        }
        let learning_rate = step.learning_rate;
        let (epoch, examples) = (lesson.epoch + 1, totals.examples);
        Ok(Step {
            step: number + 1,
            total,
            epoch,
            evaluation: sum,
            learning_rate,
            grad_norm,
            tokens,
            examples,
        })
    }

    fn is_evaluation_due(&self, step: u64, total: u64) -> bool {
        step == total || self.settings.eval_every.is_some_and(|every| step.is_multiple_of(every))
    }

    fn evaluate(&mut self, progress: &mut Progress) -> Result<()> {
        let Some(judge) = self.score else { return Ok(()) };
        let score = judge.score(self.engine)?;
        let best = progress.best.is_none_or(|(_, best)| score > best);
        if best {
            progress.best = Some((progress.step, score));
            progress.stale = 0;
            self.checkpoint.save_best(self.engine)?;
        } else {
            progress.stale += 1;
        }
        progress.stopped_early = self.settings.patience > 0 && progress.stale >= self.settings.patience;
        (self.on_event)(Event::Evaluated { step: progress.step, score, best })
    }

    fn diverged(&self, course: &mut Course<'_>, step: &Step, why: &str) -> anyhow::Error {
        let (_, batches) = course.step(step.step - 1);
        let mut examples = batches.concat();
        examples.sort_unstable();
        let shown: Vec<String> = examples.iter().take(8).map(|i| (i + 1).to_string()).collect();
        let more = if examples.len() > shown.len() { ", …" } else { "" };
        explained(
            format!("training diverged at step {}: {why} (examples {}{more})", step.step, shown.join(", ")),
            format!(
                "the last checkpoint is whole; start again with a lower `--lr` than {:e}, or look at these examples",
                self.settings.learning_rate.unwrap_or(step.learning_rate)
            ),
        )
    }
}

/// What an update is made from.
struct Lesson {
    epoch: usize,
    batches: Vec<Batch>,
}

/// Returns what the student says about every example, [examples, C], without dropout.
pub fn logits(engine: &mut dyn Engine, examples: &Examples) -> Array2<f32> {
    const TOKENS: usize = 2048;
    let mut rows = Vec::new();
    let mut next = 0;
    while next < examples.len() {
        let (first, mut tokens) = (next, 0);
        while next < examples.len() && (next == first || tokens + examples.length(next) <= TOKENS) {
            tokens += examples.length(next);
            next += 1;
        }
        rows.push(
            engine.evaluate(&examples.pack(&(first..next).collect::<Vec<_>>()), &Asked::logits()).logits,
        );
    }
    let views: Vec<_> = rows.iter().map(|rows| rows.view()).collect();
    ndarray::concatenate(Axis(0), &views).unwrap_or_default()
}

/// Returns the course of a run with these settings over these examples.
pub fn course<'a>(lengths: &'a dyn Lengths, settings: &TrainSection) -> Course<'a> {
    let plan = Plan {
        size: settings.batch_tokens.map_or(BatchSize::Examples(settings.batch_size), BatchSize::Tokens),
        accumulate: settings.accumulate,
        seed: settings.seed,
        until: settings.max_steps.map_or(Until::Epochs(settings.epochs), Until::Steps),
        threads: settings.threads,
    };
    Course::new(lengths, plan)
}

fn adamw_step(settings: &TrainSection, total_steps: u64, number: u64) -> AdamWStep {
    let warmup_steps = (settings.warmup * total_steps as f64).round() as u64;
    let schedule = Schedule { peak: settings.learning_rate.unwrap_or(1e-4), warmup_steps, total_steps };
    AdamWStep {
        learning_rate: schedule.at(number),
        beta1: settings.beta1,
        beta2: settings.beta2,
        epsilon: settings.epsilon,
        weight_decay: settings.weight_decay,
        max_grad_norm: if settings.max_grad_norm > 0.0 { settings.max_grad_norm } else { f64::INFINITY },
    }
}
