//! A comparison that one can decide from: any model in any place, the same figures each time, an exit code for scripts.

use crate::support::dir::{Dir, names};
use crate::support::{corpus, tiny};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}

/// Writes a model beside the teacher, with the same words.
fn write_student(dir: &Dir, name: &str, labels: &[&str], seed: u64) {
    tiny::write(&dir.path(name), tiny::config(labels), seed);
}

fn figure(report: &Value, model: usize, name: &str) -> f64 {
    report["models"][model]["quality"][name]["value"].as_f64().unwrap_or_else(|| panic!("{name} is a number"))
}

#[test]
fn a_report_is_written_as_data_text_and_page() {
    let dir = Dir::prepared();
    for seed in [2, 3, 4] {
        write_student(&dir, &format!("run{seed}"), &["negative", "positive"], seed);
    }
    let compare = "compare --teacher teacher --student run2 --seeds-of small=run3,run4 --control run2/onnx/model.onnx \
                   --data dev.tsv --time-seconds 1 --core-hour-price 0.05 --resamples 200";
    let done = dir.ok(&format!("{compare} --out report"));
    assert!(done.stdout.lines().all(|line| line.chars().count() <= 80), "{}", done.stdout);
    assert_eq!(names(&dir.path("report")), ["report.html", "report.json", "report.md"]);
    let report = json(&dir.text("report/report.json"));
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["models"].as_array().unwrap().len(), 5);
    assert_eq!(report["groups"][0]["models"], serde_json::json!([2, 3]));
    assert!(report["groups"][0]["spread"]["accuracy"]["deviation"].is_number());
    assert_eq!(report["students"][0]["over_controls"][0]["difference"]["value"], 0.0);
    assert_eq!(report["students"][1]["over_controls"][0]["control"], 4);
    for model in report["models"].as_array().unwrap() {
        for estimate in model["quality"].as_object().unwrap().values() {
            let [value, low, high] = ["value", "low", "high"].map(|end| estimate[end].as_f64());
            if let (Some(value), Some(low), Some(high)) = (value, low, high) {
                assert!(low <= high && value.is_finite(), "{estimate}");
            }
        }
        assert!(model["cost"]["latency"]["p50_ms"].as_f64().unwrap() > 0.0);
    }
    let [page, text] = ["report/report.html", "report/report.md"].map(|file| dir.text(file));
    for section in [
        "quality",
        "differences",
        "tradeoff",
        "cost",
        "controls",
        "seeds",
        "calibration",
        "confusion",
        "examples",
    ] {
        assert!(page.contains(&format!("<section id=\"{section}\">")), "{section}");
    }
    assert!(text.contains("## Cost") && text.contains("| Accuracy |"), "{text}");
    let again = dir.error(&format!("{compare} --out report"));
    assert!(again.contains("already exists and is not empty") && again.contains("--overwrite"), "{again}");
    dir.ok(&format!("{compare} --out report --overwrite"));
}

#[test]
fn classes_in_another_order_are_aligned_by_their_names() {
    let dir = Dir::prepared();
    write_student(&dir, "turned", &["positive", "negative"], 1);
    let compare = "compare --teacher teacher --student turned --data dev.tsv --no-time --json";
    let report = json(&dir.ok(compare).stdout);
    // It is the teacher, with the names of its outputs exchanged: it always says the opposite.
    assert_eq!(figure(&report, 1, "agreement"), 0.0);
    assert_eq!(figure(&report, 0, "accuracy") + figure(&report, 1, "accuracy"), 1.0);
    write_student(&dir, "other", &["negative", "neutral"], 1);
    let refused = dir.error("compare --teacher teacher --student other --data dev.tsv");
    assert!(refused.contains("it lacks `positive`, and the teacher lacks `neutral`"), "{refused}");
    write_student(&dir, "three", &["negative", "positive", "neutral"], 1);
    let refused = dir.error("compare --teacher teacher --student three --data dev.tsv");
    assert!(refused.contains(": the teacher lacks `neutral`"), "{refused}");
    std::fs::copy(dir.path("three/onnx/model.onnx"), dir.path("bare.onnx")).unwrap();
    std::fs::copy(dir.path("three/tokenizer.json"), dir.path("tokenizer.json")).unwrap();
    let refused = dir.error("compare --teacher teacher --student bare.onnx --data dev.tsv");
    assert!(refused.contains("it has 3 logits, not 2"), "{refused}");
}

