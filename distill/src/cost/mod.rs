//! What it costs to run a model: size, time to load, memory, latency, throughput, money.
//!
//! Every model is opened as one session of ONNX Runtime that does not spin. Models are timed in [turns](Turns), with texts of
//! exactly as many tokens as said, which are those of the data, one after the other and cut. Times are those that pass on
//! this machine; core-seconds are processor time, which another process on the machine cannot lengthen by much.
//!
//! ```text
//! sizes ──▶ processes of their own (probe) ──▶ latency ──▶ latency by length ──▶ throughput
//! ```

pub mod clock;
mod percentiles;
pub mod probe;
mod size;
mod turns;
mod work;

pub use percentiles::percentile;
pub use probe::Probe;
pub use size::{Size, file_bytes};
pub use turns::Turns;

use crate::console::Console;
use crate::error::explained;
use crate::measure::median;
use crate::tokens::Encodings;
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;
use teacher::{Options, Teacher};
use work::{Work, limit};

/// How models are measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The texts of a timed batch.
    pub batch: usize,
    /// The tokens of each; fewer when a model takes no more, and then for all models.
    pub length: usize,
    /// The threads of a session.
    pub threads: usize,
    /// The longest time for the latencies of one model; the other figures take about as long again.
    pub budget: Duration,
    /// The rounds of turns at least, however long they take: several make a noisy machine fair to all models.
    pub rounds: usize,
    /// What an hour of a core costs, in any currency.
    pub core_hour_price: Option<f64>,
    /// This binary, which measures memory in processes of its own; without it neither memory nor first answers are known.
    pub program: Option<PathBuf>,
}

/// A model that is measured.
pub struct Candidate<'a> {
    /// The model, opened with [`Settings::options`].
    pub model: &'a mut Teacher,
    /// Texts in its tokens: the throughput is that of [`Settings::TEXTS`] of them, which lie evenly in the data.
    pub texts: &'a Encodings,
}

/// What a model costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelCost {
    /// The numbers that the graph stores as initializers.
    pub parameters: u64,
    /// The bytes of the graph with its external data.
    pub file_bytes: u64,
    /// The time in which ONNX Runtime reads and optimises the graph, in milliseconds; the median of several processes.
    pub load_ms: f64,
    /// The time of the first batch of a process, in milliseconds; the median of several.
    pub first_ms: Option<f64>,
    /// The memory that a process with this model alone holds once it has answered, in bytes; the median of several.
    pub resident_bytes: Option<u64>,
    /// The most memory that it has held, in bytes; the median of several.
    pub peak_bytes: Option<u64>,
    /// The time of a batch.
    pub latency: Latency,
    /// The time of a single text by its length, shortest first, up to the longest that the model takes.
    pub by_length: Vec<Latency>,
    /// Many texts at a time.
    pub throughput: Throughput,
    /// A million texts.
    pub per_million: PerMillion,
}

/// The times of a batch. Percentiles are those of nearest rank: with fewer than 100 samples, p99 is the longest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// The texts of the batch.
    pub batch: usize,
    /// The tokens of each text.
    pub length: usize,
    /// The threads of the session.
    pub threads: usize,
    /// The batches that were timed, once the model was warm.
    pub samples: usize,
    /// Half of all batches took at most this long, in milliseconds.
    pub p50_ms: f64,
    /// Of a hundred, 95 did.
    pub p95_ms: f64,
    /// Of a hundred, 99 did.
    pub p99_ms: f64,
}

/// How fast many texts of the data are answered, batched by length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Throughput {
    /// The texts that were timed.
    pub texts: usize,
    /// Their mean length in tokens.
    pub mean_tokens: f64,
    /// The padded tokens of a batch, at most.
    pub batch_tokens: usize,
    /// Texts in a second.
    pub texts_per_second: f64,
    /// Tokens in a second, padding not counted.
    pub tokens_per_second: f64,
}

/// What a million texts like those of the data cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PerMillion {
    /// Processor time, in seconds of one core.
    pub core_seconds: f64,
    /// Its price, where one was given.
    pub price: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            batch: 1,
            length: 128,
            threads: 1,
            budget: Duration::from_secs(3),
            rounds: 4,
            core_hour_price: None,
            program: std::env::current_exe().ok(),
        }
    }
}

