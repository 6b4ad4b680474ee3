//! The gradient of the whole model: right for every parameter, and there for every parameter.

use crate::support::tiny;
use distill::objective::{Loss, Objective, Target, Term, Totals};
use distill::task::Gold;
use ndarray::Array2;
use student::architecture::{DropoutKey, Mode};
use student::bert::{Bert, BertConfig};
use student::engine::{CpuEngine, Engine};
use student::gradcheck::{check_elements, noise2};
use student::optim::AdamWStep;
use student::{Architecture, Arena, OutputGrads, PackedBatch, Precision};

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
    PackedBatch::pack([(&[1, 2, 3, 4, 5][..], &[0, 0, 1, 1, 1][..]), (&[6], &[0]), (&[7, 8, 0], &[0, 0, 0])])
}

/// The loss `Σ logits · w` and its gradient, in training with dropout.
fn loss(bert: &Bert, params: &Arena<f64>) -> f64 {
    let (outputs, _) = bert.forward(&params.into(), &batch(), mode());
    (outputs.logits * noise2::<f64>([3, 3], 5)).sum()
}

fn gradient(bert: &Bert, params: &Arena<f64>) -> Arena<f64> {
    let mut grads = Arena::zeros(bert.layout());
    let (_, saved) = bert.forward(&params.into(), &batch(), mode());
    bert.backward(&params.into(), saved, OutputGrads { logits: noise2([3, 3], 5) }, &mut grads);
    grads
}

fn mode() -> Mode {
    Mode::Train(DropoutKey { seed: 11, pass: 2 })
}

#[test]
fn the_gradient_of_every_parameter_matches_finite_differences() {
    let (bert, params) = small();
    let grads = gradient(&bert, &params);
    let check = check_elements(grads.data(), 0..grads.data().len(), |i, delta| {
        let mut moved = params.clone();
        moved.data_mut()[i] += delta;
        loss(&bert, &moved)
    });
    check.assert_below(1e-6);
}

#[test]
fn every_tensor_receives_a_gradient_and_the_key_bias_exactly_none() {
    let (bert, params) = small();
    let grads = gradient(&bert, &params);
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
    let objective = Objective::new([Term { weight: 1.0, loss: Loss::CrossEntropy }]).unwrap();
    let step = AdamWStep { learning_rate: 3e-3, ..AdamWStep::default() };
    let mut losses = Vec::new();
    for pass in 0..100 {
        let logits = engine.forward(&batch(), DropoutKey { seed: 1, pass }).logits;
        let target = Target { soft: None, gold: &gold };
        let (evaluation, logits) = objective.evaluate(logits.view(), &target, Totals::of(&gold));
        engine.backward(OutputGrads { logits }).unwrap();
        engine.update(&step);
        losses.push(evaluation.total);
    }
    assert!(losses[0] > 0.5 && losses[99] < 0.01, "from {} to {}", losses[0], losses[99]);
}

#[test]
fn backward_without_forward_is_an_error() {
    let (bert, params) = tiny::model(tiny::config(&["a", "b"]), 1);
    let mut engine = CpuEngine::new(bert, params, 1, Precision::F32).unwrap();
    assert!(engine.backward(OutputGrads { logits: noise2([1, 2], 1) }).is_err());
    engine.forward(&batch(), DropoutKey { seed: 1, pass: 1 });
    let d_logits = || OutputGrads { logits: noise2([3, 2], 1) };
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
    let whole = bert.forward(&(&params).into(), &pack(&sequences), Mode::Evaluate).0.logits;
    let alone: Vec<Array2<f64>> = sequences
        .iter()
        .map(|sequence| bert.forward(&(&params).into(), &pack(&[sequence]), Mode::Evaluate).0.logits)
        .collect();
    for (row, alone) in whole.rows().into_iter().zip(&alone) {
        assert!(row.iter().zip(alone).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
