//! How fast the files answer: all of them in turn, so that a noisy machine is fair to all.

use crate::commands::Opener;
use crate::commands::bench::sentences::sentences;
use crate::cost::clock::{Cost, median, timed};
use crate::cost::{Turns, WARM_UP};
use crate::tokens::Tokenizer;
use anyhow::Result;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;
use teacher::{Options, Teacher, Tokens};

/// The batches that are timed: texts, and tokens of a text.
const BATCHES: [[usize; 2]; 3] = [[1, 16], [1, 128], [16, 32]];

/// How often a batch is timed for each file, and for how long.
const TURNS: Turns = Turns { warm_up: WARM_UP, runs: 10, rounds: 1..=5, budget: BUDGET };
const BUDGET: Duration = Duration::from_millis(400);

/// How fast a file answers, on one thread.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Speed {
    /// Half of all single texts of 16 tokens took at most this long, in milliseconds.
    pub p50_1x16_ms: f64,
    /// The same of 128 tokens.
    pub p50_1x128_ms: f64,
    /// Texts in a second, 16 at a time, of 32 tokens.
    pub texts_per_second_16x32: f64,
    /// The processor time of the same three, in milliseconds.
    pub cpu_ms: [f64; 3],
}

/// Times files. Batches are shorter where the model takes no text as long.
///
/// # Errors
/// When a file cannot be opened, or fails.
pub fn time(paths: &[&Path], tokenizer: &Tokenizer, opener: &Opener<'_>) -> Result<Vec<Speed>> {
    let notify = |line: &str| opener.console.say(line);
    let options = Options { workers: 1, ..opener.options(&notify) };
    let mut models = paths.iter().map(|path| Teacher::open(path, &options)).collect::<Result<Vec<_>, _>>()?;
    let longest = BATCHES.iter().map(|[_, length]| *length).max().unwrap_or(1);
    let text = sentences(tokenizer, longest).join(" ");
    let encodings = tokenizer.encode(&[(text.as_str(), None)], 1)?;
    let (ids, type_ids) = encodings.get(0);
    let mut costs = vec![[Cost::default(); 3]; models.len()];
    for (place, [texts, length]) in BATCHES.into_iter().enumerate() {
        let length = length.min(ids.len());
        let batch = vec![Tokens { ids: &ids[..length], type_ids: &type_ids[..length] }; texts];
        for (costs, cost) in costs.iter_mut().zip(in_turn(&mut models, &batch)?) {
            costs[place] = cost;
        }
    }
    Ok(costs.iter().map(Speed::of).collect())
}

/// Returns the median cost of a batch for each model.
fn in_turn(models: &mut [Teacher], batch: &[Tokens<'_>]) -> Result<Vec<Cost>> {
    let count = models.len();
    let turns = Turns { budget: BUDGET * count as u32, ..TURNS };
    let run = |model: usize| {
        let (logits, cost) = timed(|| models[model].logits(batch, &|_| {}));
        logits.map(|_| cost)
    };
    Ok(turns.take(count, run, |_| {})?.iter().map(|costs| median(costs)).collect())
}

impl Speed {
    fn of(costs: &[Cost; 3]) -> Self {
        Speed {
            p50_1x16_ms: costs[0].wall_ms,
            p50_1x128_ms: costs[1].wall_ms,
            texts_per_second_16x32: costs[2].per_second(BATCHES[2][0] as f64),
            cpu_ms: costs.map(|cost| cost.cpu_ms),
        }
    }
}
