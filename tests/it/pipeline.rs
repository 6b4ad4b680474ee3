//! The whole job on a made-up language: it learns, and the controls do not.

use crate::support::dir::{Dir, names};
use crate::support::{corpus, tiny};
use serde_json::Value;

/// A folder with a teacher that was fine-tuned on the made-up language.
fn with_teacher() -> Dir {
    let dir = Dir::new();
    tiny::write_base(&dir.path("base"));
    dir.write("train.tsv", corpus::tsv(600, 1));
    dir.write("dev.tsv", corpus::tsv(200, 2));
    dir.ok(
        "finetune --base base --data train.tsv --eval dev.tsv --out teacher --epochs 4 --lr 2e-3 --seed 3",
    );
    dir
}

fn json(dir: &Dir, file: &str) -> Value {
    serde_json::from_str(&dir.text(file)).expect("the file is JSON")
}

fn accuracy(dir: &Dir, model: &str) -> f64 {
    let done = dir.ok(&format!("eval --model {model} --data dev.tsv --json"));
    let report: Value = serde_json::from_str(&done.stdout).expect("the output is JSON");
    report["quality"]["accuracy"].as_f64().expect("there is an accuracy")
}

const STUDENT: &str = "--student student.json --seed 5 --epochs 12 --lr 5e-3";

fn write_student(dir: &Dir) {
    let config = student::bert::BertConfig {
        num_hidden_layers: 1,
        hidden_size: 16,
        initializer_range: 0.1,
        ..tiny::config(&["x", "y"])
    };
    dir.write("student.json", config.to_json());
}

#[test]
fn a_student_learns_from_its_teacher_alone_and_not_from_shuffled_logits() {
    let dir = with_teacher();
    write_student(&dir);
    assert!(accuracy(&dir, "teacher") > 0.95, "the teacher knows the language");

    let unlabelled: String = corpus::sentences(600, 9).into_iter().map(|(text, _)| text + "\n").collect();
    dir.write("unlabelled.txt", format!("sentence\n{unlabelled}"));
    let done =
        dir.ok(&format!("train --teacher teacher --data unlabelled.txt --eval dev.tsv {STUDENT} --out out"));
    assert!(done.stdout.contains("agree"), "{}", done.stdout);
    let report = json(&dir, "out/report.json");
    let agreement = report["models"][1]["quality"]["agreement"]["value"].as_f64().unwrap();
    assert!(agreement > 0.9 && accuracy(&dir, "out") > 0.9, "agreement {agreement}");
    assert!(
        report["models"][1]["cost"]["file_bytes"].as_u64()
            < report["models"][0]["cost"]["file_bytes"].as_u64()
    );

    // The same logits, given to other texts, teach nothing.
    shuffle_logits(&dir, "out/labels.safetensors", "shuffled.safetensors");
    dir.ok(&format!(
        "train --teacher teacher --data unlabelled.txt --eval dev.tsv {STUDENT} --out control --cache shuffled.safetensors"
    ));
    let control = accuracy(&dir, "control");
    assert!(control < 0.75, "shuffled logits taught an accuracy of {control}");
}

/// Writes a store in which each text has the logits of another.
fn shuffle_logits(dir: &Dir, from: &str, to: &str) {
    let bytes = dir.read(from);
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let logits = file.tensor("logits").unwrap();
    let width = 4 * logits.shape()[1];
    let mut rows: Vec<&[u8]> = logits.data().chunks_exact(width).collect();
    let mut stream = corpus::Stream::new(4);
    for i in (1..rows.len()).rev() {
        rows.swap(i, stream.below(i + 1));
    }
    let rows = rows.concat();
    let view = |dtype, shape: &[usize], data| {
        safetensors::tensor::TensorView::new(dtype, shape.to_vec(), data).unwrap()
    };
    let keys = file.tensor("keys").unwrap();
    let tensors = [
        ("keys", view(keys.dtype(), keys.shape(), keys.data())),
        ("logits", view(logits.dtype(), logits.shape(), &rows)),
    ];
    dir.write(to, safetensors::serialize(tensors, header.metadata().clone()).unwrap());
}

