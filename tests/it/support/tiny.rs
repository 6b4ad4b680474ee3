//! A tiny BERT with a tokenizer, as a directory: a random student is all the teacher that the tests need.

use super::corpus::{BAD, GOOD, NEUTRAL};
use serde_json::json;
use std::path::Path;
use student::bert::{Bert, BertConfig, ProblemType};
use student::{Architecture, Arena, checkpoint, export, init};

pub const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Returns the vocabulary: special tokens, the words of the made-up language, and every letter.
pub fn vocabulary() -> Vec<String> {
    let words = SPECIAL.into_iter().chain(GOOD).chain(BAD).chain(NEUTRAL).map(str::to_owned);
    let letters = ('a'..='z').filter(|letter| *letter != 'a').map(String::from);
    words.chain(letters).chain(('a'..='z').map(|letter| format!("##{letter}"))).collect()
}

/// Returns a configuration that trains in a second; it starts with weights large enough that its logits differ.
pub fn config(labels: &[&str]) -> BertConfig {
    BertConfig {
        vocab_size: vocabulary().len(),
        hidden_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        intermediate_size: 64,
        max_position_embeddings: 40,
        initializer_range: 0.3,
        labels: labels.iter().map(ToString::to_string).collect(),
        problem_type: Some(if labels.len() == 1 {
            ProblemType::Regression
        } else {
            ProblemType::SingleLabelClassification
        }),
        ..BertConfig::default()
    }
}

/// Returns a model of this configuration with random weights.
pub fn model(config: BertConfig, seed: u64) -> (Bert, Arena) {
    let bert = Bert::new(config).expect("the configuration is valid");
    let params = init::random(bert.layout(), bert.config().initializer_range, seed);
    (bert, params)
}

/// Writes an encoder that has learnt nothing yet, to be fine-tuned.
pub fn write_base(folder: &Path) {
    write(folder, BertConfig { initializer_range: 0.1, ..config(&["x", "y"]) }, 1);
}

/// Writes a model as a directory, as `distill train` does.
pub fn write(folder: &Path, config: BertConfig, seed: u64) {
    write_model(folder, model(config, seed));
}

/// Writes a model as a directory, as `distill finetune` does: one that can be looked into.
pub fn write_whole(folder: &Path, config: BertConfig, seed: u64) {
    let (bert, params) = model(config, seed);
    write_model(folder, (bert.written_whole(), params));
}

fn write_model(folder: &Path, (bert, params): (Bert, Arena)) {
    std::fs::create_dir_all(folder.join("onnx")).expect("the folder can be made");
    write_tokenizer(folder);
    std::fs::write(folder.join("config.json"), bert.config().to_json())
        .expect("the folder can be written to");
    checkpoint::write_weights(&folder.join("model.safetensors"), bert.layout(), &params)
        .expect("weights are written");
    export::onnx::write(&bert, &params, &folder.join("onnx/model.onnx"), &Default::default())
        .expect("graph is written");
}

/// Writes a `tokenizer.json` of the vocabulary.
pub fn write_tokenizer(folder: &Path) {
    let vocab: serde_json::Map<_, _> =
        vocabulary().into_iter().enumerate().map(|(id, word)| (word, json!(id))).collect();
    let special = |id: usize| json!({ "id": SPECIAL[id], "ids": [id], "tokens": [SPECIAL[id]] });
    let token = |id: usize, kind: usize| json!({ "SpecialToken": { "id": SPECIAL[id], "type_id": kind } });
    let text = |name: &str, kind: usize| json!({ "Sequence": { "id": name, "type_id": kind } });
    let added: Vec<_> = (0..SPECIAL.len())
        .map(|id| {
            json!({
                "id": id, "content": SPECIAL[id], "special": true,
                "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            })
        })
        .collect();
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true,
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token(2, 0), text("A", 0), token(3, 0)],
            "pair": [token(2, 0), text("A", 0), token(3, 0), text("B", 1), token(3, 1)],
            "special_tokens": { "[CLS]": special(2), "[SEP]": special(3) },
        },
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab,
        },
    });
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string())
        .expect("the folder can be written to");
}
