//! The gradient of the whole model: right for every parameter, and there for every parameter.

use crate::support::tiny;
use distill::objective::{Loss, Objective, Target, Term, Totals};
use distill::task::Gold;
use ndarray::{Array2, Array3};
use std::ops::Range;
use student::architecture::{DropoutKey, Mode};
use student::bert::{Bert, BertConfig};
use student::engine::{CpuEngine, Engine};
use student::gradcheck::{check_elements, noise2};
use student::optim::AdamWStep;
use student::{Architecture, Arena, Asked, OutputGrads, Outputs, PackedBatch, Precision};

fn small() -> (Bert, Arena<f64>) {
    let config = BertConfig {
        vocab_size: 9,
        hidden_size: 6,
        num_attention_heads: 2,
        intermediate_size: 7,
        max_position_embeddings: 5,
        ..tiny::config(&["a", "b", "c"])
    };
    let (bert, params) = tiny::model(config, 3);
    (bert, params.cast())
}

fn batch() -> PackedBatch {
    let batch = PackedBatch::pack([
        (&[1, 2, 3, 4, 5][..], &[0, 0, 1, 1, 1][..]),
        (&[6], &[0]),
        (&[7, 8, 0], &[0, 0, 0]),
    ]);
    let ids = batch.ids().to_vec();
    batch.masked(ids, vec![1, 2, 6])
}

/// Everything that a model can be asked.
fn all() -> Asked {
    Asked { logits: true, words: false, hidden: vec![0, 1, 2], scores: vec![1, 2], qkv: vec![1, 2] }
}

fn noise_like_scores(scores: &Array3<f64>) -> Array3<f64> {
    let (heads, tokens, _) = scores.dim();
    noise2([heads * tokens, tokens], 4).into_shape_with_order(scores.dim()).unwrap()
}

/// Noise in the shape of what a model has said.
fn noise_like(outputs: &Outputs<f64>) -> OutputGrads<f64> {
    let mut seed = 5;
    let mut like = |x: &Array2<f64>| {
        seed += 1;
        noise2([x.nrows(), x.ncols()], seed)
    };
    OutputGrads {
        logits: like(&outputs.logits),
        words: like(&outputs.words),
        hidden: outputs.hidden.iter().map(&mut like).collect(),
        qkv: outputs.qkv.iter().map(|qkv| qkv.each_ref().map(&mut like)).collect(),
        scores: outputs.scores.iter().map(|layer| layer.iter().map(noise_like_scores).collect()).collect(),
    }
}

/// The loss `Σ output · w` over everything that the model says, in training with dropout.
fn loss(bert: &Bert, params: &Arena<f64>, asked: &Asked) -> f64 {
    let (outputs, _) = bert.forward(&params.into(), &batch(), asked, mode());
    let weights = noise_like(&outputs);
    let dot = |a: &Array2<f64>, b: &Array2<f64>| (a * b).sum();
    let hidden: f64 = outputs.hidden.iter().zip(&weights.hidden).map(|(a, b)| dot(a, b)).sum();
    let qkv: f64 =
        outputs.qkv.iter().flatten().zip(weights.qkv.iter().flatten()).map(|(a, b)| dot(a, b)).sum();
    let scores = outputs.scores.iter().flatten().zip(weights.scores.iter().flatten());
    let scores: f64 = scores.map(|(a, b)| (a * b).sum()).sum();
    dot(&outputs.logits, &weights.logits) + dot(&outputs.words, &weights.words) + hidden + qkv + scores
}

fn gradient(bert: &Bert, params: &Arena<f64>, asked: &Asked) -> Arena<f64> {
    let mut grads = Arena::zeros(bert.layout());
    let (outputs, saved) = bert.forward(&params.into(), &batch(), asked, mode());
    bert.backward(&params.into(), saved, noise_like(&outputs), &mut grads);
    grads
}

/// Checks the gradients of these parameters against finite differences.
fn check(bert: &Bert, params: &Arena<f64>, asked: &Asked, elements: Range<usize>) {
    let grads = gradient(bert, params, asked);
    let check = check_elements(grads.data(), elements, |i, delta| {
        let mut moved = params.clone();
        moved.data_mut()[i] += delta;
        loss(bert, &moved, asked)
    });
    assert!(check.worst < 1e-6, "{asked:?}: {check:?}");
}

/// Appends noise for the parameters that the model was given since.
fn widened(bert: &Bert, params: &Arena<f64>) -> Arena<f64> {
    let mut wider = params.data().to_vec();
    wider.extend(noise2::<f64>([1, bert.layout().num_parameters() - wider.len()], 8));
    Arena::from_vec(bert.layout(), wider).unwrap()
}

fn mode() -> Mode {
    Mode::Train(DropoutKey { seed: 11, pass: 2 })
}

#[test]
fn the_gradient_of_every_parameter_matches_finite_differences_whatever_is_asked() {
    let (bert, params) = small();
    let partly = [
        Asked::logits(),
        all(),
        Asked { logits: false, ..all() },
        Asked { hidden: vec![2], ..Asked::logits() },
        Asked { scores: vec![1], ..Asked::default() },
        Asked { qkv: vec![2], ..Asked::default() },
        Asked { hidden: vec![0], ..Asked::default() },
    ];
    for asked in partly {
        check(&bert, &params, &asked, 0..params.data().len());
    }
}

