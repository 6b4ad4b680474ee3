//! Every format of export says what the student says, as exactly as its bits allow, and is refused where it does not.

use crate::support::asking::{ask, largest, packed, sequence};
use crate::support::dir::{Dir, names};
use crate::support::tiny;
use proptest::prelude::*;
use serde_json::Value;
use student::architecture::Mode;
use student::bert::BertConfig;
use student::engine::cpu_features;
use student::export::Format;
use student::export::onnx::{Model, Storage};
use student::quant::{Range, Scheme, TABLE_BLOCK, TableBits};
use student::{Architecture, Asked};

/// The deviation of the weights at random.
const DEVIATION: f64 = 0.1;

/// How far a logit may be off, as a share of the largest, or of what weights of that deviation make of a vector of ones,
/// since a single logit may happen to be nothing: single precision rounds in the sixth digit, half precision in
/// the fourth; activations in eight bits have 255 steps, and weights in four bits 16.
fn tolerance(format: Format, tables: TableBits) -> f32 {
    match format {
        _ if format.tables(tables) == Some(Scheme::Blocks(TABLE_BLOCK)) => 0.8,
        Format::Fp32 => 1e-5,
        Format::Fp16 => 1e-2,
        Format::Int8 | Format::Int8Embeddings => 0.2,
        Format::Int4 => 0.8,
    }
}

