//! BERT (Devlin et al. 2019): the wiring of its layers, forward and backward side by side.

mod config;
mod graph;
mod presets;

pub use config::{BertConfig, ProblemType};
pub use presets::{PRESETS, Preset};

use crate::architecture::{Architecture, Mode, OutputGrads, Outputs};
use crate::batch::Readout;
use crate::export::onnx::GraphBuilder;
use crate::layers::{
    Embeddings, EmbeddingsSaved, EncoderLayer, EncoderLayerSaved, EncoderSizes, SequenceHead,
    SequenceHeadSaved, Sites,
};
use crate::{Arena, Error, Layout, PackedBatch, Params, Real};

/// A BERT encoder with a head for whole texts.
pub struct Bert {
    config: BertConfig,
    layout: Layout,
    embeddings: Embeddings,
    layers: Vec<EncoderLayer>,
    head: SequenceHead,
}

/// What the backward pass of [`Bert`] needs.
pub struct BertSaved<F> {
    embeddings: EmbeddingsSaved<F>,
    layers: Vec<EncoderLayerSaved<F>>,
    head: SequenceHeadSaved<F>,
}

impl Bert {
    /// Lays out the model that `config` describes.
    ///
    /// # Errors
    /// [`Error::Config`] when the sizes do not make a model.
    pub fn new(config: BertConfig) -> Result<Self, Error> {
        config.validate()?;
        let (mut layout, mut sites) = (Layout::default(), Sites::default());
        let mut scope = layout.scope("bert");
        let embeddings = Embeddings::declare(scope.at("embeddings"), &config.embedding_sizes(), &mut sites);
        let sizes = EncoderSizes {
            hidden: config.hidden_size,
            heads: config.num_attention_heads,
            intermediate: config.intermediate_size,
            layer_norm_eps: config.layer_norm_eps,
            dropout: config.hidden_dropout_prob,
            attention_dropout: config.attention_probs_dropout_prob,
        };
        let mut stack = scope.at("encoder.layer");
        let layers = (0..config.num_hidden_layers)
            .map(|i| EncoderLayer::declare(stack.at(i), sizes, &mut sites))
            .collect();
        let (dropout, labels) = (config.head_dropout(), config.labels.len());
        let head =
            SequenceHead::declare(&mut layout, "bert", config.hidden_size, labels, dropout, &mut sites);
        Ok(Bert { config, layout, embeddings, layers, head })
    }

    /// Returns the configuration.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// Returns what layer `i` is asked about: the last one only about first tokens, which are all that the head reads.
    fn readout(&self, i: usize) -> Readout {
        if i + 1 == self.layers.len() { Readout::First } else { Readout::Every }
    }
}

impl Architecture for Bert {
    type Saved<F: Real> = BertSaved<F>;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn forward<F: Real>(
        &self,
        params: &Params<'_, F>,
        batch: &PackedBatch,
        mode: Mode,
    ) -> (Outputs<F>, BertSaved<F>) {
        let (mut x, embeddings) = self.embeddings.forward(params, batch, mode);
        let mut layers = Vec::with_capacity(self.layers.len());
        for (i, layer) in self.layers.iter().enumerate() {
            let (y, saved) = layer.forward(params, x, batch.offsets(), self.readout(i), mode);
            layers.push(saved);
            x = y;
        }
        let (logits, head) = self.head.forward(params, x, mode);
        (Outputs { logits }, BertSaved { embeddings, layers, head })
    }

    fn backward<F: Real>(
        &self,
        params: &Params<'_, F>,
        saved: BertSaved<F>,
        d_outputs: OutputGrads<F>,
        grads: &mut Arena<F>,
    ) {
        let mut d = self.head.backward(params, saved.head, d_outputs.logits, grads);
        for (layer, saved) in self.layers.iter().zip(saved.layers).rev() {
            d = layer.backward(params, saved, d, grads);
        }
        self.embeddings.backward(params, saved.embeddings, d, grads);
    }

    fn lower(&self, params: &Arena, graph: &mut GraphBuilder) {
        graph::lower(self, params, graph);
    }
}
