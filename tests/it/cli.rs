//! What the command line says of itself, and what it prints.

use crate::support::dir::Dir;
use serde_json::Value;

#[test]
fn help_tells_what_there_is_to_do() {
    insta::assert_snapshot!(Dir::new().ok("--help").stdout);
}

#[test]
fn every_command_explains_itself() {
    let dir = Dir::new();
    for command in [
        "train", "label", "augment", "export", "slim", "eval", "compare", "finetune", "predict", "inspect",
        "doctor", "bench", "demo",
    ] {
        insta::assert_snapshot!(format!("help_{command}"), dir.ok(&format!("{command} --help")).stdout);
    }
}

#[test]
fn bad_usage_exits_with_2_and_names_the_flag() {
    let dir = Dir::new();
    for (arguments, expected) in [
        ("train", "--out"),
        ("train --out a --teechr b", "--teacher"),
        ("train --out a --epochs many", "--epochs"),
        ("train --out a --batch-size 3 --batch-tokens 4", "--batch-tokens"),
        ("train --out a --overwrite --resume", "--resume"),
        ("compare --teacher a --data b", "--student"),
        ("distil", "unrecognized subcommand"),
    ] {
        let done = dir.run(arguments);
        assert_eq!(done.code, Some(2), "{arguments}");
        assert!(done.stderr.contains(expected), "{arguments}: {}", done.stderr);
    }
}

#[test]
fn predictions_are_json_lines_from_arguments_or_standard_input() {
    let dir = Dir::prepared();
    let from_argument = dir.ok("predict --model teacher lovely --quiet").stdout;
    let line: Value = serde_json::from_str(from_argument.trim()).unwrap();
    let sum: f64 = line["probs"].as_object().unwrap().values().map(|prob| prob.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9 && line["text"] == "lovely", "{line}");

    let input = (0..300).map(|i| if i == 7 { "lovely\n" } else { "grim\tfilm\n" }).collect::<String>();
    dir.write("lines.txt", input);
    let file = std::fs::File::open(dir.path("lines.txt")).unwrap();
    let output = dir.command("predict --model teacher").stdin(file).output().unwrap();
    let lines: Vec<Value> =
        dir.done(&output).stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 300);
    assert_eq!(lines[7], line);
    assert_eq!(lines[8]["text_pair"], "film");
}

#[test]
fn a_bare_graph_finds_its_tokenizer_beside_it_and_above() {
    let dir = Dir::prepared();
    std::fs::copy(dir.path("teacher/tokenizer.json"), dir.path("tokenizer.json")).unwrap();
    std::fs::copy(dir.path("teacher/config.json"), dir.path("config.json")).unwrap();
    std::fs::copy(dir.path("teacher/onnx/model.onnx"), dir.path("bare.onnx")).unwrap();
    let said = ["teacher", "teacher/onnx/model.onnx", "bare.onnx", "./bare.onnx"]
        .map(|model| dir.ok(&format!("predict --model {model} lovely")).stdout);
    assert!(said.iter().all(|line| *line == said[0]), "{said:?}");
}

#[test]
fn quiet_runs_say_nothing_and_json_runs_print_json() {
    let dir = Dir::prepared();
    let arguments =
        "train --teacher teacher --data train.tsv --eval dev.tsv --student bert-tiny --max-steps 2 --out out";
    let done = dir.ok(&format!("{arguments} --quiet --json"));
    assert_eq!(done.stderr, "");
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report["models"].as_array().unwrap().len(), 2);
    assert_eq!(report["training"]["steps"], 2);
    let saved: Value = serde_json::from_str(&dir.text("out/report.json")).unwrap();
    assert_eq!(saved, report);
}

#[test]
fn a_run_can_be_repeated_from_its_own_recipe() {
    let dir = Dir::prepared();
    dir.ok("train --teacher teacher --data train.tsv --eval dev.tsv --student bert-tiny --max-steps 3 --lr 0.002 --out a");
    dir.ok("train --recipe a/recipe.toml --out b");
    assert!(dir.read("a/model.safetensors") == dir.read("b/model.safetensors"));
    assert_eq!(dir.text("a/recipe.toml"), dir.text("b/recipe.toml"));
}

#[test]
fn inspect_and_doctor_show_what_is_there() {
    let dir = Dir::prepared();
    let shown = dir.ok("inspect teacher").stdout;
    for fact in [
        "`input_ids` (int64 [batch_size, sequence_length])",
        "2 x 32",
        "`negative`, `positive`",
        "ai.onnx 17",
    ] {
        assert!(shown.contains(fact), "{fact} is not in\n{shown}");
    }
    let json: Value = serde_json::from_str(&dir.ok("inspect teacher/onnx/model.onnx --json").stdout).unwrap();
    assert_eq!(json["layers"], 2);
    assert!(dir.ok("doctor").stdout.contains("ONNX Runtime, in the order of the search"));
    let json: Value = serde_json::from_str(&dir.ok("doctor --json").stdout).unwrap();
    assert!(json["threads"].as_u64().unwrap() >= 1);
}
