//! The parts of a training step, each alone: forward and backward of its layers at the shapes of a model.

use super::Work;
use crate::architecture::{DropoutKey, Mode};
use crate::batch::Readout;
use crate::bert::BertConfig;
use crate::gradcheck::noise2;
use crate::layers::{
    AddNorm, Attention, Dropout, EmbeddingSizes, Embeddings, FeedForward, Gradient, Input, LayerNorm, Linear,
    Shared, Sites,
};
use crate::{Arena, Layout, PackedBatch, Params, Precision, init};
use ndarray::Array2;

/// A part of a step.
pub struct Part {
    /// What it is part of: `linear`, `attention`, `normalisation`, `embeddings`.
    pub name: &'static str,
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
                ("attention", Box::new(AttentionAlone::new(config, batch, readout))),
                ("normalisation", Box::new(Normalisations::new(config, batch, readout))),
            ];
            parts.extend(works.map(|(name, work)| Part { name, times, work }));
        }
    }
    parts.push(Part { name: "embeddings", times: 1, work: Box::new(EmbeddingsAlone::new(config, batch)) });
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

/// Returns `num_sequences` sequences of `length` random tokens; another seed gives other ones.
pub fn random_batch(vocab_size: usize, num_sequences: usize, length: usize, seed: u64) -> PackedBatch {
    let id = |token: usize| (init::uniform(seed, token as u64) * vocab_size as f64) as u32;
    let ids: Vec<u32> = (0..num_sequences * length).map(id).collect();
    let type_ids = vec![0; length];
    PackedBatch::pack(ids.chunks(length.max(1)).map(|ids| (ids, type_ids.as_slice())))
}

const MODE: Mode = Mode::Train(DropoutKey { seed: 1, pass: 1 });

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
    match readout {
        Readout::Every => batch.num_tokens(),
        Readout::First => batch.num_sequences(),
    }
}

/// The linear maps of a layer, with the activation between two of them.
struct LinearMaps {
    flops: f64,
    precision: Precision,
    readout: Readout,
    attention: [Linear; 4],
    feed_forward: FeedForward,
    params: Arena,
    grads: Arena,
    x: Shared<f32>,
    rows: Shared<f32>,
    /// The gradients of queries, keys, values, output and feed-forward block.
    d: Vec<Array2<f32>>,
}

impl LinearMaps {
    fn new(config: &BertConfig, batch: &PackedBatch, readout: Readout, precision: Precision) -> Self {
        let (mut layout, hidden) = (Layout::default(), config.hidden_size);
        let attention = ["query", "key", "value", "output"]
            .map(|name| Linear::declare(layout.scope(name), hidden, hidden));
        LinearMaps {
            flops: linear_flops(config, batch, readout),
            precision,
            readout,
            attention,
            feed_forward: FeedForward::declare(layout.scope("ffn"), hidden, config.intermediate_size),
            params: init::random(&layout, 0.02, 1),
            grads: Arena::zeros(&layout),
            x: noise2([batch.num_tokens(), hidden], 2).into_shared(),
            rows: noise2([num_rows(batch, readout), hidden], 3).into_shared(),
            d: Vec::new(),
        }
    }
}

impl Work for LinearMaps {
    fn flops(&self) -> f64 {
        self.flops
    }

    fn prepare(&mut self) {
        let (x, rows) = (&self.x, &self.rows);
        self.d = [rows, x, x, rows, rows].map(|d| d.to_owned().into_owned()).into();
    }

    fn run(&mut self) {
        let params = Params::new(&self.params, self.precision);
        let input = |x: &Shared<f32>| Input::new(x.clone(), self.precision);
        let x = input(&self.x);
        let rows = if self.readout == Readout::Every { x.clone() } else { input(&self.rows) };
        let [query, key, value, output] = &self.attention;
        let (_, to_query) = query.forward(&params, rows);
        let (_, to_key) = key.forward(&params, x.clone());
        let (_, to_value) = value.forward(&params, x);
        let (_, to_output) = output.forward(&params, input(&self.rows));
        let (_, through) = self.feed_forward.forward(&params, input(&self.rows));

        let mut d = self.d.drain(..).map(|d| Gradient::new(d, self.precision));
        let mut next = || d.next().expect("work is prepared before it runs");
        let (d_query, d_key, d_value, d_output, d_ffn) = (next(), next(), next(), next(), next());
        let grads = &mut self.grads;
        self.feed_forward.backward(&params, through, d_ffn, grads);
        output.backward(&params, to_output, d_output, grads);
        let mut d_x = value.backward(&params, to_value, d_value, grads);
        key.backward_onto(&params, to_key, d_key, grads, &mut d_x);
        query.backward(&params, to_query, d_query, grads);
    }
}

