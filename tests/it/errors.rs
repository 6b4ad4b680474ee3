//! Bad input gets a located error that says how to fix it, and nothing is lost.

use crate::support::dir::{Dir, names};
use crate::support::{corpus, tiny};
use std::fmt::Write;

const TRAIN: &str =
    "train --teacher teacher --data train.tsv --eval dev.tsv --student bert-tiny --max-steps 2 --out out";

/// Runs a command that fails for each case, and collects what it says.
fn collect(dir: &Dir, cases: &[(&str, String)]) -> String {
    let mut all = String::new();
    for (what, arguments) in cases {
        let said = dir.error(arguments);
        assert!(said.contains("\nhint: "), "{what} has no hint:\n{said}");
        let talk = said.find("error: ").unwrap_or(0);
        writeln!(all, "--- {what}\n{}\n", said[talk..].trim_end()).expect("writing to a string cannot fail");
    }
    all
}

#[test]
fn bad_data_is_located() {
    let dir = Dir::prepared();
    let train = |file: &str| TRAIN.replace("train.tsv", file);
    let row = |text: &str| format!("sentence\tlabel\na fine film\tpositive\n{text}");
    dir.write("empty.tsv", "");
    dir.write("header.tsv", "sentence\tlabel\n");
    dir.write("columns.tsv", "words\tanswer\nhello\tpositive\n");
    dir.write("short.tsv", row("no label here\n"));
    dir.write("label.tsv", row("a dull film\tpositve\n"));
    dir.write("bytes.tsv", [row("a ").as_bytes(), b"\xff film\tpositive\n"].concat());
    dir.write("nul.tsv", row("a \0 film\tpositive\n"));
    dir.write("long.tsv", row(&format!("{}\tpositive\n", "a".repeat(10_000_001))));
    dir.write("broken.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"text\": \n");
    dir.write("quote.csv", "sentence,label\n\"never closed,positive\n");
    let swapped =
        corpus::tsv(200, 3).replace("positive", "P").replace("negative", "positive").replace('P', "negative");
    dir.write("swapped.tsv", swapped);
    let cases: Vec<(&str, String)> = vec![
        ("missing file", train("nowhere.tsv")),
        ("empty file", train("empty.tsv")),
        ("only a header", train("header.tsv")),
        ("unknown columns", train("columns.tsv")),
        ("missing column", train("train.tsv") + " --text sentense"),
        ("too few fields", train("short.tsv")),
        ("unknown label", train("label.tsv")),
        ("bytes that are no text", train("bytes.tsv")),
        ("a NUL byte", train("nul.tsv")),
        ("a line of 10 MB", train("long.tsv")),
        ("broken JSON", train("broken.jsonl")),
        ("an open quote", train("quote.csv")),
        ("an unknown format", train("train.tsv") + " --format parquet"),
        ("an unknown task", train("train.tsv") + " --task sst-2"),
    ];
    insta::assert_snapshot!(collect(&dir, &cases));
    assert!(!dir.path("out/model.safetensors").exists());
}

