//! Fewer words and fewer bits: the same answers on the corpus, files that open, and nothing left where that fails.

use crate::support::dir::{Dir, names};
use crate::support::{fixture, tiny};
use serde_json::Value;
use teacher::{Options, Teacher};

/// A corpus of few of the words: the others go, letters stay.
const CORPUS: &str = "the film was good\na dull story\nunheard-of ☃ word\n";

fn logits(dir: &Dir, model: &str) -> String {
    let done = dir.command(&format!("predict --model {model} --max-length 40"));
    let mut done = done;
    let output = done.arg("the film was good").arg("a dull story").output().unwrap();
    dir.done(&output).stdout
}

fn vocabulary(dir: &Dir, model: &str) -> usize {
    let tokenizer: Value = serde_json::from_str(&dir.text(&format!("{model}/tokenizer.json"))).unwrap();
    tokenizer["model"]["vocab"].as_object().unwrap().len()
}

#[test]
fn a_trimmed_student_says_the_same_of_its_corpus_with_fewer_words() {
    let dir = Dir::prepared();
    dir.write("corpus.txt", CORPUS);
    let done = dir.ok("export --student teacher --out small --trim-vocab corpus.txt");
    assert!(done.stderr.contains("the same pieces in every text"), "{}", done.stderr);
    assert_eq!(logits(&dir, "teacher"), logits(&dir, "small"));
    let whole = tiny::vocabulary().len();
    let kept = vocabulary(&dir, "small");
    // Five special tokens, 52 letters of which `a` is a word too, and seven words of the corpus that are no letters.
    assert_eq!((kept, kept < whole), (5 + 52 + 7, true));
    let config: Value = serde_json::from_str(&dir.text("small/config.json")).unwrap();
    assert_eq!(config["vocab_size"], kept);
    dir.ok("export --student small --out again --trim-vocab corpus.txt --formats fp32,int8-embeddings --eval dev.tsv");
    let card = dir.text("again/README.md");
    assert!(card.contains("word pieces are left") && card.contains("onnx/model_quantized.onnx"), "{card}");
    assert!(dir.read("small/model.safetensors") == dir.read("again/model.safetensors"));
}

#[test]
fn a_graph_of_anyone_becomes_a_directory_with_smaller_graphs_and_a_card() {
    let dir = Dir::prepared();
    dir.write("corpus.txt", CORPUS);
    let done = dir.ok("slim teacher/onnx/model.onnx --out small --trim-vocab corpus.txt --eval dev.tsv \
                       --formats fp32,int8-embeddings,fp16");
    for expected in ["accuracy", "onnx/model_quantized.onnx", "onnx/model_fp16.onnx"] {
        assert!(done.stdout.contains(expected), "{expected}\n{}", done.stdout);
    }
    assert_eq!(names(&dir.path("small/onnx")), ["model.onnx", "model_fp16.onnx", "model_quantized.onnx"]);
    assert_eq!(names(&dir.path("small")), ["README.md", "config.json", "onnx", "tokenizer.json"]);
    assert_eq!(logits(&dir, "teacher"), logits(&dir, "small"));
    let card = dir.text("small/README.md");
    for expected in [
        "license: choose one",
        "Nothing is known of its training",
        "word pieces are left",
        "| accuracy | 95 % |",
    ] {
        assert!(card.contains(expected), "{expected}\n{card}");
    }
    let quantised = Teacher::open(&dir.path("small/onnx/model_quantized.onnx"), &Options::default()).unwrap();
    assert!(quantised.metadata().contains_key("measured_accuracy"), "{:?}", quantised.metadata());
    assert!(quantised.metadata().contains_key("vocabulary_pieces"));
}