/// Says whether this processor adds up products of eight bits in sixteen, where those of the full range saturate.
fn saturates() -> bool {
    !cpu_features().iter().any(|feature| feature.ends_with("vnni"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_can_be_exported_in_every_format(
        layers in 1_usize..4,
        heads in 1_usize..5,
        head_width in 8_usize..28,
        intermediate in 30_usize..160,
        vocab in 0_usize..60,
        labels in 1_usize..5,
        segments in 1_usize..3,
        lengths in prop::collection::vec(1_u32..30, 1..6),
        reduced: bool,
        four: bool,
        seed: u64,
    ) {
        let classes: Vec<String> = (0..labels).map(|i| format!("class {i}")).collect();
        let config = tiny::config(&classes.iter().map(String::as_str).collect::<Vec<_>>());
        let config = BertConfig {
            num_hidden_layers: layers,
            num_attention_heads: heads,
            hidden_size: heads * head_width,
            intermediate_size: intermediate,
            type_vocab_size: segments,
            vocab_size: config.vocab_size + vocab,
            initializer_range: DEVIATION,
            ..config
        };
        let dir = Dir::new();
        let usual = (DEVIATION * (config.hidden_size as f64).sqrt()) as f32;
        let (bert, params) = tiny::model(config, seed);
        let sequences: Vec<_> =
            lengths.iter().map(|&length| sequence(length, seed as u32 % 1000, segments as u32)).collect();
        let batch = packed(&sequences);
        let native = bert.forward(&(&params).into(), &batch, &Asked::logits(), Mode::Evaluate).0.logits;
        let exact = Model::lower(&bert, &params, &Default::default()).unwrap();
        let range = if reduced || saturates() { Range::Reduced } else { Range::Full };
        let tables = if four { TableBits::Four } else { TableBits::Eight };
        for format in Format::ALL {
            let path = dir.path("model.onnx");
            exact.stored_as(&Storage { range, tables, ..Storage::of(format) }).unwrap().write(&path).unwrap();
            for batch_tokens in [1, 1 << 20] {
                let error = largest(&(ask(&path, &sequences, batch_tokens) - &native));
                let scale = largest(&native).max(usual);
                prop_assert!(error <= tolerance(format, tables) * scale, "{format}: {error:e} of {scale}");
            }
        }
    }
}

#[test]
fn a_text_alone_and_in_a_padded_batch_are_the_same_in_single_precision() {
    let dir = Dir::new();
    tiny::write(&dir.path("model"), tiny::config(&["a", "b", "c"]), 3);
    let sequences: Vec<_> = [1, 40, 2, 17, 5, 33].map(|length| sequence(length, length, 2)).into();
    let [alone, together] = [1, 1 << 20].map(|budget| ask(&dir.path("model"), &sequences, budget));
    assert!(largest(&(&alone - &together)) <= 1e-5, "{alone} {together}");
}

#[test]
fn an_engine_that_rounds_says_what_a_graph_with_exact_activations_says() {
    let dir = Dir::new();
    let config = BertConfig { hidden_size: 48, ..tiny::config(&["a", "b"]) };
    let (bert, params) = tiny::model(config.clone(), 4);
    let exact = Model::lower(&bert, &params, &Default::default()).unwrap();
    // Tables are read and not multiplied: nothing but their rounding distinguishes this graph from the exact one.
    let matrices: Vec<String> =
        exact.roundable().into_iter().filter(|name| !name.contains("embeddings.weight")).collect();
    let sequences: Vec<_> = [3, 20, 9].map(|length| sequence(length, length, 2)).into();
    let batch = packed(&sequences);
    for tables in [TableBits::Eight, TableBits::Four] {
        let storage = Storage { exclude: &matrices, tables, ..Storage::of(Format::Int8Embeddings) };
        exact.stored_as(&storage).unwrap().write(&dir.path("model.onnx")).unwrap();
        let (bert, params) = tiny::model(config.clone(), 4);
        let engine =
            |bert, params| student::CpuEngine::new(bert, params, 1, student::Precision::F32).unwrap();
        let schemes = exact.rounding(&storage);
        assert_eq!(schemes.len(), 1);
        let mut rounding = engine(bert, params).rounding(&schemes);
        let rounded = student::Engine::evaluate(&mut rounding, &batch, &Asked::logits()).logits;
        let (bert, params) = rounding.into_model();
        let unrounded = student::Engine::evaluate(&mut engine(bert, params), &batch, &Asked::logits()).logits;
        let said = ask(&dir.path("model.onnx"), &sequences, 1);
        assert!(largest(&(&said - &rounded)) <= 1e-4, "{tables:?}: {said} {rounded}");
        assert!(largest(&(&said - &unrounded)) > 1e-3, "{tables:?}: {said} {unrounded}");
    }
}

#[test]
fn embeddings_in_four_bits_are_smaller_and_asked_for_where_they_change_something() {
    let dir = Dir::prepared();
    let export =
        |out: &str, flags: &str| format!("export --student teacher --out {out} {flags} --eval dev.tsv");
    let formats = "--formats int8-embeddings,int4";
    dir.ok(&export("eight", formats));
    dir.ok(&export("four", &format!("{formats} --embedding-bits 4")));
    assert!(!dir.text("eight/README.md").contains("-bit embeddings"));
    let card = dir.text("four/README.md");
    assert!(card.contains("| int4, 4-bit embeddings |"), "{card}");
    for file in ["model_quantized.onnx", "model_q4.onnx"] {
        let bytes = |out: &str| std::fs::metadata(dir.path(out).join("onnx").join(file)).unwrap().len();
        assert!(bytes("four") < bytes("eight"), "{file}");
        let said = dir.ok(&format!("predict --model four/onnx/{file} lovely")).stdout;
        assert!(said.contains("\"probs\""), "{file}: {said}");
    }
    let error = dir.error(&export("none", "--formats fp32,int8 --embedding-bits 4"));
    assert!(error.contains("changes nothing") && error.contains("int8-embeddings"), "{error}");
    let error = dir.error("slim teacher --out none --formats fp16 --embedding-bits 4");
    assert!(error.contains("changes nothing"), "{error}");
    let error = dir.error("slim four/onnx/model_q4.onnx --out none --formats fp16");
    assert!(error.contains("quantised"), "{error}");
}

const ALL: &str = "fp32,fp16,int8,int8-embeddings,int4";

#[test]
fn every_format_is_measured_and_answers() {
    let dir = Dir::prepared();
    let command = format!("export --student teacher --out ship --formats {ALL} --eval dev.tsv --json");
    let report: Value = serde_json::from_str(&dir.ok(&command).stdout).unwrap();
    let formats = report["formats"].as_array().unwrap();
    assert_eq!(formats.len(), 5);
    for format in formats {
        let file = format["file"].as_str().unwrap();
        let bytes = std::fs::metadata(dir.path("ship").join(file)).unwrap().len();
        assert_eq!(format["bytes"], bytes, "{file}");
        assert!(format["quality"]["accuracy"].is_number() && format["interval"][0].is_number(), "{format}");
        assert!(format["agreement"].as_f64().unwrap() > 0.8, "{format}");
        assert!(format["speed"]["p50_1x16_ms"].as_f64().unwrap() > 0.0, "{format}");
        let said = dir.ok(&format!("predict --model ship/{file} lovely")).stdout;
        assert!(said.contains("\"probs\""), "{file}: {said}");
    }
    assert_eq!(formats[0]["batch_flips"], 0.0);
    assert!(formats[0]["batch_difference"].as_f64().unwrap() <= 1e-5);
    let expected =
        ["model.onnx", "model_fp16.onnx", "model_int8.onnx", "model_q4.onnx", "model_quantized.onnx"];
    assert_eq!(names(&dir.path("ship/onnx")), expected);
    let expected = ["README.md", "config.json", "model.safetensors", "onnx", "tokenizer.json"];
    assert_eq!(names(&dir.path("ship")), expected);
}

#[test]
fn only_the_file_that_keeps_a_promise_is_put_in_place() {
    let dir = Dir::prepared();
    let export = format!("export --student teacher --out ship --formats {ALL} --eval dev.tsv --overwrite");
    dir.ok(&format!("{export} --max-drop 100"));
    assert_eq!(names(&dir.path("ship/onnx")).len(), 1);
    // Which one that is depends on how fast they are.
    dir.ok("export --student teacher --out both --formats fp32,int8");
    assert_eq!(names(&dir.path("both/onnx")), ["model.onnx", "model_quantized.onnx"]);

    let error = dir.error(&format!("{export} --max-size 1kB").replace("ship", "other"));
    assert!(error.contains("no format keeps the promise of at most 1.0 kB; nearest is `"), "{error}");
    assert!(error.contains("\nhint: "), "{error}");
    assert!(names(&dir.path("other")).is_empty(), "{:?}", names(&dir.path("other")));
    let error = dir.error(&format!("{export} --exclude bert.encoder.layer.9").replace("ship", "both"));
    assert!(error.contains("no matrix or table in it is called `bert.encoder.layer.9`"), "{error}");
    assert!(error.contains("\nhint: ") && names(&dir.path("both/onnx")).len() == 2, "{error}");
}

#[test]
fn what_rounding_costs_is_listed_and_can_be_excluded() {
    let dir = Dir::prepared();
    let listed = dir.ok("export --student teacher --out ship --sensitivity --eval dev.tsv --json").stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let alone = listed["alone"].as_array().unwrap();
    let divergences: Vec<f64> = alone.iter().map(|cost| cost["mean_kl"].as_f64().unwrap()).collect();
    assert!(divergences.windows(2).all(|pair| pair[0] >= pair[1]), "{divergences:?}");
    let all: Vec<&str> = alone.iter().map(|cost| cost["name"].as_str().unwrap()).collect();
    assert!(all.contains(&"bert.embeddings.word_embeddings.weight"), "{all:?}");
    assert!(names(&dir.path("ship")).is_empty());
    let command = format!(
        "export --student teacher --out ship --formats int8-embeddings --eval dev.tsv --json --exclude {}",
        all.join(",")
    );
    let report: Value = serde_json::from_str(&dir.ok(&command).stdout).unwrap();
    assert_eq!(report["formats"][0]["agreement"], 1.0);
    assert!(report["formats"][0]["mean_kl"].as_f64().unwrap() < 1e-9);
}

#[test]
fn a_student_is_trained_through_the_rounding_from_its_own_recipe() {
    let dir = Dir::prepared();
    dir.ok(
        "train --teacher teacher --data train.tsv --eval dev.tsv --student bert-tiny --max-steps 3 --out out",
    );
    let export = "export --student out --formats fp32,int8,int4 --qat-steps 4 --lr 0.001 --eval dev.tsv";
    dir.ok(&format!("{export} --out ship"));
    assert!(dir.read("ship/model.safetensors") != dir.read("out/model.safetensors"));
    assert_eq!(names(&dir.path("ship/onnx")), ["model.onnx", "model_q4.onnx", "model_quantized.onnx"]);
    dir.ok(&format!("{export} --out again --threads 1"));
    assert!(dir.read("ship/model.safetensors") == dir.read("again/model.safetensors"));
    let error = dir.error(&format!("{export} --out none").replace("fp32,int8,int4", "fp32"));
    assert!(error.contains("no format is asked for that rounds anything"), "{error}");
}
