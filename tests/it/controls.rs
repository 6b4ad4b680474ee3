//! The controls of a student: the same job without what distillation gives.

use crate::support::dir::{Dir, names};
use serde_json::Value;

const TRAIN: &str = "train --teacher teacher --data train.tsv --eval dev.tsv --student student.json --seed 7 --epochs 2 \
                     --batch-size 8 --eval-every 10";
const CONTROLS: [&str; 2] = ["controls/undistilled", "controls/shuffled"];

/// Returns the steps in the log of a run.
fn steps(dir: &Dir, folder: &str) -> Vec<Value> {
    let log = dir.text(&format!("{folder}/log.jsonl"));
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == "step").collect()
}

fn assert_same(dir: &Dir, one: &str, other: &str) {
    for control in CONTROLS {
        for file in ["model.safetensors", "onnx/model.onnx", "checkpoint/last.safetensors"] {
            let read = |out: &str| dir.read(&format!("{out}/{control}/{file}"));
            assert!(read(one) == read(other), "{file} of {control} of {other}");
        }
    }
}

#[test]
fn controls_are_students_of_the_same_start_batches_and_schedule() {
    let dir = Dir::with_student();
    let done = dir.ok(&format!("{TRAIN} --out out --controls"));
    let student = steps(&dir, "out");
    let [undistilled, shuffled] = CONTROLS.map(|control| steps(&dir, &format!("out/{control}")));
    for control in [&undistilled, &shuffled] {
        assert_eq!(control.len(), student.len());
        for (control, student) in control.iter().zip(&student) {
            for same in ["step", "epoch", "tokens", "examples", "learning_rate"] {
                assert_eq!(control[same], student[same], "{control}");
            }
        }
        assert_eq!(
            control[0]["loss_cross_entropy"], student[0]["loss_cross_entropy"],
            "the start is the same"
        );
        assert_ne!(control[9]["loss_cross_entropy"], student[9]["loss_cross_entropy"]);
    }
    // There is no teacher in what the one is trained for, and a wrong one in what the other is.
    assert!(
        undistilled
            .iter()
            .all(|step| step.get("loss_kl").is_none() && step["loss"] == step["loss_cross_entropy"])
    );
    assert_ne!(shuffled[0]["loss_kl"], student[0]["loss_kl"]);

    // They are students like any other.
    for control in CONTROLS.map(|control| format!("out/{control}")) {
        let files = names(&dir.path(&control));
        for file in
            ["config.json", "model.safetensors", "onnx", "recipe.toml", "tensorboard", "tokenizer.json"]
        {
            assert!(files.iter().any(|name| name == file), "{file} in {files:?}");
        }
        dir.ok(&format!("predict --model {control} lovely"));
    }
    let report: Value = serde_json::from_str(&dir.text("out/report.json")).unwrap();
    assert_eq!(report["models"].as_array().unwrap().len(), 4);
    let (added, figure) = (&report["training"]["added"], |model: usize| {
        report["models"][model]["quality"]["accuracy"]["value"].as_f64()
    });
    assert_eq!((added["student"].as_f64(), added["undistilled"].as_f64()), (figure(1), figure(2)));
    assert_eq!(added["by_distillation"].as_f64(), figure(1).zip(figure(2)).map(|(a, b)| a - b));
    assert_eq!(report["training"]["controls"].as_array().unwrap().len(), 2);
    let over = &report["students"][0]["over_controls"];
    assert_eq!((&over[0]["control"], &over[1]["control"]), (&2.into(), &3.into()));
    assert!(dir.text("out/report.html").contains("What distillation added"));
    assert!(done.stderr.contains("over the same student on labels alone"), "{}", done.stderr);

    // A control is a recipe and nothing else.
    for control in ["undistilled", "shuffled"] {
        dir.ok(&format!("train --recipe out/controls/{control}/recipe.toml --out again/controls/{control}"));
    }
    assert_same(&dir, "out", "again");
}

#[test]
fn controls_are_resumed_like_their_student() {
    let dir = Dir::with_student();
    dir.ok(&format!("{TRAIN} --out whole --controls"));
    dir.ok(&format!("{TRAIN} --out later"));
    dir.ok(&format!("{TRAIN} --out later --controls --resume"));
    assert_same(&dir, "whole", "later");

    let log = dir.path("killed/controls/shuffled/log.jsonl");
    dir.kill_when(&format!("{TRAIN} --out killed --controls"), || {
        std::fs::read_to_string(&log).unwrap_or_default().lines().count() >= 15
    });
    dir.ok(&format!("{TRAIN} --out killed --controls --resume"));
    assert_same(&dir, "whole", "killed");
}

#[test]
fn controls_need_labels() {
    let dir = Dir::with_student();
    dir.write("unlabelled.txt", "sentence\na fine film\na dull film\nthe story\n");
    let error = dir.error(
        "train --teacher teacher --data unlabelled.txt --eval dev.tsv --student student.json --out out --controls",
    );
    assert!(
        error.contains("no example has a label") && error.contains("\nhint: name the label column"),
        "{error}"
    );
    assert!(!dir.path("out/labels.safetensors").exists(), "it is found out before the teacher is asked");
}