#[test]
fn hidden_states_are_shown_in_the_width_of_the_projection_and_it_learns() {
    let (bert, params) = small();
    let plain = bert.layout().num_parameters();
    let bert = bert.projecting(5);
    assert_eq!(bert.layout().num_parameters() - plain, 6 * 5 + 5);
    let params = widened(&bert, &params);
    let (outputs, _) = bert.forward(&(&params).into(), &batch(), &all(), mode());
    assert!(outputs.hidden.iter().all(|hidden| hidden.dim() == (9, 5)));
    check(&bert, &params, &all(), plain..plain + 35);
}

#[test]
fn the_head_for_words_and_the_table_that_it_shares_have_gradients_that_match_finite_differences() {
    let (bert, params) = small();
    let plain = bert.layout().num_parameters();
    let bert = bert.predicting_words();
    let head = 6 * 6 + 6 + 2 * 6 + 9;
    assert_eq!(bert.layout().num_parameters() - plain, head, "the word table is not stored twice");
    assert!(bert.layout().table().is_none(), "no row of it may wait for its update");
    let params = widened(&bert, &params);
    for asked in [Asked { words: true, ..Asked::default() }, Asked { words: true, ..all() }] {
        check(&bert, &params, &asked, 0..params.data().len());
    }
    let (alone, kept) = bert.alone(&params.cast()).unwrap();
    assert_eq!((alone.layout().num_parameters(), kept.data().len()), (plain, plain));
}

#[test]
fn what_is_asked_besides_changes_nothing_of_what_is_said() {
    let (bert, params) = small();
    let say = |asked: &Asked| bert.forward(&(&params).into(), &batch(), asked, Mode::Evaluate).0;
    let (alone, whole) = (say(&Asked::logits()), say(&all()));
    assert!((&alone.logits - &whole.logits).iter().all(|d| d.abs() < 1e-12));
    let upper = say(&Asked { hidden: vec![2], ..Asked::default() });
    assert_eq!(upper.hidden[0], whole.hidden[2]);
    assert_eq!(upper.logits.dim(), (0, 0));
}

#[test]
fn every_tensor_receives_a_gradient_and_the_key_bias_exactly_none() {
    let (bert, params) = small();
    let grads = gradient(&bert, &params, &Asked::logits());
    for entry in bert.layout().entries() {
        let largest = grads.data()[entry.range()].iter().fold(0.0_f64, |max, g| max.max(g.abs()));
        if entry.name.ends_with("attention.self.key.bias") {
            // A number added to all scores of a row changes no probability.
            assert!(largest < 1e-12, "{} has a gradient of {largest:e}", entry.name);
        } else {
            assert!(largest > 1e-9, "{} has no gradient", entry.name);
        }
    }
}

#[test]
fn one_batch_is_learnt_by_heart() {
    let (bert, params) =
        tiny::model(BertConfig { initializer_range: 0.1, ..tiny::config(&["a", "b", "c"]) }, 1);
    let bert = Bert::new(BertConfig {
        hidden_dropout_prob: 0.0,
        attention_probs_dropout_prob: 0.0,
        ..bert.config().clone()
    });
    let mut engine = CpuEngine::new(bert.unwrap(), params, 1, Precision::F32).unwrap();
    let gold = [Gold::Class(2), Gold::Class(0), Gold::Class(1)];
    let objective = Objective::new([Term { weight: 1.0.into(), loss: Loss::CrossEntropy }]).unwrap();
    let step = AdamWStep { learning_rate: 3e-3, ..AdamWStep::default() };
    let mut losses = Vec::new();
    for pass in 0..100 {
        let outputs = engine.forward(&batch(), objective.asked(), DropoutKey { seed: 1, pass });
        let target = Target { soft: None, gold: &gold, inside: None, offsets: &[], words: &[], likely: None };
        let (evaluation, d_outputs) = objective.evaluate(&outputs, &target, Totals::of(&gold, []));
        engine.backward(d_outputs).unwrap();
        engine.update(&step);
        losses.push(evaluation.total);
    }
    assert!(losses[0] > 0.5 && losses[99] < 0.01, "from {} to {}", losses[0], losses[99]);
}

#[test]
fn backward_without_forward_is_an_error() {
    let (bert, params) = tiny::model(tiny::config(&["a", "b"]), 1);
    let mut engine = CpuEngine::new(bert, params, 1, Precision::F32).unwrap();
    assert!(engine.backward(OutputGrads::of_logits(noise2([1, 2], 1))).is_err());
    engine.forward(&batch(), &Asked::logits(), DropoutKey { seed: 1, pass: 1 });
    let d_logits = || OutputGrads::of_logits(noise2([3, 2], 1));
    assert!(engine.backward(d_logits()).is_ok() && engine.backward(d_logits()).is_err());
}

#[test]
fn a_batch_says_what_its_sequences_say_alone() {
    let (bert, params) = tiny::model(tiny::config(&["a", "b"]), 1);
    let params = params.cast::<f64>();
    let sequences: [&[u32]; 3] = [&[2, 7, 3], &[2, 3], &[2, 9, 9, 8, 20, 3]];
    let zeros = [0; 6];
    let pack = |of: &[&[u32]]| {
        PackedBatch::pack(of.iter().map(|ids| (*ids, &zeros[..ids.len()])).collect::<Vec<_>>())
    };
    let whole = bert.forward(&(&params).into(), &pack(&sequences), &Asked::logits(), Mode::Evaluate).0.logits;
    let alone: Vec<Array2<f64>> = sequences
        .iter()
        .map(|sequence| {
            bert.forward(&(&params).into(), &pack(&[sequence]), &Asked::logits(), Mode::Evaluate).0.logits
        })
        .collect();
    for (row, alone) in whole.rows().into_iter().zip(&alone) {
        assert!(row.iter().zip(alone).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
