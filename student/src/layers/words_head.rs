//! What a model says of a token: which word stands there.

use super::{LayerNorm, LayerNormSaved, Linear, LinearSaved};
use crate::kernels::{Gradient, Input};
use crate::{Arena, Layout, Params, Real, Slot};
use ndarray::{Array2, Zip};

/// BERT's head for masked language modelling: a row of logits over all words for each token that is asked about. Its last
/// map is the table of word embeddings itself (Devlin et al. 2019, section 3.1; Press and Wolf 2017).
pub struct WordsHead {
    /// The map before the activation, H to H.
    pub transform: Linear,
    /// The normalisation after it.
    pub norm: LayerNorm,
    /// The word table as a map, H to V, with a bias of its own.
    pub decoder: Linear,
}

/// What the backward pass of a [`WordsHead`] needs.
pub struct WordsHeadSaved<F> {
    transform: LinearSaved<F>,
    derivative: Array2<F>,
    norm: LayerNormSaved<F>,
    decoder: LinearSaved<F>,
}

impl WordsHead {
    /// Declares the head with BERT's names. `words`: the address of the word table, [V, H].
    pub fn declare(layout: &mut Layout, words: Slot<2>, layer_norm_eps: f64) -> Self {
        let [vocab, hidden] = words.shape();
        let mut scope = layout.scope("cls.predictions");
        WordsHead {
            transform: Linear::declare(scope.at("transform.dense"), hidden, hidden),
            norm: LayerNorm::declare(scope.at("transform.LayerNorm"), hidden, layer_norm_eps),
            decoder: Linear { weight: words, bias: scope.bias("bias", vocab) },
        }
    }

    /// `logits = E LN(GELU(W x + b)) + c`.  `x`: the tokens that are asked about, [M, H]; `logits`: [M, V].
    pub fn forward<F: Real>(&self, params: &Params<'_, F>, x: Array2<F>) -> (Array2<F>, WordsHeadSaved<F>) {
        let input = |x: Array2<F>| Input::new(x.into_shared(), params.precision());
        let (mut x, transform) = self.transform.forward(params, input(x));
        let mut derivative = Array2::zeros(x.dim());
        Zip::from(&mut x).and(&mut derivative).for_each(|x, derivative| {
            let (below, density) = x.normal();
            *derivative = below + *x * density;
            *x *= below;
        });
        let (x, norm) = self.norm.forward(params, x);
        let (logits, decoder) = self.decoder.forward(params, input(x));
        (logits, WordsHeadSaved { transform, derivative, norm, decoder })
    }

    /// Returns the gradient of `x`, [M, H].  `d_logits`: [M, V].
    pub fn backward<F: Real>(
        &self,
        params: &Params<'_, F>,
        saved: WordsHeadSaved<F>,
        d_logits: Array2<F>,
        grads: &mut Arena<F>,
    ) -> Array2<F> {
        let gradient = |d: Array2<F>| Gradient::new(d, params.precision());
        let d = self.decoder.backward(params, saved.decoder, gradient(d_logits), grads);
        let d = self.norm.backward(params, saved.norm, d, grads) * &saved.derivative;
        self.transform.backward(params, saved.transform, gradient(d), grads)
    }
}
