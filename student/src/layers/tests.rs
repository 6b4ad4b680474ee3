//! Gradient checks of every layer, in `f64`, with dropout on.

use super::*;
use crate::architecture::{DropoutKey, Mode};
use crate::batch::Readout;
use crate::gradcheck::{GradCheck, check_elements, noise1, noise2};
use crate::{Arena, Layout, PackedBatch, Precision};
use ndarray::Array2;

const BOUND: f64 = 1e-6;
const TRAIN: Mode = Mode::Train(DropoutKey { seed: 3, pass: 5 });
const HIDDEN: usize = 8;
/// Three sequences of 1, 4 and 3 tokens.
const OFFSETS: [usize; 4] = [0, 1, 5, 8];

/// Runs a layer forward, then backward from `d_y(y)`; returns its output and the gradient of its input.
type Run<'a> = &'a dyn Fn(&Arena<f64>, Array2<f64>, &mut Arena<f64>, DY) -> (Array2<f64>, Array2<f64>);
type DY = fn(&Array2<f64>) -> Array2<f64>;

/// The gradient of the loss `Σ y w` with respect to `y`: fixed noise `w`.
fn weights(y: &Array2<f64>) -> Array2<f64> {
    noise2([y.nrows(), y.ncols()], 99)
}

/// Checks the gradients of a layer's input and of its parameters.
fn check(layout: &Layout, x: &Array2<f64>, run: Run<'_>) -> [GradCheck; 2] {
    let params = Arena::from_vec(layout, noise1(layout.num_parameters(), 7).to_vec()).expect("lengths agree");
    let value = |params: &Arena<f64>, x: Array2<f64>| {
        let (y, _) = run(params, x, &mut Arena::zeros(layout), weights);
        (&y * &weights(&y)).sum()
    };
    let mut grads = Arena::zeros(layout);
    let (_, d_x) = run(&params, x.clone(), &mut grads, weights);
    let input = check_elements(&d_x.iter().copied().collect::<Vec<_>>(), 0..x.len(), |i, delta| {
        let mut moved = x.clone();
        *moved.iter_mut().nth(i).expect("in range") += delta;
        value(&params, moved)
    });
    let parameters = check_elements(grads.data(), 0..layout.num_parameters(), |i, delta| {
        let mut moved = params.clone();
        moved.data_mut()[i] += delta;
        value(&moved, x.clone())
    });
    [input, parameters]
}

fn gradient(d_y: Array2<f64>) -> Gradient<f64> {
    Gradient::new(d_y, Precision::F32)
}

fn sizes() -> EncoderSizes {
    EncoderSizes {
        hidden: HIDDEN,
        heads: 2,
        intermediate: 12,
        layer_norm_eps: 1e-12,
        dropout: 0.2,
        attention_dropout: 0.3,
    }
}

fn check_linear(damage: fn(Array2<f64>) -> Array2<f64>) -> [GradCheck; 2] {
    let mut layout = Layout::default();
    let layer = Linear::declare(layout.scope("linear"), HIDDEN, 5);
    check(&layout, &noise2([6, HIDDEN], 1), &|params, x, grads, d_y| {
        let params = &params.into();
        let (y, saved) = layer.forward(params, Input::new(x.into_shared(), Precision::F32));
        let d_x = layer.backward(params, saved, gradient(d_y(&y)), grads);
        (y, damage(d_x))
    })
}

#[test]
fn linear_gradients_match_finite_differences() {
    check_linear(|d_x| d_x).into_iter().for_each(|check| check.assert_below(BOUND));
}

#[test]
fn a_planted_error_in_a_layer_is_seen() {
    let [input, _] = check_linear(|mut d_x| {
        d_x[[2, 3]] += 1e-3;
        d_x
    });
    assert!(input.worst > 1e-4, "{input:?}");
}

#[test]
fn layer_norm_gradients_match_finite_differences() {
    let mut layout = Layout::default();
    let layer = LayerNorm::declare(layout.scope("norm"), 37, 1e-5);
    check(&layout, &noise2([4, 37], 1), &|params, x, grads, d_y| {
        let (y, saved) = layer.forward(params, x);
        let d = d_y(&y);
        (y, layer.backward(params, saved, d, grads))
    })
    .into_iter()
    .for_each(|check| check.assert_below(BOUND));
}

