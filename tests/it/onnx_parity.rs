//! The exported graph says what the native student says, under ONNX Runtime, with and without padding.

use crate::support::asking::{Sequence, ask, largest, packed, sequence};
use crate::support::dir::Dir;
use crate::support::tiny;
use proptest::prelude::*;
use student::architecture::Mode;
use student::bert::BertConfig;
use student::{Architecture, Asked, export};
use teacher::{Options, Teacher};

/// What rounding may amount to after a few layers of single precision with large weights.
const TOLERANCE: f32 = 1e-4;

/// Returns the largest difference between graph and student on these sequences, in one batch and one by one.
fn difference(config: BertConfig, seed: u64, sequences: &[Sequence]) -> f32 {
    let dir = Dir::new();
    let (bert, params) = tiny::model(config, seed);
    let path = dir.path("model.onnx");
    export::onnx::write(&bert, &params, &path, &Default::default()).unwrap();
    let native =
        bert.forward(&(&params).into(), &packed(sequences), &Asked::logits(), Mode::Evaluate).0.logits;
    [1 << 20, 1]
        .map(|tokens| largest(&(ask(&path, sequences, tokens) - &native)))
        .into_iter()
        .fold(0.0, f32::max)
}

#[test]
fn the_graph_agrees_with_the_student_at_mixed_lengths() {
    let sequences: Vec<_> = [1, 2, 7, 40, 3, 19].map(|length| sequence(length, length, 2)).into();
    for labels in [&["a"][..], &["a", "b"], &["a", "b", "c", "d", "e", "f", "g"]] {
        let difference = difference(tiny::config(labels), 5, &sequences);
        assert!(difference <= TOLERANCE, "{} labels: {difference:e}", labels.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_can_be_exported(
        layers in 1_usize..4,
        heads in 1_usize..5,
        head_width in 1_usize..28,
        intermediate in 1_usize..70,
        labels in 1_usize..5,
        segments in 1_usize..3,
        lengths in prop::collection::vec(1_u32..30, 1..6),
        seed: u64,
    ) {
        let names: Vec<String> = (0..labels).map(|i| format!("class {i}")).collect();
        let config = BertConfig {
            num_hidden_layers: layers,
            num_attention_heads: heads,
            hidden_size: heads * head_width,
            intermediate_size: intermediate,
            type_vocab_size: segments,
            ..tiny::config(&names.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let sequences: Vec<_> =
            lengths.iter().map(|&length| sequence(length, seed as u32 % 1000, segments as u32)).collect();
        let difference = difference(config, seed, &sequences);
        prop_assert!(difference <= TOLERANCE, "{difference:e}");
    }
}

#[test]
fn a_sequence_longer_than_the_model_is_an_error_and_no_answer() {
    let dir = Dir::new();
    tiny::write(&dir.path("teacher"), tiny::config(&["a", "b"]), 1);
    for model in ["teacher", "teacher/onnx/model.onnx"] {
        let mut teacher = Teacher::open(&dir.path(model), &Options::default()).unwrap();
        let error = teacher.logits(&[sequence(41, 1, 2).tokens()], &|_| {}).unwrap_err();
        assert!(error.to_string().contains("41"), "{error}");
    }
    // Without a configuration beside it, the graph itself has to refuse.
    std::fs::copy(dir.path("teacher/onnx/model.onnx"), dir.path("bare.onnx")).unwrap();
    let mut bare = Teacher::open(&dir.path("bare.onnx"), &Options::default()).unwrap();
    assert!(bare.logits(&[sequence(41, 1, 2).tokens()], &|_| {}).is_err());
}
