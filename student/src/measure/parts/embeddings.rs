//! What is done once in a step for the tables of embeddings.

use super::MODE;
use crate::bert::BertConfig;
use crate::layers::{Embeddings, Sites};
use crate::measure::Work;
use crate::measure::random_batch;
use crate::optim::{AdamW, AdamWStep, LazyAdamW};
use crate::{Arena, Layout, PackedBatch, init};

/// The embeddings, with their normalisation and dropout.
pub(super) struct EmbeddingsAlone {
    layer: Embeddings,
    batch: PackedBatch,
    params: Arena,
    grads: Arena,
}

impl EmbeddingsAlone {
    pub(super) fn new(config: &BertConfig, batch: &PackedBatch) -> Self {
        let mut layout = Layout::default();
        let layer =
            Embeddings::declare(layout.scope("embeddings"), &config.embedding_sizes(), &mut Sites::default());
        let (params, grads) = (init::random(&layout, 0.02, 1), Arena::zeros(&layout));
        EmbeddingsAlone { layer, batch: batch.clone(), params, grads }
    }
}

impl Work for EmbeddingsAlone {
    fn run(&mut self) {
        let (y, saved) = self.layer.forward(&self.params, &self.batch, MODE);
        self.layer.backward(&self.params, saved, y, &mut self.grads);
    }
}

/// The updates of word embeddings that were put off until a batch reads them.
pub(super) struct LateUpdates {
    layout: Layout,
    vocab_size: usize,
    lengths: Vec<usize>,
    optimizer: LazyAdamW,
    params: Arena,
    grads: Arena,
    batch: PackedBatch,
    seed: u64,
}

impl LateUpdates {
    /// Steps before the number of updates that a row lacks has settled.
    const SETTLED: usize = 32;

    pub(super) fn new(config: &BertConfig, batch: &PackedBatch) -> Self {
        let mut layout = Layout::default();
        layout.scope("").table("word", config.vocab_size, config.hidden_size);
        let mut updates = LateUpdates {
            vocab_size: config.vocab_size,
            lengths: batch.sequences().map(|sequence| sequence.len()).collect(),
            optimizer: LazyAdamW::new(&layout, AdamW::new(&layout)),
            params: init::random(&layout, config.initializer_range, 1),
            grads: Arena::zeros(&layout),
            layout,
            batch: batch.clone(),
            seed: 1,
        };
        for _ in 0..Self::SETTLED {
            updates.prepare();
            updates.run();
        }
        updates
    }
}

impl Work for LateUpdates {
    fn prepare(&mut self) {
        // Momentum keeps moving rows whose gradient has gone.
        let hidden = self.params.data().len() / self.vocab_size;
        for &id in self.batch.ids() {
            self.grads.data_mut()[id as usize * hidden..][..hidden].fill(1e-3);
        }
        let settings = AdamWStep::default();
        self.optimizer.update(&self.layout, &mut self.params, &mut self.grads, &settings);
        self.seed += 1;
        self.batch = random_batch(self.vocab_size, &self.lengths, self.seed);
    }

    fn run(&mut self) {
        self.optimizer.touch(&mut self.params, self.batch.ids());
    }
}
