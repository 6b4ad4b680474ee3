//! The parts of a training step, each alone: forward and backward of its layers at the shapes of a model.

mod embeddings;
mod layers;

use super::Work;
use crate::architecture::{DropoutKey, Mode};
use crate::batch::Readout;
use crate::bert::BertConfig;
use crate::{PackedBatch, Precision};
use embeddings::{EmbeddingsAlone, LateUpdates};
use layers::{AttentionAlone, LinearMaps, Normalisations};

/// A part of a step.
pub struct Part {
    /// What it is part of: `linear`, `attention`, `normalisation`, `embeddings`, `late updates`.
    pub name: &'static str,
    /// The precision of its products; attention's are `f32` where that is faster.
    pub precision: Precision,
    /// How often a step does it.
    pub times: usize,
    /// Forward and backward, once.
    pub work: Box<dyn Work>,
}

/// Returns the parts of a step of a BERT, without its head and its optimiser.
///
/// All layers but the last are asked about every token, the last one about first tokens alone.
pub fn parts(config: &BertConfig, batch: &PackedBatch, precision: Precision) -> Vec<Part> {
    let mut parts = Vec::new();
    for (times, readout) in [(config.num_hidden_layers - 1, Readout::Every), (1, Readout::First)] {
        if times > 0 {
            let works: [(&'static str, Box<dyn Work>); 3] = [
                ("linear", Box::new(LinearMaps::new(config, batch, readout, precision))),
                ("attention", Box::new(AttentionAlone::new(config, batch, readout, precision))),
                ("normalisation", Box::new(Normalisations::new(config, batch, readout))),
            ];
            parts.extend(works.map(|(name, work)| Part {
                name,
                precision: if name == "normalisation" { Precision::F32 } else { precision },
                times,
                work,
            }));
        }
    }
    let works: [(&'static str, Box<dyn Work>); 2] = [
        ("embeddings", Box::new(EmbeddingsAlone::new(config, batch))),
        ("late updates", Box::new(LateUpdates::new(config, batch))),
    ];
    parts.extend(works.map(|(name, work)| Part { name, precision: Precision::F32, times: 1, work }));
    parts
}

/// Returns the floating-point operations of a step's products: those that are done, not those of padding or of rows
/// that nobody reads.
pub fn step_flops(config: &BertConfig, batch: &PackedBatch) -> f64 {
    let [hidden, classes, sequences] =
        [config.hidden_size, config.labels.len(), batch.num_sequences()].map(|size| size as f64);
    let layer =
        |readout: Readout| linear_flops(config, batch, readout) + attention_flops(config, batch, readout);
    let head = 6.0 * sequences * (hidden * hidden + hidden * classes);
    (config.num_hidden_layers - 1) as f64 * layer(Readout::Every) + layer(Readout::First) + head
}

/// Training: dropout draws its masks.
pub(super) const MODE: Mode = Mode::Train(DropoutKey { seed: 1, pass: 1 });

/// Six operations, forward and backward, for each weight and each row that it sees.
fn linear_flops(config: &BertConfig, batch: &PackedBatch, readout: Readout) -> f64 {
    let (hidden, intermediate) = (config.hidden_size as f64, config.intermediate_size as f64);
    let (all, read) = (batch.num_tokens() as f64, num_rows(batch, readout) as f64);
    6.0 * (all * 2.0 * hidden * hidden + read * 2.0 * (hidden * hidden + hidden * intermediate))
}

/// Two products forward and four backward, of two operations for each feature of each pair of query and key.
fn attention_flops(config: &BertConfig, batch: &PackedBatch, readout: Readout) -> f64 {
    let lengths = batch.sequences().map(|sequence| sequence.len() as f64);
    let pairs = lengths.map(|length| if readout == Readout::Every { length * length } else { length });
    12.0 * config.hidden_size as f64 * pairs.sum::<f64>()
}

fn num_rows(batch: &PackedBatch, readout: Readout) -> usize {
    readout.offsets(batch.offsets())[batch.num_sequences()]
}