/// Attention without its projections, with dropout.
struct AttentionAlone {
    flops: f64,
    layer: Attention,
    q_offsets: Vec<usize>,
    offsets: Vec<usize>,
    q: Array2<f32>,
    k: Array2<f32>,
    prepared: Option<[Array2<f32>; 3]>,
}

impl AttentionAlone {
    fn new(config: &BertConfig, batch: &PackedBatch, readout: Readout) -> Self {
        let dropout = Dropout::new(config.attention_probs_dropout_prob, &mut Sites::default());
        let hidden = config.hidden_size;
        AttentionAlone {
            flops: attention_flops(config, batch, readout),
            layer: Attention::new(config.num_attention_heads, dropout),
            q_offsets: readout.offsets(batch.offsets()).into_owned(),
            offsets: batch.offsets().to_vec(),
            q: noise2([num_rows(batch, readout), hidden], 1),
            k: noise2([batch.num_tokens(), hidden], 2),
            prepared: None,
        }
    }
}

impl Work for AttentionAlone {
    fn flops(&self) -> f64 {
        self.flops
    }

    fn prepare(&mut self) {
        self.prepared = Some([self.q.clone(), self.k.clone(), self.k.clone()]);
    }

    fn run(&mut self) {
        let qkv = self.prepared.take().expect("work is prepared before it runs");
        let (context, saved) = self.layer.forward(qkv, &self.q_offsets, &self.offsets, MODE);
        self.layer.backward(saved, &context);
    }
}

/// Both normalisations of a layer, each with the dropout and the residual before it.
struct Normalisations {
    layers: [AddNorm; 2],
    params: Arena,
    grads: Arena,
    x: Array2<f32>,
    prepared: Vec<Array2<f32>>,
}

impl Normalisations {
    fn new(config: &BertConfig, batch: &PackedBatch, readout: Readout) -> Self {
        let (mut layout, mut sites) = (Layout::default(), Sites::default());
        let layers = ["attention", "output"].map(|name| {
            let norm = LayerNorm::declare(layout.scope(name), config.hidden_size, config.layer_norm_eps);
            AddNorm::new(norm, Dropout::new(config.hidden_dropout_prob, &mut sites))
        });
        Normalisations {
            layers,
            params: init::random(&layout, 0.02, 1),
            grads: Arena::zeros(&layout),
            x: noise2([num_rows(batch, readout), config.hidden_size], 2),
            prepared: Vec::new(),
        }
    }
}

impl Work for Normalisations {
    fn flops(&self) -> f64 {
        0.0
    }

    fn prepare(&mut self) {
        self.prepared = vec![self.x.clone(); 4];
    }

    fn run(&mut self) {
        for layer in &self.layers {
            let mut next = || self.prepared.pop().expect("work is prepared before it runs");
            let (x, d_y) = (next(), next());
            let (_, saved) = layer.forward(&self.params, x, self.x.view(), MODE);
            layer.backward(&self.params, saved, d_y, &mut self.grads);
        }
    }
}

/// The embeddings, with their normalisation and dropout.
struct EmbeddingsAlone {
    layer: Embeddings,
    batch: PackedBatch,
    params: Arena,
    grads: Arena,
}

impl EmbeddingsAlone {
    fn new(config: &BertConfig, batch: &PackedBatch) -> Self {
        let mut layout = Layout::default();
        let sizes = EmbeddingSizes {
            vocab_size: config.vocab_size,
            max_positions: config.max_position_embeddings,
            type_vocab_size: config.type_vocab_size,
            hidden_size: config.hidden_size,
            layer_norm_eps: config.layer_norm_eps,
            dropout: config.hidden_dropout_prob,
        };
        let layer = Embeddings::declare(layout.scope("embeddings"), &sizes, &mut Sites::default());
        let (params, grads) = (init::random(&layout, 0.02, 1), Arena::zeros(&layout));
        EmbeddingsAlone { layer, batch: batch.clone(), params, grads }
    }
}

impl Work for EmbeddingsAlone {
    fn flops(&self) -> f64 {
        0.0
    }

    fn run(&mut self) {
        let (y, saved) = self.layer.forward(&self.params, &self.batch, MODE);
        self.layer.backward(&self.params, saved, y, &mut self.grads);
    }
}
