//! What a model says about a whole text: the head on the first token.

use super::{Dropout, DropoutSaved, Linear, LinearSaved, Sites};
use crate::architecture::Mode;
use crate::kernels::{Gradient, Input};
use crate::{Arena, Layout, Params, Real};
use ndarray::{Array2, Zip};

/// BERT's pooler and classifier: one row of logits for each sequence.
pub struct SequenceHead {
    /// The map before the hyperbolic tangent, H to H.
    pub pooler: Linear,
    /// The map to the logits, H to C.
    pub classifier: Linear,
    /// What comes between the two maps.
    pub squash: Squash,
    dropout: Dropout,
}

/// What a [`SequenceHead`] does to each feature of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Squash {
    /// The hyperbolic tangent, as in BERT.
    Tanh,
    /// The positive part, as in DistilBERT.
    Relu,
}

/// What the backward pass of a [`SequenceHead`] needs.
pub struct SequenceHeadSaved<F> {
    pooler: LinearSaved<F>,
    pooled: Array2<F>,
    dropout: DropoutSaved,
    classifier: LinearSaved<F>,
}

impl SequenceHead {
    /// Declares the head: the pooler below `encoder`, the classifier at the root, as Hugging Face names them.
    pub fn declare(
        layout: &mut Layout,
        encoder: &str,
        hidden: usize,
        labels: usize,
        dropout: f64,
        sites: &mut Sites,
    ) -> Self {
        SequenceHead {
            pooler: Linear::declare(layout.scope(encoder).at("pooler.dense"), hidden, hidden),
            classifier: Linear::declare(layout.scope("classifier"), hidden, labels),
            squash: Squash::Tanh,
            dropout: Dropout::new(dropout, sites),
        }
    }

    /// Puts something else between the two maps.
    pub fn with(self, squash: Squash) -> Self {
        SequenceHead { squash, ..self }
    }

    /// `logits = W dropout(squash(P x + p)) + b`.  `x`: the first tokens, [B, H]; `logits`: [B, C].
    pub fn forward<F: Real>(
        &self,
        params: &Params<'_, F>,
        x: Array2<F>,
        mode: Mode,
    ) -> (Array2<F>, SequenceHeadSaved<F>) {
        let (mut pooled, pooler) =
            self.pooler.forward(params, Input::new(x.into_shared(), params.precision()));
        pooled.mapv_inplace(|z| self.squash.value(z));
        let (x, dropout) = self.dropout.forward(pooled.clone(), mode);
        let (logits, classifier) =
            self.classifier.forward(params, Input::new(x.into_shared(), params.precision()));
        (logits, SequenceHeadSaved { pooler, pooled, dropout, classifier })
    }

    /// Returns the gradient of `x`, [B, H].  `d_logits`: [B, C].
    pub fn backward<F: Real>(
        &self,
        params: &Params<'_, F>,
        saved: SequenceHeadSaved<F>,
        d_logits: Array2<F>,
        grads: &mut Arena<F>,
    ) -> Array2<F> {
        let d = self.classifier.backward(
            params,
            saved.classifier,
            Gradient::new(d_logits, params.precision()),
            grads,
        );
        let mut d = saved.dropout.backward(d);
        Zip::from(&mut d).and(&saved.pooled).for_each(|d, &pooled| *d *= self.squash.slope(pooled));
        self.pooler.backward(params, saved.pooler, Gradient::new(d, params.precision()), grads)
    }
}

impl Squash {
    fn value<F: Real>(self, z: F) -> F {
        match self {
            Squash::Tanh => z.tanh(),
            Squash::Relu => z.max(F::zero()),
        }
    }

    /// Returns the derivative where the value is `y`: `1 − y²` of the tangent; of the positive part 1 above 0.
    fn slope<F: Real>(self, y: F) -> F {
        match self {
            Squash::Tanh => F::one() - y * y,
            Squash::Relu if y > F::zero() => F::one(),
            Squash::Relu => F::zero(),
        }
    }
}
