//! What `train` and `finetune` have in common: from a student with its examples to a verified directory.

use crate::batches::{Course, ORDER_VERSION};
use crate::blueprint::Blueprint;
use crate::bundle::{self, Verification};
use crate::console::Console;
use crate::corpus::Subject;
use crate::data::fingerprint;
use crate::examples::Examples;
use crate::insight::Insight;
use crate::interrupt::StopOnCtrlC;
use crate::log::{self, RunLog, read_scalars};
use crate::masking::Masker;
use crate::measure::{Closeness, Scorer};
use crate::memory;
use crate::objective::Objective;
use crate::recipe::Recipe;
use crate::report::count;
use crate::run_folder::RunFolder;
use crate::track::{About, Destination, Ending, Trackers};
use crate::trainer::{CheckpointFolder, Event, Outcome, Score, Supply, Trainer};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use student::Precision;
use student::bert::Bert;
use student::engine::{CpuEngine, Engine};
use student::export::onnx::Model;
use teacher::Options;

/// The file that tells that a run wrote a folder, and lets it be continued.
pub const RECIPE: &str = "recipe.toml";

/// A run that is ready to start.
pub struct Run<'a> {
    /// Where everything is written.
    pub folder: &'a RunFolder,
    /// Every setting, resolved.
    pub recipe: &'a Recipe,
    /// The name of the file that they are written to.
    pub settings: &'a str,
    /// What the student is trained for.
    pub objective: &'a Objective,
    /// What is predicted.
    pub subject: &'a Subject,
    /// What the student is trained on.
    pub train: &'a Examples,
    /// What it is evaluated on.
    pub eval: &'a Examples,
    /// Whom to ask what goes on inside the teacher, where the objective compares that.
    pub insight: Option<&'a Insight>,
    /// What hides words, where the objective asks which were hidden.
    pub masker: Option<&'a Masker>,
    /// The directory with the student's tokenizer.
    pub tokenizer: &'a Path,
    /// The fingerprints of what the run is made from, by name.
    pub sources: BTreeMap<String, String>,
    /// Where the run can be followed, besides its folder.
    pub tracked: &'a [Destination],
    /// What is said meanwhile.
    pub console: &'a Console,
}

/// A run that came to its end.
pub struct Finished {
    /// How it ended.
    pub outcome: Outcome,
    /// The name of the score that the student was chosen by.
    pub score_name: String,
    /// How the exported graph compares with the student.
    pub verification: Verification,
    /// The seconds of training.
    pub seconds: f64,
}

impl Finished {
    /// Returns how the student was trained, for a report.
    pub fn summary(&self) -> serde_json::Value {
        serde_json::json!({
            "steps": self.outcome.steps,
            "kept_step": self.outcome.best.map(|(step, _)| step),
            "score": self.score_name,
            "best_score": self.outcome.best.map(|(_, score)| score),
            "seconds": self.seconds,
            "verification": self.verification,
        })
    }

    /// Writes down and says how a run ended whose model is compared with no other.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn conclude(&self, folder: &RunFolder, console: &Console) -> Result<()> {
        let summary = serde_json::to_string_pretty(&self.summary())?;
        bundle::write_text(&folder.join("report.json"), &(summary.clone() + "\n"))?;
        if console.json {
            console.hand_out(summary);
        }
        console.say(format_args!("the model is in {}", folder.path().display()));
        Ok(())
    }
}

impl Recipe {
    /// Decides what was left open, once the data and the student are known.
    pub fn resolve(&mut self, total_steps: u64, default_rate: f64) {
        self.train.precision = self.train.precision.resolved();
        self.train.learning_rate.get_or_insert(default_rate);
        self.train.eval_every.get_or_insert((total_steps / 8).max(1));
    }
}