#[test]
fn exports_of_pytorch_are_trimmed_too() {
    for graph in ["reference_torch.onnx", "reference_dynamo.onnx"] {
        let dir = Dir::new();
        std::fs::create_dir(dir.path("model")).unwrap();
        std::fs::copy(fixture(graph), dir.path("model/model.onnx")).unwrap();
        std::fs::copy(fixture("reference_config.json"), dir.path("model/config.json")).unwrap();
        let pieces: Vec<String> = tiny::SPECIAL
            .iter()
            .map(ToString::to_string)
            .chain((0..43).map(|i| format!("word{}", char::from(b'a' + i % 26)).repeat(1 + i as usize / 26)))
            .collect();
        dir.write("model/vocab.txt", pieces.join("\n"));
        dir.write("corpus.txt", "worda wordb\nwordc worda\n");
        dir.ok("slim model --out small --trim-vocab corpus.txt --formats fp32,int8");
        assert_eq!(names(&dir.path("small/onnx")), ["model.onnx", "model_quantized.onnx"]);
    }
}

#[test]
fn what_cannot_be_made_smaller_is_explained_and_nothing_is_written() {
    let dir = Dir::prepared();
    dir.write("corpus.txt", CORPUS);
    dir.ok("slim teacher --out small --formats int8");
    std::fs::rename(dir.path("small/onnx/model_quantized.onnx"), dir.path("small/onnx/model.onnx")).unwrap();
    let tokenizer = dir.text("teacher/tokenizer.json");
    std::fs::create_dir_all(dir.path("bpe/onnx")).unwrap();
    for file in ["config.json", "onnx/model.onnx"] {
        std::fs::copy(dir.path(&format!("teacher/{file}")), dir.path(&format!("bpe/{file}"))).unwrap();
    }
    let bpe = r#"{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "unk_token": "a"},
                  "pre_tokenizer": null, "post_processor": null, "normalizer": null, "added_tokens": []}"#;
    dir.write("bpe/tokenizer.json", bpe);
    for (arguments, expected) in [
        ("slim small --out x", "is quantised already: it has nodes of the kind"),
        (
            "slim bpe --out x --trim-vocab corpus.txt",
            "is of the kind `BPE`, whose vocabulary cannot be trimmed",
        ),
        ("slim teacher --out x --trim-vocab none.txt", "there is no file"),
        ("slim none --out x", "there is no model"),
        ("export --student teacher --out x --trim-vocab none.txt", "there is no file"),
    ] {
        let error = dir.error(arguments);
        assert!(error.contains(expected) && error.contains("hint: "), "{arguments}\n{error}");
        assert!(!dir.path("x/onnx").exists(), "{arguments}");
    }
    // A token more than the model has rows for.
    let mut json: Value = serde_json::from_str(&tokenizer).unwrap();
    json["model"]["vocab"]["new"] = tiny::vocabulary().len().into();
    dir.write("teacher/tokenizer.json", json.to_string());
    assert!(dir.error("slim teacher --out x --trim-vocab corpus.txt").contains("but the model"));
}

#[test]
fn only_the_file_that_keeps_a_promise_is_written_and_none_if_none_does() {
    let dir = Dir::prepared();
    let slim = "slim teacher --eval dev.tsv --formats fp32,fp16,int8-embeddings --reduce-range";
    let done = dir.ok(&format!("{slim} --out small --max-size 1MB --max-drop 100 --json"));
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    let shipped = report["shipped"].as_array().unwrap();
    assert_eq!((shipped.len(), report["formats"].as_array().unwrap().len()), (1, 3), "{report}");
    let graphs = names(&dir.path("small/onnx"));
    assert_eq!(graphs.len(), 1, "{graphs:?}");
    assert_eq!(shipped[0], format!("onnx/{}", graphs[0]));
    let said = dir.error(&format!("{slim} --out none --max-size 100B"));
    assert!(
        said.contains("no format keeps the promise of at most 0.1 kB") && said.contains("hint:"),
        "{said}"
    );
    assert!(names(&dir.path("none")).is_empty());
    dir.ok(&format!("{slim} --out small --overwrite --max-size 1MB --exclude bert.encoder"));
    assert_eq!(names(&dir.path("small/onnx")).len(), 1, "what is not shipped any more is gone");
    let said = dir.error(&format!("{slim} --out small --overwrite --exclude bert.encoder.layer.9"));
    assert!(said.contains("bert.encoder.layer.9") && said.contains("hint:"), "{said}");
}