#[test]
fn bad_models_are_explained() {
    let dir = Dir::prepared();
    let graph = dir.read("teacher/onnx/model.onnx");
    let folder = |name: &str| {
        tiny::write(&dir.path(name), tiny::config(&["negative", "positive"]), 1);
    };
    for name in ["truncated", "words", "three", "damaged", "untokenized"] {
        folder(name);
    }
    dir.write("truncated/onnx/model.onnx", &graph[..graph.len() / 2]);
    dir.write(
        "words/config.json",
        dir.text("words/config.json").replace("\"vocab_size\": ", "\"vocab_size\": 1"),
    );
    let fewer = dir
        .text("teacher/config.json")
        .replace(&format!("\"vocab_size\": {}", tiny::vocabulary().len()), "\"vocab_size\": 9");
    dir.write("words/config.json", fewer);
    tiny::write(&dir.path("three"), tiny::config(&["negative", "neutral", "positive"]), 1);
    dir.write("damaged/model.safetensors", b"not safetensors");
    std::fs::remove_file(dir.path("untokenized/tokenizer.json")).unwrap();
    dir.write("notes.onnx", "this is no graph");
    std::fs::create_dir(dir.path("nothing")).unwrap();
    let train = |teacher: &str| TRAIN.replace("--teacher teacher", &format!("--teacher {teacher}"));
    let cases: Vec<(&str, String)> = vec![
        ("no such model", train("nowhere")),
        ("an empty folder", train("nothing")),
        ("a truncated graph", train("truncated")),
        ("no graph at all", train("notes.onnx")),
        ("a tokenizer with more words than the model", train("words")),
        ("no tokenizer", train("untokenized")),
        ("fewer labels than classes", train("three") + " --labels a,b"),
        ("an unknown student", TRAIN.replace("bert-tiny", "bert-teeny")),
        ("damaged weights", TRAIN.replace("--student bert-tiny", "") + " --init damaged"),
        ("weights of a narrower model", TRAIN.to_owned() + " --init teacher"),
        (
            "layers that are not there",
            TRAIN.replace("--student bert-tiny", "") + " --init teacher --init-layers 0,7",
        ),
        ("other classes", "compare --teacher teacher --student three --data dev.tsv".to_owned()),
        ("no student to export", "export --student nothing --out ship".to_owned()),
    ];
    insta::assert_snapshot!(collect(&dir, &cases));
}

#[test]
fn bad_settings_are_explained() {
    let dir = Dir::prepared();
    dir.write("unlabelled.txt", "sentence\na film\na story\nthe end\nthe scene\n");
    dir.write("recipe.toml", "[train]\nepoch = 3\n");
    let unlabelled = TRAIN.replace("train.tsv", "unlabelled.txt");
    let cases: Vec<(&str, String)> = vec![
        ("no teacher", "train --data train.tsv --out out".to_owned()),
        ("no data", "train --teacher teacher --out out".to_owned()),
        ("labels that are not there", unlabelled.clone() + " --alpha 0.5"),
        ("an objective of nothing", TRAIN.to_owned() + " --set objective.kl=0"),
        ("the objective of another task", TRAIN.to_owned() + " --set objective.label_mse=1"),
        ("an unknown setting", TRAIN.to_owned() + " --set train.epoch=3"),
        ("a setting without a value", TRAIN.to_owned() + " --set train.epochs"),
        ("a setting out of range", TRAIN.to_owned() + " --lr -1"),
        ("a recipe with an unknown setting", TRAIN.to_owned() + " --recipe recipe.toml"),
        ("nothing to resume", TRAIN.to_owned() + " --resume"),
        (
            "a shard that is none",
            "label --teacher teacher --data train.tsv --out labels.safetensors --shard 9/8".to_owned(),
        ),
        (
            "too little to hold out",
            "train --teacher teacher --data unlabelled.txt --out out --set data.holdout=0.0".to_owned(),
        ),
    ];
    insta::assert_snapshot!(collect(&dir, &cases));
}

#[test]
fn labels_of_another_teacher_are_refused_and_kept() {
    let dir = Dir::prepared();
    tiny::write(&dir.path("other"), tiny::config(&["negative", "positive"]), 2);
    dir.ok("label --teacher other --data train.tsv --out labels.safetensors");
    let before = dir.read("labels.safetensors");
    let error = dir.error(&format!("{TRAIN} --cache labels.safetensors"));
    assert!(error.contains("teacher") && error.contains("hint: "), "{error}");
    assert!(dir.read("labels.safetensors") == before);
}