impl Run<'_> {
    /// Trains the student along a course, writes it down and verifies what was written. Returns nothing when interrupted.
    ///
    /// # Errors
    /// When training diverges, a file cannot be written, or the export differs from the student.
    pub fn execute(
        &self,
        blueprint: Blueprint,
        course: Course<'_>,
        options: &Options<'_>,
    ) -> Result<Option<Finished>> {
        bundle::write_text(&self.folder.join(self.settings), &self.recipe.to_toml())?;
        let checkpoint = CheckpointFolder::open(&self.folder.join("checkpoint"), self.identity())?;
        if !self.folder.is_resumed() {
            checkpoint.clear()?;
        }
        let train = &self.recipe.train;
        let precision = train.precision.engine();
        let engine = bundle::engine(blueprint.bert, blueprint.params, train.threads, precision)?;
        let mut engine = self.rounding(engine)?;
        let start = Instant::now();
        let (outcome, score_name) = self.train(&mut engine, course, &checkpoint)?;
        if outcome.interrupted {
            self.console.say(format_args!(
                "stopped after step {}; go on with the same command and `--resume`",
                outcome.steps
            ));
            return Ok(None);
        }
        let seconds = start.elapsed().as_secs_f64();
        let mut engine = alone(engine, train.threads, precision)?;
        let metadata = self.metadata(&outcome, &score_name);
        let (bert, params) = engine.model();
        bundle::write(self.folder.path(), bert, params, self.tokenizer, &metadata)?;
        let texts = self.eval.encodings(self.eval.spread(VERIFIED_AMONG));
        let verification = bundle::verify(self.folder.path(), &mut engine, &texts, options)?;
        self.console.say(format_args!(
            "exported and verified on {} texts: logits differ by at most {:.1e}",
            verification.examples, verification.max_difference
        ));
        Ok(Some(Finished { outcome, score_name, verification, seconds }))
    }

    /// Lets the engine compute with the weights that an export will store, where the recipe asks for it.
    fn rounding(&self, mut engine: CpuEngine<Bert>) -> Result<CpuEngine<Bert>> {
        let Some(storage) = self.recipe.train.storage()? else { return Ok(engine) };
        let (bert, params) = engine.model();
        let schemes = Model::lower(bert, params, &BTreeMap::new())?.rounding(&storage);
        self.console.say(format_args!(
            "weights are rounded as in {}: {} of them",
            storage.format,
            schemes.len()
        ));
        Ok(engine.rounding(&schemes))
    }

    fn train(
        &self,
        engine: &mut CpuEngine<Bert>,
        course: Course<'_>,
        checkpoint: &CheckpointFolder,
    ) -> Result<(Outcome, String)> {
        let objective = self.objective;
        let scorer = Scorer::of(self.subject, self.eval);
        let supply = |examples| Supply { examples, insight: self.insight, masker: self.masker };
        let closeness = Closeness { objective, supply: supply(self.eval) };
        let (score, score_name): (Option<&dyn Score>, _) = match &scorer {
            // A head that learns nothing cannot be judged by what it says.
            _ if !objective.asked().logits => (Some(&closeness), Closeness::NAME.to_owned()),
            Some(scorer) => (Some(scorer), scorer.name().to_owned()),
            None => (None, String::new()),
        };
        let total = course.total_steps();
        let done = checkpoint.step(engine)?;
        self.announce(engine, (done, total));
        let path = self.folder.join(log::FILE);
        let terms = objective.terms().iter().map(|term| term.loss.name()).collect();
        let log = RunLog::open(&path, self.console, (done, total), terms, &score_name)?;
        let mut log = log.followed_by(Trackers::open(&self.about()?, self.tracked, &read_scalars(&path)?)?);
        let mut last_checkpoint = Instant::now();
        let stop = StopOnCtrlC::listen();
        let outcome = Trainer {
            engine,
            objective,
            supply: supply(self.train),
            settings: &self.recipe.train,
            score,
            checkpoint,
            stop: stop.flag(),
            is_checkpoint_due: &mut || {
                let due = last_checkpoint.elapsed() >= CHECKPOINT_EVERY;
                if due {
                    last_checkpoint = Instant::now();
                }
                due
            },
            on_event: &mut |event: Event<'_>| log.record(event),
        }
        .run(course);
        drop(stop);
        let ended = log.finish(match &outcome {
            Ok(outcome) if outcome.interrupted => Ending::Stopped,
            Ok(_) => Ending::Finished,
            Err(_) => Ending::Failed,
        });
        let outcome = outcome?;
        ended.map(|()| (outcome, score_name))
    }

    fn announce(&self, engine: &CpuEngine<Bert>, (done, total): (u64, u64)) {
        let config = engine.architecture().config();
        self.console.say(format_args!(
            "model: {} layers x {}, {} parameters · objective: {} · {} steps in {}{}",
            config.num_hidden_layers,
            config.hidden_size,
            count(engine.layout().num_parameters()),
            self.recipe.objective.describe(),
            total,
            self.recipe.train.precision.engine(),
            if done > 0 { format!(", resumed after {done}") } else { String::new() },
        ));
    }

    /// What those are told who follow the run.
    fn about(&self) -> Result<About> {
        let sha256 = |(name, value): (&String, &String)| (format!("distill.sha256.{name}"), value.clone());
        Ok(About {
            folder: std::path::absolute(self.folder.path())?,
            name: self.folder.name().to_owned(),
            is_resumed: self.folder.is_resumed(),
            params: self.recipe.settings(),
            tags: self.sources.iter().map(sha256).collect(),
        })
    }

    /// Tells this run from all others: the recipe, what it is made from, and the order in which it visits its examples.
    fn identity(&self) -> String {
        let sources: String = self.sources.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
        let order = format!("order {ORDER_VERSION}\n");
        fingerprint(format!("{}{sources}{order}", self.recipe_without_threads()).as_bytes())
    }

    /// Returns the recipe as text, without the one setting that changes no result.
    fn recipe_without_threads(&self) -> String {
        let mut recipe = self.recipe.clone();
        recipe.train.threads = 0;
        recipe.to_toml()
    }

    /// What the exported graph says about where it comes from.
    fn metadata(&self, outcome: &Outcome, score_name: &str) -> BTreeMap<String, String> {
        let mut metadata: BTreeMap<String, String> =
            self.sources.iter().map(|(name, value)| (format!("{name}_sha256"), value.clone())).collect();
        metadata.insert("recipe".into(), self.recipe_without_threads());
        metadata.insert("labels".into(), self.subject.logit_names().join(","));
        metadata.insert("steps".into(), outcome.steps.to_string());
        if let Some((_, score)) = outcome.best {
            metadata.insert(format!("eval_{score_name}"), format!("{score:.6}"));
        }
        metadata
    }
}

/// Throws away what the student was only given to be trained, and what it was trained with.
fn alone(engine: CpuEngine<Bert>, threads: usize, precision: Precision) -> Result<CpuEngine<Bert>> {
    let (bert, params) = engine.into_model();
    let (bert, params) = bert.alone(&params).unwrap_or((bert, params));
    memory::give_back();
    bundle::engine(bert, params, threads, precision)
}

/// The texts among which those are chosen that an export is verified on.
const VERIFIED_AMONG: usize = 1 << 14;

/// How much work may be lost when the machine goes down.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);
