//! One encoder layer: self-attention and feed-forward, each with dropout, residual and normalisation after it.

use super::{
    AddNorm, AddNormSaved, Dropout, FeedForward, FeedForwardSaved, Inside, LayerNorm, SelfAttention,
    SelfAttentionSaved, Sites, Want,
};
use crate::architecture::Mode;
use crate::batch::Readout;
use crate::kernels::{Gradient, Input};
use crate::{Arena, Params, Real, Scope, kernels};
use ndarray::Array2;

/// The sizes and rates of an encoder layer.
#[derive(Clone, Copy)]
pub struct EncoderSizes {
    /// H.
    pub hidden: usize,
    /// A.
    pub heads: usize,
    /// I.
    pub intermediate: usize,
    /// ε of both normalisations.
    pub layer_norm_eps: f64,
    /// The dropout rate after attention and after the feed-forward block.
    pub dropout: f64,
    /// The dropout rate of the attention probabilities.
    pub attention_dropout: f64,
}

/// A post-norm encoder layer (Devlin et al. 2019; Vaswani et al. 2017, section 3.1).
pub struct EncoderLayer {
    /// The attention block.
    pub attention: SelfAttention,
    /// What closes the attention block.
    pub attention_norm: AddNorm,
    /// The feed-forward block.
    pub feed_forward: FeedForward,
    /// What closes the feed-forward block.
    pub output_norm: AddNorm,
}

/// What the backward pass of an [`EncoderLayer`] needs.
pub struct EncoderLayerSaved<F> {
    offsets: Vec<usize>,
    readout: Readout,
    attention: SelfAttentionSaved<F>,
    attention_norm: AddNormSaved<F>,
    feed_forward: FeedForwardSaved<F>,
    output_norm: AddNormSaved<F>,
}

impl EncoderLayer {
    /// Declares the layer with BERT's names.
    pub fn declare(mut scope: Scope<'_>, sizes: EncoderSizes, sites: &mut Sites) -> Self {
        let EncoderSizes { hidden, heads, intermediate, layer_norm_eps, dropout, attention_dropout } = sizes;
        let attention =
            SelfAttention::declare(scope.at("attention"), hidden, heads, attention_dropout, sites);
        let attention_norm =
            LayerNorm::declare(scope.at("attention.output.LayerNorm"), hidden, layer_norm_eps);
        let feed_forward = FeedForward::declare(scope.at_self(), hidden, intermediate);
        let output_norm = LayerNorm::declare(scope.at("output.LayerNorm"), hidden, layer_norm_eps);
        EncoderLayer {
            attention,
            attention_norm: AddNorm::new(attention_norm, Dropout::new(dropout, sites)),
            feed_forward,
            output_norm: AddNorm::new(output_norm, Dropout::new(dropout, sites)),
        }
    }

    /// `h = LN(rows + dropout(attention(x)))`, `y = LN(h + dropout(ffn(h)))` for the rows of `x` that are read out.
    ///
    /// `x`: [N, H]; `y`: [N, H], or [B, H] when only first tokens are read out.
    pub fn forward<F: Real>(
        &self,
        params: &Params<'_, F>,
        x: Array2<F>,
        offsets: &[usize],
        want: Want,
        mode: Mode,
    ) -> (Array2<F>, Inside<F>, EncoderLayerSaved<F>) {
        let (x, readout) = (x.into_shared(), want.readout);
        let rows = readout.gather(&x, offsets);
        let (a, inside, attention) = self.attention.forward(params, &x, &rows, offsets, want, mode);
        let (h, attention_norm) = self.attention_norm.forward(params, a, rows.view(), mode);
        let h = h.into_shared();
        let (f, feed_forward) = self.feed_forward.forward(params, Input::new(h.clone(), params.precision()));
        let (y, output_norm) = self.output_norm.forward(params, f, h.view(), mode);
        let offsets = offsets.to_vec();
        let saved =
            EncoderLayerSaved { offsets, readout, attention, attention_norm, feed_forward, output_norm };
        (y, inside, saved)
    }

    /// Returns the gradient of `x`, [N, H].  `d_y`: the shape of `y`; `d_inside`: of what was shown.
    pub fn backward<F: Real>(
        &self,
        params: &Params<'_, F>,
        saved: EncoderLayerSaved<F>,
        d_y: Array2<F>,
        d_inside: Inside<F>,
        grads: &mut Arena<F>,
    ) -> Array2<F> {
        let precision = params.precision();
        let (d_f, mut d_h) = self.output_norm.backward(params, saved.output_norm, d_y, grads);
        let d_f = Gradient::new(d_f, precision);
        kernels::add(&mut d_h, &self.feed_forward.backward(params, saved.feed_forward, d_f, grads));
        let (d_a, mut d_rows) = self.attention_norm.backward(params, saved.attention_norm, d_h, grads);
        let d_a = Gradient::new(d_a, precision);
        let (mut d_x, d_attention) = self.attention.backward(params, saved.attention, d_a, d_inside, grads);
        kernels::add(&mut d_rows, &d_attention);
        saved.readout.scatter_add(&d_rows, &saved.offsets, &mut d_x);
        d_x
    }
}
