//! BERT as an architecture: forward and backward, side by side.

use super::{Bert, graph};
use crate::architecture::{Architecture, Asked, Mode, OutputGrads, Outputs};
use crate::batch::Readout;
use crate::export::onnx::GraphBuilder;
use crate::kernels::{self, Gradient, Input};
use crate::layers::{
    EmbeddingsSaved, EncoderLayerSaved, Inside, LinearSaved, SequenceHeadSaved, Want, WordsHead,
    WordsHeadSaved,
};
use crate::{Arena, Layout, PackedBatch, Params, Real};
use ndarray::{Array2, Array3, Axis};

/// What the backward pass of [`Bert`] needs.
pub struct BertSaved<F> {
    asked: Asked,
    offsets: Vec<usize>,
    chosen: Vec<usize>,
    embeddings: EmbeddingsSaved<F>,
    layers: Vec<EncoderLayerSaved<F>>,
    projected: Vec<LinearSaved<F>>,
    head: Option<SequenceHeadSaved<F>>,
    words: Option<WordsHeadSaved<F>>,
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
        asked: &Asked,
        mode: Mode,
    ) -> (Outputs<F>, BertSaved<F>) {
        self.check(asked);
        let offsets = batch.offsets();
        let mut outputs = Outputs::default();
        let mut projected = Vec::new();
        let mut show = |layer: usize, x: &Array2<F>| {
            if asked.hidden.contains(&layer) {
                let (hidden, saved) = self.project(params, x);
                outputs.hidden.push(hidden);
                projected.extend(saved);
            }
        };
        let (mut x, embeddings) = self.embeddings.forward(params, batch, mode);
        show(0, &x);
        let mut layers = Vec::with_capacity(self.layers.len());
        let mut insides = Vec::with_capacity(self.layers.len());
        for (i, layer) in self.layers[..self.depth(asked)].iter().enumerate() {
            let (y, inside, saved) = layer.forward(params, x, offsets, self.want(i + 1, asked), mode);
            layers.push(saved);
            insides.push(inside);
            x = y;
            show(i + 1, &x);
        }
        for Inside { scores, qkv } in insides {
            outputs.scores.extend(scores);
            outputs.qkv.extend(qkv);
        }
        let words = asked.words.then(|| {
            let (words, saved) = self.words_head().forward(params, x.select(Axis(0), batch.chosen()));
            outputs.words = words;
            saved
        });
        let head = asked.logits.then(|| {
            let first = match self.readout(self.layers.len(), asked) {
                Readout::First => x,
                Readout::Every => Readout::First.gather(&x.into_shared(), offsets).into_owned(),
            };
            let (logits, head) = self.head.forward(params, first, mode);
            outputs.logits = logits;
            head
        });
        let (asked, offsets, chosen) = (asked.clone(), offsets.to_vec(), batch.chosen().to_vec());
        (outputs, BertSaved { asked, offsets, chosen, embeddings, layers, projected, head, words })
    }

    fn backward<F: Real>(
        &self,
        params: &Params<'_, F>,
        saved: BertSaved<F>,
        d_outputs: OutputGrads<F>,
        grads: &mut Arena<F>,
    ) {
        let BertSaved { asked, offsets, chosen, embeddings, layers, mut projected, head, words } = saved;
        let OutputGrads {
            logits: d_logits,
            words: d_words,
            hidden: mut d_hidden,
            scores: d_scores,
            qkv: d_qkv,
        } = d_outputs;
        let mut d_insides = d_insides(&asked, layers.len(), d_scores, d_qkv);
        let mut add_shown = |layer: usize, d: &mut Array2<F>, grads: &mut Arena<F>| {
            if asked.hidden.contains(&layer) {
                let d_shown =
                    d_hidden.pop().expect("there is a gradient for every hidden state that was asked for");
                kernels::add(d, &self.project_backward(params, projected.pop(), d_shown, grads));
            }
        };
        let mut d = self.head_backward(params, head, d_logits, &asked, &offsets, grads);
        if let Some(words) = words {
            let d_chosen = self.words_head().backward(params, words, d_words, grads);
            for (d_chosen, &n) in d_chosen.rows().into_iter().zip(&chosen) {
                let mut row = d.row_mut(n);
                row += &d_chosen;
            }
        }
        for (i, (layer, saved)) in self.layers.iter().zip(layers).enumerate().rev() {
            add_shown(i + 1, &mut d, grads);
            let d_inside = d_insides.pop().unwrap_or_default();
            d = layer.backward(params, saved, d, d_inside, grads);
        }
        add_shown(0, &mut d, grads);
        self.embeddings.backward(params, embeddings, d, grads);
    }

    fn lower(&self, params: &Arena, graph: &mut GraphBuilder) {
        graph::lower(self, params, graph);
    }
}