#[test]
fn a_student_that_is_its_teacher_has_nothing_to_learn() {
    let dir = Dir::prepared();
    dir.ok("train --teacher teacher --data train.tsv --eval dev.tsv --init teacher --out out --max-steps 1 \
            --set objective.kl=1 --set student.dropout=0 --lr 1e-12 --precision f32");
    let first: Value = serde_json::from_str(dir.text("out/log.jsonl").lines().next().unwrap()).unwrap();
    assert!(first["loss_kl"].as_f64().unwrap().abs() < 1e-6, "{first}");
    let report = json(&dir, "out/report.json");
    assert_eq!(report["models"][1]["quality"]["agreement"]["value"], 1.0);
    assert!(report["models"][1]["quality"]["mean_kl"]["value"].as_f64().unwrap() < 1e-6);
}

#[test]
fn layers_are_copied_out_of_a_bare_onnx_file() {
    let dir = Dir::prepared();
    for (init, out) in [("teacher", "a"), ("teacher/onnx/model.onnx", "b")] {
        dir.ok(&format!(
            "train --teacher teacher --data train.tsv --eval dev.tsv --init {init} --init-layers 1 --out {out} --max-steps 3"
        ));
    }
    assert!(
        dir.read("a/model.safetensors") == dir.read("b/model.safetensors"),
        "both start with the same weights"
    );
    assert_eq!(json(&dir, "a/config.json")["num_hidden_layers"], 1);
}

#[test]
fn a_regression_is_made_and_distilled() {
    let dir = Dir::new();
    tiny::write_base(&dir.path("base"));
    let rows = |count, seed| -> String {
        let sentences = corpus::sentences(count, seed).into_iter();
        let scored = sentences
            .map(|(text, label)| format!("{text}\t{}\n", if label == "positive" { 4.5 } else { 1.5 }));
        format!("sentence\tscore\n{}", scored.collect::<String>())
    };
    dir.write("train.tsv", rows(600, 1));
    dir.write("dev.tsv", rows(200, 2));
    let files = "--data train.tsv --eval dev.tsv";
    dir.ok(&format!("finetune --base base {files} --task regression --out teacher --epochs 6 --lr 3e-3"));
    write_student(&dir);
    let done = dir.ok(&format!("train --teacher teacher {files} {STUDENT} --alpha 1 --out out"));
    assert!(done.stdout.contains("pearson"), "{}", done.stdout);
    let agreement =
        json(&dir, "out/report.json")["models"][1]["quality"]["agreement"]["value"].as_f64().unwrap();
    assert!(agreement > 0.9, "the correlation with the teacher is {agreement}");
    let value = |text: &str| -> f64 {
        let line = dir.ok(&format!("predict --model out {text}")).stdout;
        serde_json::from_str::<Value>(&line).unwrap()["value"].as_f64().unwrap()
    };
    assert!(value("lovely") > value("grim") + 0.5);
}

#[test]
fn pairs_with_a_student_of_another_tokenizer_are_distilled() {
    let dir = Dir::new();
    tiny::write(&dir.path("teacher"), tiny::config(&["no", "yes", "maybe"]), 1);
    let halves = corpus::sentences(120, 1);
    let rows: String = halves
        .chunks(2)
        .enumerate()
        .map(|(i, pair)| {
            format!(
                "{{\"premise\": \"{}\", \"hypothesis\": \"{}\", \"label\": {}}}\n",
                pair[0].0,
                pair[1].0,
                i % 3
            )
        })
        .collect();
    dir.write("pairs.jsonl", &rows);
    // The student's tokenizer knows fewer words: ids above are never made.
    std::fs::create_dir(dir.path("own")).unwrap();
    tiny::write_tokenizer(&dir.path("own"));
    let shorter = dir.text("own/tokenizer.json").replace("\"lovely\":", "\"unlovely\":");
    dir.write("own/tokenizer.json", shorter);
    write_student(&dir);
    dir.ok("train --teacher teacher --data pairs.jsonl --student student.json --epochs 1 --out out \
            --set student.tokenizer=own --batch-tokens 60");
    assert!(dir.text("out/tokenizer.json").contains("unlovely"));
    let done = dir.ok("compare --teacher teacher --student out --data pairs.jsonl --json");
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report["data"]["labelled"], 60);
}

