//! Where a run can be followed: TensorBoard's event file and MLflow's file store, through interruption and resumption.

use crate::support::dir::{Dir, names};
use distill::log::read_curves;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const TRAIN: &str = "train --teacher teacher --data train.tsv --eval dev.tsv --student bert-tiny --seed 7 --epochs 2 \
                     --batch-size 8 --eval-every 5 --track mlflow:mlruns";

/// Returns the steps of each curve of a log.
fn logged(folder: &Path) -> BTreeMap<String, Vec<u64>> {
    let curves = read_curves(folder).unwrap();
    curves
        .into_iter()
        .map(|curve| (curve.tag, curve.points.iter().map(|point| point.step).collect()))
        .collect()
}

/// Returns the folders of the runs in a store, by their order in time.
fn runs(store: &Path) -> Vec<PathBuf> {
    let experiment = names(store).into_iter().find(|name| name != "0").map(|name| store.join(name)).unwrap();
    names(&experiment)
        .into_iter()
        .filter(|name| name != "meta.yaml")
        .map(|name| experiment.join(name))
        .collect()
}

/// Returns the steps of each metric of a run in MLflow's store.
fn metrics(run: &Path) -> BTreeMap<String, Vec<u64>> {
    let mut metrics = BTreeMap::new();
    for kind in ["train", "eval"] {
        let folder = run.join("metrics").join(kind);
        for name in names(&folder) {
            let lines = std::fs::read_to_string(folder.join(&name)).unwrap();
            let step = |line: &str| line.split(' ').nth(2).unwrap().parse().unwrap();
            metrics.insert(format!("{kind}/{name}"), lines.lines().map(step).collect());
        }
    }
    metrics
}

/// Returns the steps of the numbers in the files of a folder.
fn events(folder: &Path) -> Vec<u64> {
    names(folder).iter().flat_map(|file| events_of(&std::fs::read(folder.join(file)).unwrap())).collect()
}

/// An event is its time, 9 bytes, its step, a varint behind the tag 16, and its numbers behind the tag 42.
fn events_of(bytes: &[u8]) -> Vec<u64> {
    let (mut at, mut steps) = (0, Vec::new());
    while at < bytes.len() {
        let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        let event = &bytes[at + 12..at + 12 + length];
        let varint = event[10..].iter().take_while(|byte| **byte & 128 > 0).count() + 1;
        if event[9] == 16 && event[10 + varint] == 42 {
            let digits = event[10..10 + varint].iter().enumerate();
            steps.push(digits.map(|(i, byte)| u64::from(byte & 127) << (7 * i)).sum());
        }
        at += length + 16;
    }
    assert_eq!(at, bytes.len(), "the last record is whole");
    steps
}

#[test]
fn a_run_that_is_killed_and_resumed_has_every_point_once_everywhere() {
    let dir = Dir::prepared();
    dir.ok(&format!("{TRAIN} --out whole"));
    let expected = logged(&dir.path("whole"));
    for tag in [
        "train/loss",
        "train/kl",
        "train/cross_entropy",
        "train/learning_rate",
        "train/grad_norm",
        "train/tokens_per_second",
    ] {
        assert_eq!(expected[tag], (1..=50).collect::<Vec<_>>(), "{tag}");
    }
    assert_eq!(expected["eval/accuracy"], (1..=10).map(|evaluation| 5 * evaluation).collect::<Vec<_>>());

    let log = dir.path("killed/log.jsonl");
    dir.kill_when(&format!("{TRAIN} --out killed"), || {
        std::fs::read_to_string(&log).unwrap_or_default().lines().count() >= 17
    });
    dir.ok(&format!("{TRAIN} --out killed --resume"));
    assert_eq!(logged(&dir.path("killed")), expected);
    assert_eq!(events(&dir.path("killed/tensorboard")), events(&dir.path("whole/tensorboard")));
    let runs = runs(&dir.path("mlruns"));
    assert_eq!(runs.len(), 2, "the resumed run goes on with its own");
    for run in runs {
        assert_eq!(metrics(&run), expected);
        let text = |file: &str| std::fs::read_to_string(run.join(file)).unwrap();
        assert!(text("meta.yaml").contains("\nstatus: 3\n"));
        assert_eq!(text("params/train.seed"), "7");
        assert!(["whole", "killed"].contains(&text("tags/mlflow.runName").as_str()));
        assert_eq!(text("tags/distill.sha256.teacher").len(), 64);
    }
}

#[test]
fn following_a_run_changes_no_result_and_a_run_that_diverges_has_failed() {
    let dir = Dir::prepared();
    let train = TRAIN.replace(" --track mlflow:mlruns", "");
    dir.ok(&format!("{train} --out alone --max-steps 4"));
    dir.ok(&format!("{TRAIN} --out followed --max-steps 4"));
    assert!(dir.read("alone/model.safetensors") == dir.read("followed/model.safetensors"));
    dir.error(&format!("{TRAIN} --out diverged --lr 900 --track mlflow:failed --set train.warmup=0"));
    let meta = std::fs::read_to_string(runs(&dir.path("failed"))[0].join("meta.yaml")).unwrap();
    assert!(meta.contains("\nstatus: 4\n"), "{meta}");
}

#[test]
fn a_place_that_is_none_is_bad_usage() {
    let done = Dir::new().run("train --out a --track wandb:x");
    assert_eq!(done.code, Some(2));
    assert!(done.stderr.contains("write `mlflow:DIR`"), "{}", done.stderr);
}