/// The lengths at which single texts are timed, in tokens.
const LENGTHS: [usize; 6] = [16, 32, 64, 128, 256, 512];
/// The padded tokens of a batch of many texts, at least: larger ones leave the caches.
const BATCH_TOKENS: usize = 512;
/// How long a model is warmed up for its turn: small ones need several runs to have the caches for themselves.
pub const WARM_UP: Duration = Duration::from_millis(20);
/// The processes that open a model.
const PROBES: usize = 3;

impl Settings {
    /// The texts of a throughput, at most.
    pub const TEXTS: usize = 128;

    /// Returns how models are opened to be measured: as one session that takes a batch at once.
    pub fn options<'a>(&self, base: Options<'a>) -> Options<'a> {
        Options { workers: 1, intra_threads: self.threads, batch_tokens: self.batch_tokens(), ..base }
    }

    /// Returns the turns that so many models have, at most.
    fn units(&self, models: usize) -> usize {
        let probes = self.program.as_ref().map_or(0, |_| PROBES);
        let [latencies, lengths, throughputs] =
            [self.latencies(), self.lengths(), self.throughputs()].map(|turns| *turns.rounds.end());
        models * (probes + latencies + LENGTHS.len() * lengths + throughputs)
    }

    fn batch_tokens(&self) -> usize {
        self.batch.saturating_mul(self.length).max(BATCH_TOKENS)
    }

    fn latencies(&self) -> Turns {
        Turns { warm_up: WARM_UP, runs: 5, rounds: self.rounds..=100, budget: self.budget }
    }

    fn lengths(&self) -> Turns {
        Turns { warm_up: WARM_UP, runs: 3, rounds: self.rounds.min(2)..=10, budget: self.budget / 8 }
    }

    fn throughputs(&self) -> Turns {
        Turns { warm_up: WARM_UP, runs: 1, rounds: self.rounds.min(3)..=10, budget: self.budget / 2 }
    }
}

/// Measures models beside each other, in the order given. This takes some seconds for each.
///
/// # Errors
/// When there is no text, a model fails, or its files cannot be read.
pub fn measure(
    candidates: &mut [Candidate<'_>],
    settings: &Settings,
    console: &Console,
) -> Result<Vec<ModelCost>> {
    if candidates.iter().any(|candidate| candidate.texts.lengths().iter().all(|&length| length == 0)) {
        return Err(explained(
            "there is no text to time the models with",
            "give a file with at least one text that is not empty",
        ));
    }
    let sizes: Vec<Size> =
        candidates.iter().map(|candidate| Size::of(candidate.model.path())).collect::<Result<_>>()?;
    let loads: Vec<f64> = candidates.iter().map(|candidate| 1e3 * candidate.model.load_seconds()).collect();
    let limits: Vec<usize> = candidates.iter_mut().map(limit).collect();
    let length = limits.iter().copied().fold(settings.length, usize::min);
    let everyone: Vec<usize> = (0..candidates.len()).collect();

    let progress = console.progress("cost", settings.units(candidates.len()));
    let mut work = Work { candidates, settings, progress };
    let probes = work.probes(length)?;
    let latencies = work.latencies(&everyone, [settings.batch, length], &settings.latencies(), "latency")?;
    let by_length = work.by_length(&limits)?;
    let throughputs = work.throughputs()?;
    work.progress.finish();
    let costs = everyone.into_iter().map(|model| ModelCost {
        parameters: sizes[model].parameters,
        file_bytes: sizes[model].file_bytes,
        load_ms: middle(&probes[model], |probe| Some(probe.load_ms)).unwrap_or(loads[model]),
        first_ms: middle(&probes[model], |probe| Some(probe.first_ms)),
        resident_bytes: middle(&probes[model], |probe| probe.resident_bytes.map(|bytes| bytes as f64))
            .map(whole),
        peak_bytes: middle(&probes[model], |probe| probe.peak_bytes.map(|bytes| bytes as f64)).map(whole),
        latency: latencies[model],
        by_length: by_length[model].clone(),
        throughput: throughputs[model].0,
        per_million: throughputs[model].1,
    });
    Ok(costs.collect())
}

/// Returns the median of a figure of several processes, where it is known.
fn middle(probes: &[Probe], figure: impl Fn(&Probe) -> Option<f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = probes.iter().filter_map(figure).collect();
    (!numbers.is_empty()).then(|| median(&mut numbers))
}

fn whole(number: f64) -> u64 {
    number.round() as u64
}
