//! Learning from the inside of a teacher: layer by layer, in stages, through the whole pipeline.

use crate::support::dir::Dir;
use crate::support::{corpus, tiny};
use serde_json::Value;
use student::bert::BertConfig;
use student::checkpoint::read_weights;

const TERMS: [&str; 6] =
    ["embedding_mse", "hidden_mse", "hidden_cosine", "score_mse", "attention_kl", "relation_kl"];
const DATA: &str = "--teacher teacher --data train.tsv --eval dev.tsv --seed 7 --batch-size 8";

/// A folder with a teacher that can be looked into, texts, and the shapes of two students.
fn prepared() -> Dir {
    let dir = Dir::new();
    let config = || tiny::config(&["negative", "positive"]);
    tiny::write_whole(&dir.path("teacher"), config(), 1);
    dir.write("train.tsv", corpus::tsv(200, 1));
    dir.write("dev.tsv", corpus::tsv(60, 2));
    let narrow = BertConfig { num_hidden_layers: 1, hidden_size: 16, intermediate_size: 24, ..config() };
    dir.write("narrow.json", narrow.to_json());
    dir
}

fn weights(terms: &[&str]) -> String {
    terms.iter().map(|term| format!("--set objective.{term}=1 ")).collect()
}

/// Returns what was logged of every step.
fn steps(dir: &Dir, out: &str) -> Vec<Value> {
    let log = dir.text(&format!("{out}/log.jsonl"));
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == "step").collect()
}

#[test]
fn a_student_with_its_teachers_own_weights_differs_in_nothing() {
    let dir = prepared();
    let terms = weights(&TERMS);
    dir.ok(&format!(
        "train {DATA} --init teacher --set student.dropout=0 {terms} --set objective.relation_heads=8 \
         --max-steps 1 --lr 1e-9 --precision f32 --out out"
    ));
    let steps = steps(&dir, "out");
    for term in TERMS {
        // The teacher's hidden states are of size 1: what is left is rounding.
        let value =
            steps[0][format!("loss_{term}")].as_f64().unwrap_or_else(|| panic!("{term}: {}", steps[0]));
        assert!(value.abs() < 1e-6, "{term} is {value:e}");
    }
}

#[test]
fn a_narrower_student_comes_nearer_and_leaves_its_projection_behind() {
    let dir = prepared();
    let terms = weights(&TERMS);
    let said = dir.ok(&format!(
        "train {DATA} --student narrow.json {terms} --set objective.relation_heads=4 --set student.dropout=0 \
         --max-steps 60 --lr 3e-3 --out out"
    ));
    assert!(said.stderr.contains("layers that learn from each other"), "{}", said.stderr);
    let steps = steps(&dir, "out");
    let total = |step: &Value| step["loss"].as_f64().unwrap();
    assert!(total(&steps[59]) < 0.8 * total(&steps[0]), "{} {}", steps[0], steps[59]);
    let weights = read_weights(&dir.path("out/model.safetensors")).unwrap();
    assert!(weights.names().all(|name| !name.contains("projection")));
    assert_eq!(weights.get("bert.encoder.layer.0.output.dense.weight").unwrap().shape, [16, 24]);
}

const RECIPE: &str = r#"
[train]
max_steps = 12
eval_every = 6

[[stage]]
name = "intermediate"
objective = { hidden_mse = 1, score_mse = 1, embedding_mse = 1 }

[[stage]]
name = "prediction"
objective = { kl = 1, temperature = 1 }
train = { max_steps = 8 }
"#;

#[test]
fn stages_are_run_one_after_the_other_and_resumed_as_one_job() {
    let dir = prepared();
    dir.write("recipe.toml", RECIPE);
    let train = format!("train {DATA} --student narrow.json --recipe recipe.toml");
    dir.ok(&format!("{train} --out whole"));
    let intermediate = "stages/1-intermediate";
    assert_eq!((steps(&dir, &format!("whole/{intermediate}")).len(), steps(&dir, "whole").len()), (12, 8));
    let read = |file: &str| dir.read(file);
    assert_ne!(
        read("whole/model.safetensors"),
        read(&format!("whole/{intermediate}/model.safetensors")),
        "the last stage has learnt something"
    );
    // Killed in the first stage, and in the last.
    for (out, (place, count)) in [("a", (intermediate, 7)), ("b", (".", 3))] {
        let log = dir.path(&format!("{out}/{place}/log.jsonl"));
        dir.kill_when(&format!("{train} --out {out}"), || {
            std::fs::read_to_string(&log).is_ok_and(|text| text.matches("\"step\",").count() >= count)
        });
        dir.ok(&format!("{train} --out {out} --resume"));
        for file in ["model.safetensors", &format!("{intermediate}/model.safetensors")] {
            assert!(read(&format!("{out}/{file}")) == read(&format!("whole/{file}")), "{file} of {out}");
        }
    }
}