impl Bert {
    /// Returns the gradient of what comes out of the last layer that was computed.
    fn head_backward<F: Real>(
        &self,
        params: &Params<'_, F>,
        head: Option<SequenceHeadSaved<F>>,
        d_logits: Array2<F>,
        asked: &Asked,
        offsets: &[usize],
        grads: &mut Arena<F>,
    ) -> Array2<F> {
        let tokens = offsets[offsets.len() - 1];
        let zeros = || Array2::zeros((tokens, self.config.hidden_size));
        let Some(head) = head else { return zeros() };
        let d_first = self.head.backward(params, head, d_logits, grads);
        match self.readout(self.layers.len(), asked) {
            Readout::First => d_first,
            Readout::Every => {
                let mut d = zeros();
                Readout::First.scatter_add(&d_first, offsets, &mut d);
                d
            }
        }
    }

    /// Shows a hidden state, in the width of the projection if there is one.
    fn project<F: Real>(&self, params: &Params<'_, F>, x: &Array2<F>) -> (Array2<F>, Option<LinearSaved<F>>) {
        let Some(projection) = &self.projection else { return (x.clone(), None) };
        let x = Input::new(x.clone().into_shared(), params.precision());
        let (hidden, saved) = projection.forward(params, x);
        (hidden, Some(saved))
    }

    fn project_backward<F: Real>(
        &self,
        params: &Params<'_, F>,
        saved: Option<LinearSaved<F>>,
        d_shown: Array2<F>,
        grads: &mut Arena<F>,
    ) -> Array2<F> {
        match (&self.projection, saved) {
            (Some(projection), Some(saved)) => {
                projection.backward(params, saved, Gradient::new(d_shown, params.precision()), grads)
            }
            _ => d_shown,
        }
    }

    fn words_head(&self) -> &WordsHead {
        self.words.as_ref().expect("a model that is asked for words was made to predict them")
    }

    /// Returns how many layers have to be computed.
    fn depth(&self, asked: &Asked) -> usize {
        if asked.logits || asked.words { self.layers.len() } else { asked.deepest() }
    }

    fn want(&self, layer: usize, asked: &Asked) -> Want {
        let [scores, qkv] = [&asked.scores, &asked.qkv].map(|layers| layers.contains(&layer));
        Want { readout: self.readout(layer, asked), scores, qkv }
    }

    /// Returns what a layer is asked about: the last one only about first tokens, where that is all that is read of it.
    pub(super) fn readout(&self, layer: usize, asked: &Asked) -> Readout {
        let is_last = layer == self.layers.len();
        let all_are_read = asked.words || asked.deepest() >= layer;
        if is_last && !all_are_read { Readout::First } else { Readout::Every }
    }

    fn check(&self, asked: &Asked) {
        for layers in [&asked.hidden, &asked.scores, &asked.qkv] {
            assert!(layers.is_sorted_by(|a, b| a < b), "layers are asked for in ascending order, each once");
        }
        assert!(asked.deepest() <= self.layers.len(), "the model has the layers that are asked for");
        let inside = asked.scores.iter().chain(&asked.qkv);
        assert!(inside.min() != Some(&0), "the embeddings have no attention");
    }
}

/// Sorts the gradients of what was shown by the layer that showed it.
fn d_insides<F: Real>(
    asked: &Asked,
    depth: usize,
    d_scores: Vec<Vec<Array3<F>>>,
    d_qkv: Vec<[Array2<F>; 3]>,
) -> Vec<Inside<F>> {
    let mut d_insides: Vec<_> = (0..depth).map(|_| Inside::default()).collect();
    for (layer, d) in asked.scores.iter().zip(d_scores) {
        d_insides[layer - 1].scores = Some(d);
    }
    for (layer, d) in asked.qkv.iter().zip(d_qkv) {
        d_insides[layer - 1].qkv = Some(d);
    }
    d_insides
}