#[test]
fn add_norm_gradients_match_finite_differences() {
    let mut layout = Layout::default();
    let norm = LayerNorm::declare(layout.scope("norm"), 37, 1e-5);
    let layer = AddNorm::new(norm, Dropout::new(0.3, &mut Sites::default()));
    // The rows of x, then those of the residual.
    check(&layout, &noise2([8, 37], 1), &|params, both, grads, d_y| {
        let (x, residual) = both.view().split_at(ndarray::Axis(0), 4);
        let (y, saved) = layer.forward(params, x.to_owned(), residual, TRAIN);
        let (d_x, d_residual) = layer.backward(params, saved, d_y(&y), grads);
        let d = ndarray::concatenate(ndarray::Axis(0), &[d_x.view(), d_residual.view()]);
        (y, d.expect("widths agree"))
    })
    .into_iter()
    .for_each(|check| check.assert_below(BOUND));
}

#[test]
fn dropout_gradients_match_finite_differences() {
    let layout = Layout::default();
    let dropout = Dropout::new(0.4, &mut Sites::default());
    let [input, _] = check(&layout, &(noise2([6, HIDDEN], 1) * 3.0), &|_, x, _, d_y| {
        let (y, saved) = dropout.forward(x, TRAIN);
        let d = saved.backward(d_y(&y));
        (y, d)
    });
    input.assert_below(BOUND);
}

#[test]
fn attention_gradients_match_finite_differences() {
    let layout = Layout::default();
    for readout in [Readout::Every, Readout::First] {
        let attention = Attention::new(2, Dropout::new(0.3, &mut Sites::default()));
        let q_offsets = readout.offsets(&OFFSETS).into_owned();
        let num_queries = q_offsets[q_offsets.len() - 1];
        let x = noise2([num_queries + 16, HIDDEN], 1) * 2.0;
        let [input, _] = check(&layout, &x, &|_, x, _, d_y| {
            let part = |rows: std::ops::Range<usize>| x.slice(ndarray::s![rows, ..]).to_owned();
            let qkv = [
                part(0..num_queries),
                part(num_queries..num_queries + 8),
                part(num_queries + 8..num_queries + 16),
            ];
            let (y, saved) = attention.forward(qkv, &q_offsets, &OFFSETS, TRAIN, Precision::F32);
            let d = attention.backward(saved, &d_y(&y), Inside::default());
            let d: Vec<_> = d.iter().map(|d| d.view()).collect();
            (y, ndarray::concatenate(ndarray::Axis(0), &d).expect("widths agree"))
        });
        input.assert_below(BOUND);
    }
}

/// The loss `Σ y w` over the scores as well, and over queries, keys and values.
#[test]
fn what_is_shown_of_attention_has_gradients_that_match_finite_differences() {
    let layout = Layout::default();
    let attention = Attention::new(2, Dropout::new(0.3, &mut Sites::default()));
    let want = Want { readout: Readout::Every, scores: true, qkv: true };
    let x = noise2([24, HIDDEN], 1) * 2.0;
    let [input, _] = check(&layout, &x, &|_, x, _, d_y| {
        let qkv = [0, 8, 16].map(|first| x.slice(ndarray::s![first..first + 8, ..]).to_owned());
        let inside = attention.inside(qkv.each_ref(), &OFFSETS, want);
        let shown = inside.scores.expect("scores are wanted");
        assert_eq!(shown[1].dim(), (2, 4, 4));
        let scores: Array2<f64> = Array2::from_shape_fn((1, 2 * (1 + 16 + 9)), |(_, i)| {
            *shown.iter().flatten().nth(i).expect("in range")
        });
        let (context, saved) = attention.forward(qkv, &OFFSETS, &OFFSETS, TRAIN, Precision::F32);
        let mut y = scores.iter().chain(&context).copied().collect::<Vec<_>>();
        y.extend(inside.qkv.expect("they are wanted").iter().flatten());
        let y = Array2::from_shape_vec((1, y.len()), y).expect("one row");
        let mut d = d_y(&y).into_iter();
        let mut take =
            |shape: (usize, usize)| Array2::from_shape_simple_fn(shape, || d.next().expect("enough"));
        let d_scores = shown.iter().map(|s| {
            let (heads, tokens, _) = s.dim();
            take((heads * tokens, tokens)).into_shape_with_order(s.dim()).expect("as many")
        });
        let d_scores = Some(d_scores.collect());
        let d_context = take(context.dim());
        let d_qkv = Some([(); 3].map(|()| take((8, HIDDEN))));
        let d = attention.backward(saved, &d_context, Inside { scores: d_scores, qkv: d_qkv });
        (y, ndarray::concatenate(ndarray::Axis(0), &d.each_ref().map(|d| d.view())).expect("widths agree"))
    });
    input.assert_below(BOUND);
}

