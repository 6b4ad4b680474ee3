//! BERT (Devlin et al. 2019): its layers, and their wiring forward, backward and as a graph.

mod config;
mod family;
mod graph;
mod passes;
mod presets;

pub use config::{BertConfig, ProblemType};
pub use family::Family;
pub(crate) use family::name_in_bert;
pub use passes::BertSaved;
pub use presets::{PRESETS, Preset};

use crate::architecture::Asked;
use crate::layers::{Embeddings, EncoderLayer, EncoderSizes, Linear, SequenceHead, Sites, Squash, WordsHead};
use crate::{Arena, Error, Layout, Slot};

/// A BERT encoder with a head for whole texts.
pub struct Bert {
    config: BertConfig,
    layout: Layout,
    embeddings: Embeddings,
    layers: Vec<EncoderLayer>,
    head: SequenceHead,
    projection: Option<Linear>,
    words: Option<WordsHead>,
    /// What is asked of the graphs that are written.
    written: Asked,
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
        let head = head.with(match config.model_type {
            Family::Bert => Squash::Tanh,
            Family::DistilBert => Squash::Relu,
        });
        layout.rename(|name| config.model_type.name(name));
        Ok(Bert {
            config,
            layout,
            embeddings,
            layers,
            head,
            projection: None,
            words: None,
            written: Asked::logits(),
        })
    }

    /// Writes graphs from now on that compute the last layer for every token, so that others can learn from the inside of
    /// them. They say the same, and take longer for it.
    pub fn written_whole(self) -> Self {
        let last = vec![self.config.num_hidden_layers];
        Bert { written: Asked { hidden: last, ..Asked::logits() }, ..self }
    }

    /// Shows hidden states in another width, by one affine map that is trained with the model: what a narrow model must be
    /// given to be compared with a wide one (Jiao et al. 2020, equation 8). It belongs to no file that is written for others.
    pub fn projecting(mut self, width: usize) -> Self {
        assert!(self.projection.is_none(), "a model has one projection");
        let scope = self.layout.scope(PROJECTION);
        self.projection = Some(Linear::declare(scope, self.config.hidden_size, width));
        self
    }

    /// Returns the address of the word table, [V, H].
    pub fn word_embeddings(&self) -> Slot<2> {
        self.embeddings.word
    }

    /// Says of chosen tokens which word stands there, by a head that is trained with the model. It belongs to no file that is
    /// written for others. Every row of the word table is read then, in every batch.
    pub fn predicting_words(mut self) -> Self {
        assert!(self.words.is_none(), "a model has one head for words");
        self.layout.read_whole_table();
        let eps = self.config.layer_norm_eps;
        self.words = Some(WordsHead::declare(&mut self.layout, self.embeddings.word, eps));
        self
    }

    /// Returns the model without what it was only given to be trained, and its parameters out of `params`; nothing when it
    /// was given nothing.
    pub fn alone(&self, params: &Arena) -> Option<(Bert, Arena)> {
        if self.projection.is_none() && self.words.is_none() {
            return None;
        }
        let bert = Bert::new(self.config.clone()).expect("the configuration has made a model before");
        // What it was given is declared last: what comes before it stands where it stood.
        let params = params.data()[..bert.layout.num_parameters()].to_vec();
        let params = Arena::from_vec(&bert.layout, params).expect("as many as the layout has");
        Some((Bert { written: self.written.clone(), ..bert }, params))
    }

    /// Returns the configuration.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }
}

/// The name of the projection in a layout.
const PROJECTION: &str = "projection";