#[test]
fn a_narrower_student_starts_with_its_teachers_embeddings() {
    let dir = prepared();
    let train = format!("train {DATA} --student narrow.json --init-embeddings svd --max-steps 1 --lr 1e-9");
    dir.ok(&format!("{train} --set train.weight_decay=0 --out out"));
    let table = |model: &str| {
        let weights = read_weights(&dir.path(&format!("{model}/model.safetensors"))).unwrap();
        let table = weights.get("bert.embeddings.word_embeddings.weight").unwrap();
        ndarray::Array2::from_shape_vec((table.shape[0], table.shape[1]), table.data.clone()).unwrap()
    };
    let (wide, narrow) = (table("teacher"), table("out"));
    let expected = distill::narrowing::narrowed(wide.view(), 16).unwrap();
    assert!((narrow - expected).iter().all(|d| d.abs() < 1e-5));
    let other = BertConfig { vocab_size: 999, ..tiny::config(&["negative", "positive"]) };
    dir.write("other.json", other.to_json());
    let said = dir.error(&format!("train {DATA} --student other.json --init-embeddings svd --out other"));
    assert!(said.contains("the student of 999"), "{said}");
}

#[test]
fn controls_of_a_job_in_stages_can_be_resumed_as_its_student_can() {
    let dir = prepared();
    dir.write("recipe.toml", RECIPE);
    let train = format!("train {DATA} --student narrow.json --recipe recipe.toml --controls --out out");
    dir.ok(&train);
    let before = dir.read("out/controls/shuffled/model.safetensors");
    dir.ok(&format!("{train} --resume"));
    assert!(dir.read("out/controls/shuffled/model.safetensors") == before);
}

#[test]
fn what_was_kept_of_a_teachers_inside_teaches_as_what_is_computed_and_is_asked_once() {
    let dir = prepared();
    let terms = weights(&TERMS);
    let train = format!(
        "train {DATA} --student narrow.json {terms} --set objective.relation_heads=4 --max-steps 12 --lr 3e-3 \
         --precision f32 --cache labels.safetensors"
    );
    dir.ok(&format!("{train} --out alongside"));
    let said = dir.ok(&format!("{train} --cache-inside --out kept"));
    assert!(
        said.stderr.contains("inside of the teacher: 2") && said.stderr.contains("MB"),
        "{}",
        said.stderr
    );
    let again = dir.ok(&format!("{train} --cache-inside --out again"));
    assert!(!again.stderr.contains("inside of the teacher"), "{}", again.stderr);
    assert_eq!(dir.read("kept/model.safetensors"), dir.read("again/model.safetensors"));
    for (alongside, kept) in steps(&dir, "alongside").iter().zip(steps(&dir, "kept")) {
        let loss = |step: &Value| step["loss"].as_f64().unwrap();
        let (alongside, kept) = (loss(alongside), loss(&kept));
        assert!((alongside - kept).abs() < 2e-3 * alongside, "{alongside} {kept}");
    }
    dir.write("corpus.txt", corpus::documents(240, 3));
    let masked = "--corpus corpus.txt --set data.read=corpus --set objective.masked_cross_entropy=1";
    let said = dir.error(&format!("{train} {masked} --cache-inside --out masked"));
    assert!(said.contains("other words are masked in each epoch") && said.contains("hint:"), "{said}");
}