#[test]
fn a_teacher_whose_classes_are_swapped_is_refused() {
    let dir = Dir::new();
    tiny::write_base(&dir.path("base"));
    dir.write("train.tsv", corpus::tsv(600, 1));
    dir.write("dev.tsv", corpus::tsv(100, 2));
    dir.ok(
        "finetune --base base --data train.tsv --eval dev.tsv --out teacher --epochs 4 --lr 2e-3 --seed 3",
    );
    let config = dir.text("teacher/config.json");
    dir.write(
        "teacher/config.json",
        config.replace("negative", "P").replace("positive", "negative").replace('P', "positive"),
    );
    let error = dir.error(TRAIN);
    assert!(error.contains("order") && error.contains("--labels"), "{error}");
    dir.ok(&format!("{TRAIN} --labels negative,positive"));
}

#[test]
fn nothing_of_the_users_is_overwritten_unasked() {
    let dir = Dir::prepared();
    std::fs::create_dir(dir.path("out")).unwrap();
    dir.write("out/thesis.txt", "years of work");
    for command in [TRAIN, "export --student teacher --out out"] {
        let error = dir.error(command);
        assert!(error.contains("already exists") && error.contains("--overwrite"), "{error}");
    }
    dir.ok(&format!("{TRAIN} --overwrite"));
    assert_eq!(dir.text("out/thesis.txt"), "years of work");
    assert!(!names(&dir.path("out")).iter().any(|name| name == ".lock" || name.ends_with(".tmp")));
}

#[test]
#[cfg(unix)]
fn a_folder_that_cannot_be_written_to_is_an_error() {
    let dir = Dir::prepared();
    dir.write("file", "");
    let error = dir.error(&TRAIN.replace("--out out", "--out file/out"));
    assert!(error.contains("file/out"), "{error}");
    // A device that is always full.
    let error =
        dir.error("compare --teacher teacher --student teacher --data dev.tsv --out /dev/full/report.json");
    assert!(error.contains("/dev/full/report.json"), "{error}");
}

#[test]
fn a_loss_that_explodes_stops_the_run_and_leaves_the_checkpoint_whole() {
    let dir = Dir::prepared();
    let explode = TRAIN.replace("--max-steps 2", "--max-steps 200 --eval-every 2")
        + " --lr 900 --set train.max_grad_norm=0";
    let error = dir.error(&explode);
    assert!(error.contains("diverged at step") && error.contains("examples"), "{error}");
    assert!(error.contains("lower `--lr`"), "{error}");
    let bytes = dir.read("out/checkpoint/last.safetensors");
    assert!(safetensors::SafeTensors::deserialize(&bytes).is_ok());
    assert!(!dir.path("out/model.safetensors").exists());
}

#[test]
fn two_runs_into_one_folder_do_not_mix() {
    let dir = Dir::prepared();
    let mut first = dir.command(&TRAIN.replace("--max-steps 2", "--max-steps 100000"));
    let mut first = first.stderr(std::process::Stdio::null()).spawn().unwrap();
    let start = std::time::Instant::now();
    while !dir.path("out/recipe.toml").exists() && start.elapsed().as_secs() < 120 {
        std::thread::yield_now();
    }
    let second = dir.run(&format!("{TRAIN} --overwrite"));
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("another process is writing"), "{}", second.stderr);
}

#[cfg(unix)]
#[test]
fn a_file_whose_name_is_no_text_is_refused_where_it_would_be_written_down() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let dir = Dir::prepared();
    for name in ["train.tsv", "teacher"] {
        let strange = dir.path(".").join(OsStr::from_bytes(&[name.as_bytes(), b"\xff"].concat()));
        std::fs::rename(dir.path(name), &strange).unwrap();
        let (before, after) = TRAIN.split_once(&format!(" {name} ")).unwrap();
        let output = dir.command(before).arg(&strange).args(after.split_whitespace()).output().unwrap();
        let said = dir.done(&output).stderr;
        assert!(said.contains("error: the settings cannot be written down as a recipe"), "{said}");
        assert!(said.contains("\nhint: it takes whole numbers"), "{said}");
        std::fs::rename(&strange, dir.path(name)).unwrap();
    }
    assert!(!dir.path("out").exists());
}
