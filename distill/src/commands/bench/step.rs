//! `distill bench step`: a training step, whole and in parts.

use super::Settings;
use super::kernels::Peaks;
use super::table::Row;
use crate::bundle;
use crate::console::Progress;
use crate::cost::clock::{Cost, LONG, cost_of, median, repeated, timed};
use anyhow::Result;
use student::bert::Bert;
use student::engine::DropoutKey;
use student::measure::{Part, parts, random_batch, step_flops};
use student::optim::AdamWStep;
use student::{Architecture, Asked, Engine, OutputGrads, init};

const WHAT: &str = "step";

/// The parts that are measured alone, in the order of the table.
const ALONE: [&str; 5] = ["linear", "attention", "normalisation", "embeddings", "late updates"];

/// The rows that there will be: the whole, its three phases, the parts, the update and the rest.
pub const COUNT: usize = 4 + ALONE.len() + 2;

/// The cost of each phase of a step.
#[derive(Clone, Copy, Default)]
struct Phases {
    forward: Cost,
    backward: Cost,
    update: Cost,
}

/// Measures a step on random tokens, with dropout, and its parts.
///
/// # Errors
/// When the engine cannot be made.
pub fn rows(settings: &Settings, peaks: Peaks, progress: &mut Progress) -> Result<Vec<Row>> {
    let Settings { config, threads, precision, batch_size, .. } = settings;
    let batch = random_batch(config.vocab_size, &settings.draw_lengths(0), 0);
    let phases = phases(settings)?;
    progress.advance(4, || WHAT.to_owned());
    let whole = phases.forward.plus(phases.backward).plus(phases.update);
    let row = |name: &str, cost: Cost| Row::new(WHAT, name, cost).with_whole(whole);
    let mut rows = vec![
        row("whole", whole).with_texts(batch.num_tokens(), *batch_size).with_flops(
            step_flops(config, &batch),
            *precision,
            peaks.of(*precision),
        ),
        row("forward", phases.forward),
        row("backward", phases.backward),
        row("update", phases.update),
    ];
    let mut parts = parts(config, &batch, *precision);
    let mut rest = whole.minus(phases.update);
    for name in ALONE {
        let (mut cost, mut flops, mut multiplied) = (Cost::default(), 0.0, *precision);
        for Part { precision, times, work, .. } in parts.iter_mut().filter(|part| part.name == name) {
            cost = cost.plus(cost_of(threads, work.as_mut()).times(*times));
            flops += *times as f64 * work.flops();
            multiplied = *precision;
        }
        rest = rest.minus(cost);
        let row = row(&format!("part: {name}"), cost);
        let peak = peaks.of(multiplied);
        rows.push(if flops > 0.0 { row.with_flops(flops, multiplied, peak) } else { row });
        progress.advance(1, || name.to_owned());
    }
    rows.extend([row("part: update", phases.update), row("part: rest", rest)]);
    progress.advance(2, || WHAT.to_owned());
    Ok(rows)
}

/// Returns the median cost of each phase over several steps, each on other tokens, as in training.
fn phases(settings: &Settings) -> Result<Phases> {
    let bert = Bert::new(settings.config.clone())?;
    let params = init::random(bert.layout(), settings.config.initializer_range, 1);
    let mut engine = bundle::engine(bert, params, settings.threads.count(), settings.precision)?;
    let mut key = DropoutKey { seed: 1, pass: 0 };
    let steps = repeated(LONG, || {
        key.pass += 1;
        let batch = random_batch(settings.config.vocab_size, &settings.draw_lengths(key.pass), key.pass);
        let (outputs, forward) = timed(|| engine.forward(&batch, &Asked::logits(), key));
        // The logits are the gradient of half their squares: a loss that costs nothing.
        let (done, backward) = timed(|| engine.backward(OutputGrads::of_logits(outputs.logits)));
        done?;
        let (_, update) = timed(|| engine.update(&AdamWStep::default()));
        anyhow::Ok(Phases { forward, backward, update })
    })?;
    let of = |phase: fn(&Phases) -> Cost| median(&steps.iter().map(phase).collect::<Vec<_>>());
    Ok(Phases {
        forward: of(|phases| phases.forward),
        backward: of(|phases| phases.backward),
        update: of(|phases| phases.update),
    })
}