#[test]
fn a_student_learns_from_plain_text_first_by_its_teachers_inside_and_by_masked_words() {
    let dir = prepared();
    dir.write("corpus.txt", corpus::documents(240, 3));
    dir.write(
        "recipe.toml",
        "[data]\nmax_length = 32\n[train]\nmax_steps = 30\neval_every = 15\n\
         [[stage]]\nname = \"general\"\ndata = { read = \"corpus\", mask_choice = \"words\" }\n\
         objective = { score_mse = 1, masked_cross_entropy = 1 }\ntrain = { learning_rate = 3e-3 }\n\
         [[stage]]\nname = \"order\"\ndata = { read = \"corpus\", pairs = \"sentence_order\" }\n\
         objective = { cross_entropy = 1, masked_cross_entropy = 1 }\n\
         [[stage]]\nname = \"task\"\nobjective = { kl = 1 }\n",
    );
    let train = format!("train {DATA} --student narrow.json --recipe recipe.toml");
    let said = dir.error(&format!("{train} --out out"));
    assert!(said.contains("`--corpus` is missing"), "{said}");
    for (arguments, expected) in [
        ("--set task.teacher.path=nowhere", "stage `task` names `nowhere`, which is not there"),
        ("--set task.objective.temperature=-1", "the temperature is `-1`"),
        ("--set general.objective.kl=1", "the objective compares logits"),
    ] {
        let said = dir.error(&format!("{train} --corpus corpus.txt {arguments} --overwrite --out early"));
        assert!(said.contains(expected) && said.contains("hint:"), "{arguments}: {said}");
        assert!(!dir.path("early/labels.tokens").exists(), "no work had begun");
    }
    dir.ok(&format!("{train} --corpus corpus.txt --overwrite --out out"));
    let general = steps(&dir, "out/stages/1-general");
    let words = |step: &Value| step["loss_masked_cross_entropy"].as_f64().unwrap();
    let vocabulary = (tiny::vocabulary().len() as f64).ln();
    // The teacher's shape starts with large weights: the first guess is no better than chance, and often worse.
    assert!(words(&general[0]) > 0.9 * vocabulary, "{} {vocabulary}", general[0]);
    assert!(words(&general[29]) < words(&general[0]), "{} {}", general[0], general[29]);
    let config = |stage: &str| dir.text(&format!("out/{stage}config.json"));
    assert!(config("stages/2-order/").contains("\"swapped\""));
    assert!(config("").contains("\"positive\""));
    let names = read_weights(&dir.path("out/stages/1-general/model.safetensors")).unwrap();
    assert!(names.names().all(|name| !name.starts_with("cls.")));
}

#[test]
fn a_student_of_plain_text_alone_is_compared_with_nobody() {
    let dir = prepared();
    dir.write("corpus.txt", corpus::documents(240, 3));
    let terms = weights(&["hidden_mse", "score_mse"]);
    let train = "train --teacher teacher --corpus corpus.txt --set data.read=corpus --student narrow.json --max-steps 4";
    let done = dir.ok(&format!("{train} {terms} --json --out out"));
    let summary: Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(summary["steps"] == 4 && summary["models"].is_null(), "{summary}");
    assert!(dir.path("out/report.json").exists() && !dir.path("out/report.html").exists());
}

#[test]
fn what_cannot_be_compared_is_refused_before_any_work() {
    let dir = prepared();
    let config = || tiny::config(&["negative", "positive"]);
    tiny::write(&dir.path("shipped"), config(), 1);
    let heads = BertConfig { num_attention_heads: 2, ..config() };
    dir.write("heads.json", heads.to_json());
    dir.write("short.json", BertConfig { max_position_embeddings: 20, ..config() }.to_json());
    let error = |arguments: &str| {
        let said = dir.error(&format!("train --data train.tsv --eval dev.tsv --out out {arguments}"));
        assert!(said.contains("hint:"), "{said}");
        assert!(!dir.path("out/log.jsonl").exists());
        said
    };
    for (arguments, expected) in [
        ("--teacher teacher --student heads.json --set objective.score_mse=1", "compares heads"),
        (
            "--teacher teacher --student heads.json --set objective.hidden_mse=1 --set objective.layers=[[3,1]]",
            "the student has no layer 3, only 1 to 2",
        ),
        (
            "--teacher teacher --student short.json --set objective.hidden_mse=1",
            "`hidden_mse` compares token by token, but the student cuts texts after 20 tokens",
        ),
        (
            "--teacher teacher --student heads.json --set objective.relation_kl=1 --set objective.relation_heads=5",
            "cannot be cut into 5 relation heads",
        ),
        ("--teacher shipped --student heads.json --set objective.hidden_mse=1", "first token"),
        ("--teacher teacher --student heads.json --set objective.hidden_mse=1 --controls", "--controls"),
    ] {
        let said = error(arguments);
        assert!(said.contains(expected), "{arguments}: {said}");
    }
}