#[test]
fn training_stops_early_and_keeps_the_best_student() {
    let dir = Dir::prepared();
    let done = dir
        .ok("train --teacher teacher --data train.tsv --eval dev.tsv --init teacher --lr 1e-12 --epochs 9 \
                       --eval-every 2 --patience 3 --out out --json");
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    // The first evaluation is the best, since nothing is learnt; three later ones are no better.
    assert_eq!((&report["training"]["steps"], &report["training"]["kept_step"]), (&8.into(), &2.into()));
}

#[test]
fn a_student_with_fewer_positions_than_its_teacher_reads_less_of_long_texts() {
    let dir = Dir::prepared();
    let config = student::bert::BertConfig { max_position_embeddings: 6, ..tiny::config(&["x", "y"]) };
    dir.write("student.json", config.to_json());
    dir.ok("train --teacher teacher --data train.tsv --eval dev.tsv --student student.json --max-steps 2 --out out");
}

#[test]
fn a_trained_student_teaches_the_next_one_and_is_exported_again() {
    let dir = Dir::prepared();
    write_student(&dir);
    dir.ok(&format!(
        "train --teacher teacher --data train.tsv --eval dev.tsv {STUDENT} --max-steps 4 --out first"
    ));
    dir.ok(&format!(
        "train --teacher first --data train.tsv --eval dev.tsv {STUDENT} --max-steps 4 --out second"
    ));
    dir.ok("export --student second --out ship");
    dir.ok("export --student second --out ship --overwrite --data dev.tsv");
    assert_eq!(
        names(&dir.path("ship")),
        ["README.md", "config.json", "model.safetensors", "onnx", "tokenizer.json"]
    );
    assert!(dir.read("ship/model.safetensors") == dir.read("second/model.safetensors"));
    let (ship, second) = (accuracy(&dir, "ship"), accuracy(&dir, "second/onnx/model.onnx"));
    assert_eq!(ship, second);
}

#[test]
fn labelling_in_shards_gives_the_labels_of_labelling_at_once() {
    let dir = Dir::prepared();
    dir.ok("label --teacher teacher --data train.tsv --out whole.safetensors");
    for shard in ["1/3", "2/3", "3/3"] {
        dir.ok(&format!("label --teacher teacher --data train.tsv --out parts.safetensors --shard {shard}"));
    }
    let done = dir.ok("label --teacher teacher --data train.tsv --out parts.safetensors");
    assert!(done.stderr.contains(" 0 texts to label"), "{}", done.stderr);
    let [(keys, whole), (other_keys, parts)] =
        ["whole", "parts"].map(|name| store(&dir, &format!("{name}.safetensors")));
    assert_eq!(keys, other_keys);
    // Other batches have other padding, and so other rounding.
    assert!(whole.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn a_teacher_is_asked_only_about_the_texts_whose_logits_are_used() {
    let dir = Dir::prepared();
    write_student(&dir);
    let train =
        "train --teacher teacher --data train.tsv --eval dev.tsv --student student.json --max-steps 2";
    dir.ok(&format!("{train} --alpha 0 --cache labels.safetensors --out labels-alone"));
    let known = |data: &str| {
        let said = dir.ok(&format!("label --teacher teacher --data {data} --out labels.safetensors")).stderr;
        said.contains(" 0 texts to label")
    };
    assert!(known("dev.tsv") && !known("train.tsv"));
    // The student is the one that would have been trained with all of them known.
    dir.ok(&format!("{train} --alpha 0 --cache labels.safetensors --out again"));
    assert!(dir.read("again/model.safetensors") == dir.read("labels-alone/model.safetensors"));
}

/// Returns the keys and the logits of a store.
fn store(dir: &Dir, name: &str) -> (Vec<u8>, Vec<f32>) {
    let bytes = dir.read(name);
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let logits = file
        .tensor("logits")
        .unwrap()
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    (file.tensor("keys").unwrap().data().to_vec(), logits.collect())
}