#[test]
fn feed_forward_gradients_match_finite_differences() {
    let mut layout = Layout::default();
    let layer = FeedForward::declare(layout.scope("ffn"), HIDDEN, 12);
    check(&layout, &noise2([6, HIDDEN], 1), &|params, x, grads, d_y| {
        let params = &params.into();
        let (y, saved) = layer.forward(params, Input::new(x.into_shared(), Precision::F32));
        let d_x = layer.backward(params, saved, gradient(d_y(&y)), grads);
        (y, d_x)
    })
    .into_iter()
    .for_each(|check| check.assert_below(BOUND));
}

#[test]
fn encoder_layer_gradients_match_finite_differences() {
    for readout in [Readout::Every, Readout::First] {
        let mut layout = Layout::default();
        let layer = EncoderLayer::declare(layout.scope("layer"), sizes(), &mut Sites::default());
        check(&layout, &noise2([8, HIDDEN], 1), &|params, x, grads, d_y| {
            let params = &params.into();
            let (y, _, saved) = layer.forward(params, x, &OFFSETS, Want::output(readout), TRAIN);
            let d = d_y(&y);
            (y, layer.backward(params, saved, d, Inside::default(), grads))
        })
        .into_iter()
        .for_each(|check| check.assert_below(BOUND));
    }
}

#[test]
fn sequence_head_gradients_match_finite_differences() {
    let mut layout = Layout::default();
    let layer = SequenceHead::declare(&mut layout, "bert", HIDDEN, 3, 0.2, &mut Sites::default());
    check(&layout, &noise2([4, HIDDEN], 1), &|params, x, grads, d_y| {
        let params = &params.into();
        let (y, saved) = layer.forward(params, x, TRAIN);
        let d_x = layer.backward(params, saved, d_y(&y), grads);
        (y, d_x)
    })
    .into_iter()
    .for_each(|check| check.assert_below(BOUND));
}

#[test]
fn embedding_gradients_match_finite_differences() {
    let sizes = EmbeddingSizes {
        vocab_size: 6,
        max_positions: 4,
        type_vocab_size: 2,
        hidden_size: HIDDEN,
        layer_norm_eps: 1e-12,
        dropout: 0.2,
    };
    let mut layout = Layout::default();
    let layer = Embeddings::declare(layout.scope("embeddings"), &sizes, &mut Sites::default());
    let batch = PackedBatch::pack([(&[1, 2, 2][..], &[0, 0, 1][..]), (&[5], &[1])]);
    let [_, parameters] = check(&layout, &Array2::zeros((0, 0)), &|params, x, grads, d_y| {
        let (y, saved) = layer.forward(params, &batch, TRAIN);
        layer.backward(params, saved, d_y(&y), grads);
        (y, x)
    });
    parameters.assert_below(BOUND);
}

#[test]
fn layer_norm_ignores_a_constant_shift() {
    let mut layout = Layout::default();
    let layer = LayerNorm::declare(layout.scope("norm"), HIDDEN, 1e-12);
    let params = crate::init::random(&layout, 0.02, 1).cast::<f64>();
    let x = noise2([3, HIDDEN], 1);
    let (y, _) = layer.forward(&params, x.clone());
    let (shifted, _) = layer.forward(&params, x + 5.0);
    assert!((y - shifted).iter().all(|difference| difference.abs() < 1e-9));
}

#[test]
fn a_sequence_attends_only_to_itself() {
    let attention = Attention::new(2, Dropout::new(0.0, &mut Sites::default()));
    let forward = |x: Array2<f64>, offsets: &[usize]| {
        attention.forward([x.clone(), x.clone(), x], offsets, offsets, Mode::Evaluate, Precision::F32).0
    };
    let x = noise2([8, HIDDEN], 1);
    let packed = forward(x.clone(), &OFFSETS);
    for pair in OFFSETS.windows(2) {
        let rows = ndarray::s![pair[0]..pair[1], ..];
        assert_eq!(packed.slice(rows), forward(x.slice(rows).to_owned(), &[0, pair[1] - pair[0]]));
    }
}