#[test]
fn neither_threads_nor_a_second_run_change_a_figure() {
    let dir = Dir::prepared();
    write_student(&dir, "student", &["negative", "positive"], 2);
    let compare = |more: &str| {
        let text = dir.ok(&format!(
            "compare --teacher teacher --student student --data dev.tsv --no-time --json {more}"
        ));
        json(&text.stdout)
    };
    let one = compare("--threads 1");
    assert_eq!(one, compare("--threads 3"));
    let other = compare("--seed 7");
    assert_eq!(
        one["models"][0]["quality"]["accuracy"]["value"],
        other["models"][0]["quality"]["accuracy"]["value"]
    );
    assert_ne!(one["students"], other["students"]);
}

#[test]
fn a_condition_sets_the_exit_code_once_the_report_is_written() {
    let dir = Dir::prepared();
    write_student(&dir, "student", &["negative", "positive"], 2);
    let compare = "compare --teacher teacher --student student --data dev.tsv --no-time";
    let run = |condition: &str, more: &str| {
        let mut command = dir.command(&format!("{compare} {more}"));
        let output = command.arg("--fail-if").arg(condition).output().unwrap();
        dir.done(&output)
    };
    assert_eq!(run("accuracy_drop > 100 or agreement > 1", "").code, Some(0));
    let met = run("agreement < 2 and not accuracy_drop > 100", "--out report");
    assert_eq!(met.code, Some(1));
    assert!(met.stderr.contains("holds for `student`"), "{}", met.stderr);
    assert_eq!(json(&dir.text("report/report.json"))["condition"]["met_by"], serde_json::json!([1]));
    for (condition, message) in [
        ("acuracy_drop > 1", "did you mean `accuracy_drop`?"),
        ("p50_ms > 3", "`p50_ms` in the condition `p50_ms > 3` is not measured here"),
        ("accuracy_drop >", "expected a name or a number"),
    ] {
        let refused = run(condition, "");
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains(message), "{}", refused.stderr);
    }
}

#[test]
fn without_labels_models_are_compared_with_the_teacher_alone() {
    let dir = Dir::prepared();
    write_student(&dir, "student", &["negative", "positive"], 2);
    let texts: String = corpus::sentences(50, 3).into_iter().map(|(text, _)| text + "\n").collect();
    dir.write("texts.txt", format!("sentence\n{texts}"));
    let done = dir.ok("compare --teacher teacher --student student --data texts.txt --no-time --out report");
    let said = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("there are no labels to judge by"), "{said}");
    let report = json(&dir.text("report/report.json"));
    assert_eq!(report["students"][0]["verdict"]["kind"], "unlabelled");
    assert!(figure(&report, 1, "agreement") <= 1.0 && figure(&report, 1, "mean_kl") >= 0.0);
}

#[test]
fn regressions_are_compared_by_their_correlations() {
    let dir = Dir::new();
    tiny::write(&dir.path("teacher"), tiny::config(&["x"]), 1);
    tiny::write(&dir.path("student"), tiny::config(&["x"]), 2);
    let rows = corpus::sentences(80, 4).into_iter().enumerate();
    let rows: String = rows.map(|(i, (text, _))| format!("{text}\t{}\n", (i * 7) % 5)).collect();
    dir.write("dev.tsv", format!("sentence\tscore\n{rows}"));
    dir.ok("compare --teacher teacher --student student --data dev.tsv --no-time --out report");
    let report = json(&dir.text("report/report.json"));
    for name in ["pearson", "spearman", "agreement"] {
        assert!(figure(&report, 1, name).abs() <= 1.0);
    }
    assert!(report["students"][0]["broken"]["count"].as_u64().unwrap() > 0);
    assert!(report["models"][1].get("confusion").is_none());
    assert!(dir.text("report/report.html").contains("Further off than the teacher"));
}

#[test]
fn a_model_that_is_the_teacher_is_within_any_margin_that_the_examples_can_tell() {
    let dir = Dir::prepared();
    dir.write("many.tsv", corpus::tsv(600, 8));
    let compare = |margin: &str| {
        let done = dir.ok(&format!(
            "compare --teacher teacher --student teacher --data many.tsv --no-time --json --margin {margin}"
        ));
        json(&done.stdout)["students"][0]["verdict"].clone()
    };
    assert_eq!(compare("1")["kind"], "within");
    let told = compare("0.2");
    assert_eq!(told["kind"], "undecided");
    assert!(told["text"].as_str().unwrap().contains("600 examples cannot tell"), "{told}");
}
