//! Threads, interruption and resumption never change a bit of the result.

use crate::support::dir::{Dir, quietly, wait_until};
use std::process::Command;

const TRAIN: &str = "train --teacher teacher --data train.tsv --eval dev.tsv --student student.json --seed 7 --epochs 2 \
                     --batch-size 8 --eval-every 5 --set train.accumulate=2";

/// The files in which a bit would show.
const RESULTS: [&str; 4] =
    ["model.safetensors", "onnx/model.onnx", "checkpoint/last.safetensors", "labels.safetensors"];

fn assert_equal(dir: &Dir, one: &str, other: &str) {
    for file in RESULTS {
        assert!(
            dir.read(&format!("{one}/{file}")) == dir.read(&format!("{other}/{file}")),
            "{file} of {other}"
        );
    }
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let dir = Dir::with_student();
    for threads in [1, 2, 4] {
        dir.ok(&format!("{TRAIN} --threads {threads} --out out-{threads}"));
    }
    assert_equal(&dir, "out-1", "out-2");
    assert_equal(&dir, "out-1", "out-4");
}

#[test]
fn a_run_that_is_killed_anywhere_resumes_to_the_same_bytes() {
    let dir = Dir::with_student();
    dir.ok(&format!("{TRAIN} --out whole"));
    // Before the first checkpoint, between two, and near the end.
    for steps in [1, 13, 23] {
        let out = format!("killed-{steps}");
        dir.kill_when(&format!("{TRAIN} --out {out}"), || logged_steps(&dir, &out) >= steps);
        let resume = if dir.path(&out).join("recipe.toml").exists() { "--resume" } else { "" };
        dir.ok(&format!("{TRAIN} --out {out} {resume}"));
        assert_equal(&dir, "whole", &out);
        assert_eq!(logged_steps(&dir, &out), logged_steps(&dir, "whole"), "the log has every step once");
    }
}

fn logged_steps(dir: &Dir, out: &str) -> usize {
    let log = std::fs::read_to_string(dir.path(out).join("log.jsonl")).unwrap_or_default();
    log.lines().filter(|line| line.contains("\"step\",")).count()
}

#[test]
#[cfg(unix)]
fn ctrl_c_stops_at_a_checkpoint_and_resume_goes_on() {
    let dir = Dir::with_student();
    dir.ok(&format!("{TRAIN} --out whole"));
    let mut child = quietly(&mut dir.command(&format!("{TRAIN} --out stopped")));
    wait_until(|| logged_steps(&dir, "stopped") >= 2);
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.expect("kill starts").success());
    assert!(child.wait().expect("the run ends").success());
    dir.ok(&format!("{TRAIN} --out stopped --resume"));
    assert_equal(&dir, "whole", "stopped");
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_a_run_at_once_when_its_student_has_learnt() {
    let dir = Dir::with_student();
    let mut child = quietly(&mut dir.command(&format!("{TRAIN} --out out")));
    wait_until(|| dir.path("out/onnx/model.onnx").exists());
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.expect("kill starts").success());
    assert_eq!(child.wait().expect("the run ends").code(), Some(130));
    assert!(!dir.path("out/report.json").exists());
    dir.ok(&format!("{TRAIN} --out out --resume"));
    assert!(dir.path("out/report.json").exists());
}

#[test]
fn a_run_is_not_resumed_with_other_settings_or_data() {
    let dir = Dir::with_student();
    dir.ok(&format!("{TRAIN} --out out"));
    let error = dir.error(&format!("{TRAIN} --out out --resume --lr 0.01"));
    assert!(error.contains("another recipe or other data"), "{error}");
    dir.write("train.tsv", dir.text("train.tsv") + "a fine film\tpositive\n");
    let error = dir.error(&format!("{TRAIN} --out out --resume"));
    assert!(error.contains("another recipe or other data"), "{error}");
}
