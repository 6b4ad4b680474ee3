//! Multi-head self-attention: three projections around attention, and one after it.

use super::{Attention, AttentionSaved, Dropout, Inside, Linear, LinearSaved, Shared, Sites, Want};
use crate::architecture::Mode;
use crate::batch::Readout;
use crate::kernels::{Gradient, Input};
use crate::{Arena, Params, Real, Scope};
use ndarray::Array2;

/// Query, key and value projections, attention, and the output projection.
pub struct SelfAttention {
    /// The projection to queries.
    pub query: Linear,
    /// The projection to keys.
    pub key: Linear,
    /// The projection to values.
    pub value: Linear,
    /// The projection of the joined heads.
    pub output: Linear,
    attention: Attention,
}

/// What the backward pass of a [`SelfAttention`] needs.
pub struct SelfAttentionSaved<F> {
    query: LinearSaved<F>,
    key: LinearSaved<F>,
    value: LinearSaved<F>,
    attention: AttentionSaved<F>,
    output: LinearSaved<F>,
}

impl SelfAttention {
    /// Declares the four projections of `hidden` features in `heads` heads, with BERT's names.
    pub fn declare(
        mut scope: Scope<'_>,
        hidden: usize,
        heads: usize,
        dropout: f64,
        sites: &mut Sites,
    ) -> Self {
        let mut inner = scope.at("self");
        SelfAttention {
            query: Linear::declare(inner.at("query"), hidden, hidden),
            key: Linear::declare(inner.at("key"), hidden, hidden),
            value: Linear::declare(inner.at("value"), hidden, hidden),
            output: Linear::declare(scope.at("output").at("dense"), hidden, hidden),
            attention: Attention::new(heads, Dropout::new(dropout, sites)),
        }
    }

    /// Returns what each row of `rows` learns from all rows of `x` in its sequence.
    ///
    /// `x`: [N, H]; `rows`, result: [R, H], those rows of `x` that are read out.
    pub fn forward<F: Real>(
        &self,
        params: &Params<'_, F>,
        x: &Shared<F>,
        rows: &Shared<F>,
        offsets: &[usize],
        want: Want,
        mode: Mode,
    ) -> (Array2<F>, Inside<F>, SelfAttentionSaved<F>) {
        let precision = params.precision();
        let x = Input::new(x.clone(), precision);
        let rows = match want.readout {
            Readout::Every => x.clone(),
            Readout::First => Input::new(rows.clone(), precision),
        };
        let (q, query) = self.query.forward(params, rows);
        let (k, key) = self.key.forward(params, x.clone());
        let (v, value) = self.value.forward(params, x);
        let inside = self.attention.inside([&q, &k, &v], offsets, want);
        let (context, attention) =
            self.attention.forward([q, k, v], &want.readout.offsets(offsets), offsets, mode, precision);
        let (y, output) = self.output.forward(params, Input::new(context.into_shared(), precision));
        (y, inside, SelfAttentionSaved { query, key, value, attention, output })
    }

    /// Returns the gradients of `x` [N, H] and of `rows` [R, H].
    pub fn backward<F: Real>(
        &self,
        params: &Params<'_, F>,
        saved: SelfAttentionSaved<F>,
        d_y: Gradient<F>,
        d_inside: Inside<F>,
        grads: &mut Arena<F>,
    ) -> (Array2<F>, Array2<F>) {
        let d_context = self.output.backward(params, saved.output, d_y, grads);
        let [d_q, d_k, d_v] = self.attention.backward(saved.attention, &d_context, d_inside);
        let [d_q, d_k, d_v] = [d_q, d_k, d_v].map(|d| Gradient::new(d, params.precision()));
        let mut d_x = self.value.backward(params, saved.value, d_v, grads);
        self.key.backward_onto(params, saved.key, d_k, grads, &mut d_x);
        let d_rows = self.query.backward(params, saved.query, d_q, grads);
        (d_x, d_rows)
    }
}
