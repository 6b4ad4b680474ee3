//! What `distill bench` measures and how it says so; how fast a machine is is not tested.

use crate::support::dir::Dir;
use serde_json::Value;

const PRODUCTS: [&str; 3] = ["x Wᵀ", "dy W", "dyᵀ x"];

/// Returns the rows of a measurement, all of which have a time.
fn rows(dir: &Dir, arguments: &str) -> Vec<Value> {
    let done = dir.ok(&format!("bench {arguments} --json --quiet"));
    assert_eq!(done.stderr, "");
    let json: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(json["threads"], 1, "{json}");
    let rows = json["rows"].as_array().unwrap().clone();
    for row in &rows {
        let optional = row["name"].as_str().unwrap().ends_with("rest");
        for time in ["cpu_ms", "wall_ms"] {
            let time = row[time].as_f64().unwrap();
            assert!(time > 0.0 || optional && time == 0.0, "{row}");
        }
        for field in ["tokens_per_second", "share_of_peak"] {
            let value = row.get(field).unwrap();
            assert!(value.is_null() || value.as_f64().unwrap() > 0.0, "{row}");
        }
    }
    rows
}

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["name"].as_str().unwrap()).collect()
}

#[test]
fn a_step_is_measured_whole_and_in_parts() {
    let rows = rows(&Dir::new(), "step --student bert-tiny --length 8 --batch-size 2");
    let expected = [
        "whole",
        "forward",
        "backward",
        "update",
        "part: linear",
        "part: attention",
        "part: normalisation",
        "part: embeddings",
        "part: late updates",
        "part: update",
        "part: rest",
    ];
    assert_eq!(names(&rows), expected);
    let whole = &rows[0];
    assert!(whole["tokens_per_second"].is_number() && whole["share_of_peak"].is_number(), "{whole}");
    assert_eq!(whole["share_of_whole"], 1.0);
}

#[test]
fn ragged_texts_have_their_mean_and_no_mean_exceeds_the_longest() {
    let dir = Dir::new();
    let whole = |lengths: &str| {
        let rows = rows(&dir, &format!("step --student bert-tiny --batch-size 64 {lengths}"));
        rows[0]["tokens_per_second"].as_f64().unwrap() / rows[0]["texts_per_second"].as_f64().unwrap()
    };
    assert!((whole("--length 12") - 12.0).abs() < 1e-6);
    assert!((whole("--length 40 --mean-length 12") - 12.0).abs() < 3.0);
    let refused = dir.error("bench step --length 4 --mean-length 5");
    assert!(refused.contains("`--mean-length` is `5`, but must be between 1 and 4"), "{refused}");
}

#[test]
fn kernels_are_measured_in_both_precisions_unless_one_is_asked_for() {
    let dir = Dir::new();
    let setting = "kernels --student bert-tiny --length 4 --batch-size 2";
    for (flag, precisions) in [("", &["f32", "bf16"][..]), (" --precision f32", &["f32"])] {
        let rows = rows(&dir, &format!("{setting}{flag}"));
        let products: Vec<String> = ["8x128x128", "8x128x512", "8x512x128"]
            .iter()
            .flat_map(|shape| {
                precisions.iter().flat_map(move |_| PRODUCTS.map(|name| format!("{name} {shape}")))
            })
            .collect();
        assert!(names(&rows)[0].starts_with("peak") && names(&rows)[1].starts_with("peak"));
        assert_eq!(names(&rows)[2], "memory, triad");
        assert_eq!(names(&rows)[3..], products);
    }
}

#[test]
fn labelling_and_inference_are_measured_with_a_model() {
    let dir = Dir::prepared();
    let expected = ["whole", "part: tokens", "part: sessions", "part: rest"];
    for data in ["", " --data train.tsv"] {
        let rows = rows(&dir, &format!("label --model teacher{data}"));
        assert_eq!(names(&rows), expected);
        assert!(rows[0]["texts_per_second"].as_f64().unwrap() > 0.0);
    }
    // The tiny model takes 40 tokens at most.
    assert_eq!(names(&rows(&dir, "infer --model teacher")), ["1x16, p50", "1x40, p50", "16x32, p50"]);
}

#[test]
fn settings_that_make_no_sense_are_explained() {
    let dir = Dir::new();
    for (arguments, expected) in [
        ("label", "`--model` is missing"),
        ("infer", "`--model` is missing"),
        ("step --student bert-tny", "did you mean `bert-tiny`?"),
        ("step --length 0", "`--length` is `0`, but must be between 1 and 512"),
        ("kernels --batch-size 5000", "`--batch-size` is `5000`"),
        ("label --model nowhere", "nowhere"),
    ] {
        let error = dir.error(&format!("bench {arguments}"));
        assert!(error.contains(expected) && error.contains("\nhint: "), "{arguments}: {error}");
    }
    assert_eq!(dir.run("bench everything").code, Some(2));
}

#[test]
fn people_get_a_table() {
    let table = Dir::new().ok("bench step --student bert-tiny --length 8 --batch-size 2 --quiet").stdout;
    assert!(table.contains("CPU ms") && table.contains("step · part: attention"), "{table}");
}
