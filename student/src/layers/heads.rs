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
    dropout: Dropout,
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
            dropout: Dropout::new(dropout, sites),
        }
    }

    /// `logits = W dropout(tanh(P x + p)) + b`.  `x`: the first tokens, [B, H]; `logits`: [B, C].
    pub fn forward<F: Real>(
        &self,
        params: &Params<'_, F>,
        x: Array2<F>,
        mode: Mode,
    ) -> (Array2<F>, SequenceHeadSaved<F>) {
        let (mut pooled, pooler) =
            self.pooler.forward(params, Input::new(x.into_shared(), params.precision()));
        pooled.mapv_inplace(F::tanh);
        let (x, dropout) = self.dropout.forward(pooled.clone(), mode);
        let (logits, classifier) =
            self.classifier.forward(params, Input::new(x.into_shared(), params.precision()));
        (logits, SequenceHeadSaved { pooler, pooled, dropout, classifier })
    }

    /// Returns the gradient of `x`, [B, H], by way of `d tanh(z) / dz = 1 − tanh²(z)`.  `d_logits`: [B, C].
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
        Zip::from(&mut d).and(&saved.pooled).for_each(|d, &pooled| *d *= F::one() - pooled * pooled);
        self.pooler.backward(params, saved.pooler, Gradient::new(d, params.precision()), grads)
    }
}
