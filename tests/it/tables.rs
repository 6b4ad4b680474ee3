//! Data is read once: what is made of it is used again, and never when it does not fit.

use crate::support::dir::{Dir, names};
use crate::support::tiny;
use std::process::Stdio;
use std::time::SystemTime;

const TRAIN: &str = "train --teacher teacher --data train.tsv --eval dev.tsv --student bert-tiny --max-steps 3 --seed 4 \
                     --cache labels.safetensors";

/// Dates the tables back, so that one that is made anew shows; returns their names.
fn date_back(dir: &Dir) -> Vec<String> {
    let folder = dir.path("labels.tokens");
    let tables = names(&folder);
    for name in &tables {
        let file = std::fs::File::options().write(true).open(folder.join(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    tables
}

/// Returns the tables that were made anew since [`date_back`].
fn made_anew(dir: &Dir) -> Vec<String> {
    let folder = dir.path("labels.tokens");
    let modified = |name: &String| std::fs::metadata(folder.join(name)).unwrap().modified().unwrap();
    names(&folder).into_iter().filter(|name| modified(name) != SystemTime::UNIX_EPOCH).collect()
}

fn assert_same_student(dir: &Dir, one: &str, other: &str) {
    for file in ["model.safetensors", "onnx/model.onnx"] {
        assert!(
            dir.read(&format!("{one}/{file}")) == dir.read(&format!("{other}/{file}")),
            "{file} of {other}"
        );
    }
}

/// Returns what a table holds, without its header: that says of a file whether it had been left alone for some seconds.
fn tensors(table: &[u8]) -> &[u8] {
    let (length, rest) = table.split_first_chunk::<8>().unwrap();
    &rest[u64::from_le_bytes(*length) as usize..]
}

#[test]
fn runs_that_share_labels_share_what_was_made_of_the_data() {
    let dir = Dir::prepared();
    dir.ok("label --teacher teacher --data train.tsv --out labels.safetensors");
    assert_eq!(date_back(&dir).len(), 1);
    dir.ok(&format!("{TRAIN} --out a"));
    let anew = made_anew(&dir);
    assert!(anew.len() == 1 && anew[0].starts_with("dev.tsv-"), "{anew:?}");
    date_back(&dir);
    dir.ok(&format!("{TRAIN} --out b --batch-size 16"));
    dir.ok(&format!("{TRAIN} --out c"));
    assert_eq!(made_anew(&dir), [""; 0]);
    assert_same_student(&dir, "a", "c");
    std::fs::remove_dir_all(dir.path("labels.tokens")).unwrap();
    dir.ok(&format!("{TRAIN} --out d"));
    assert_same_student(&dir, "a", "d");
}

#[test]
fn a_damaged_table_is_made_anew_and_changes_nothing() {
    let dir = Dir::prepared();
    dir.ok(&format!("{TRAIN} --out a"));
    let table = format!("labels.tokens/{}", date_back(&dir)[1]);
    let whole = dir.read(&table);
    dir.write(&table, &whole[..whole.len() - 1]);
    let done = dir.ok(&format!("{TRAIN} --out b"));
    assert!(
        done.stderr.contains("is no valid table") && done.stderr.contains("it is made anew"),
        "{}",
        done.stderr
    );
    assert!(tensors(&dir.read(&table)) == tensors(&whole));
    assert_same_student(&dir, "a", "b");
}

#[test]
fn the_comparison_after_training_says_what_a_comparison_of_the_files_says() {
    let dir = Dir::prepared();
    dir.ok(&format!("{TRAIN} --out out"));
    dir.ok("compare --teacher teacher --student out --data dev.tsv --out again --no-time");
    let [trained, compared] = ["out/report.json", "again/report.json"].map(|file| {
        let report: serde_json::Value = serde_json::from_str(&dir.text(file)).unwrap();
        report
    });
    assert_eq!(trained["data"], compared["data"]);
    for model in 0..2 {
        let [trained, compared] = [&trained, &compared].map(|report| &report["models"][model]);
        for figure in ["accuracy", "macro_f1", "agreement", "mean_kl", "nll", "ece"] {
            let [a, b] = [trained, compared].map(|model| model["quality"][figure]["value"].as_f64().unwrap());
            assert!((a - b).abs() < 1e-5, "{figure} of model {model}: {a} {b}");
        }
    }
}

#[test]
#[cfg(unix)]
fn data_may_come_out_of_a_pipe() {
    let dir = Dir::prepared();
    tiny::write_base(&dir.path("base"));
    let finetune = "finetune --base base --eval dev.tsv --max-steps 3 --format tsv --seed 2";
    dir.ok(&format!("{finetune} --data train.tsv --out from-file"));
    let mut run = dir.command(&format!("{finetune} --data /dev/stdin --out from-pipe"));
    let mut run = run.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut run.stdin.take().unwrap(), &dir.read("train.tsv")).unwrap();
    assert!(run.wait().unwrap().success());
    assert!(dir.read("from-file/model.safetensors") == dir.read("from-pipe/model.safetensors"));
    let kept = names(&dir.path("from-pipe/tokens"));
    assert!(kept.len() == 1 && kept[0].starts_with("dev.tsv-"), "{kept:?}");
}
