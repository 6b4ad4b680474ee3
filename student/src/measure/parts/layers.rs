//! What is done in every layer: linear maps, attention, normalisations.

use super::{MODE, attention_flops, linear_flops, num_rows};
use crate::batch::Readout;
use crate::bert::BertConfig;
use crate::gradcheck::noise2;
use crate::layers::{
    AddNorm, Attention, Dropout, FeedForward, Gradient, Input, Inside, LayerNorm, Linear, Shared, Sites,
};
use crate::measure::Work;
use crate::{Arena, Layout, PackedBatch, Params, Precision, init};
use ndarray::Array2;

/// The linear maps of a layer, with the activation between two of them.
pub(super) struct LinearMaps {
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
    pub(super) fn new(
        config: &BertConfig,
        batch: &PackedBatch,
        readout: Readout,
        precision: Precision,
    ) -> Self {
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
pub(super) struct AttentionAlone {
    flops: f64,
    precision: Precision,
    layer: Attention,
    q_offsets: Vec<usize>,
    offsets: Vec<usize>,
    q: Array2<f32>,
    k: Array2<f32>,
    prepared: Option<[Array2<f32>; 3]>,
}

impl AttentionAlone {
    pub(super) fn new(
        config: &BertConfig,
        batch: &PackedBatch,
        readout: Readout,
        precision: Precision,
    ) -> Self {
        let dropout = Dropout::new(config.attention_probs_dropout_prob, &mut Sites::default());
        let hidden = config.hidden_size;
        AttentionAlone {
            flops: attention_flops(config, batch, readout),
            precision,
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
        let (context, saved) = self.layer.forward(qkv, &self.q_offsets, &self.offsets, MODE, self.precision);
        self.layer.backward(saved, &context, Inside::default());
    }
}

/// Both normalisations of a layer, each with the dropout and the residual before it.
pub(super) struct Normalisations {
    layers: [AddNorm; 2],
    params: Arena,
    grads: Arena,
    x: Array2<f32>,
    prepared: Vec<Array2<f32>>,
}

impl Normalisations {
    pub(super) fn new(config: &BertConfig, batch: &PackedBatch, readout: Readout) -> Self {
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
