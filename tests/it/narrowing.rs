//! Students that start as a narrow form of a wider model.

use crate::support::dir::Dir;
use crate::support::tiny;
use serde_json::Value;
use student::bert::BertConfig;

const TRAIN: &str = "train --teacher teacher --data train.tsv --eval dev.tsv --seed 7 --batch-size 8 --set student.dropout=0 --alpha 1 --temperature 1 \
                     --max-steps 5";

fn narrow() -> BertConfig {
    BertConfig { hidden_size: 28, intermediate_size: 48, ..tiny::config(&["negative", "positive"]) }
}

/// A folder with a teacher that has learnt something, and the shape of a narrower student.
fn prepared() -> Dir {
    let dir = Dir::prepared();
    tiny::write_base(&dir.path("base"));
    dir.ok("finetune --base base --data train.tsv --eval dev.tsv --lr 2e-3 --epochs 10 --batch-size 16 --out taught");
    dir.write("narrow.json", narrow().to_json());
    dir
}

/// Returns how far a student was from its teacher before its first update.
fn first_loss(dir: &Dir, out: &str) -> f64 {
    let log = dir.text(&format!("{out}/log.jsonl"));
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter_map(|event| event["loss"].as_f64()).next().unwrap()
}

#[test]
fn a_narrower_student_starts_as_what_it_is_made_of() {
    let dir = prepared();
    let train = TRAIN.replace("--teacher teacher", "--teacher taught");
    let start = "--student narrow.json --init taught";
    for threads in [1, 2] {
        let said = dir.ok(&format!("{train} {start} --threads {threads} --out out-{threads}")).stderr;
        assert!(said.contains("lie in the 28 directions that are kept"), "{said}");
    }
    let model = |out: &str| dir.read(&format!("{out}/model.safetensors"));
    assert!(model("out-1") == model("out-2"), "the number of threads changes the start");
    let said = dir.ok(&format!("{train} --student narrow.json --out random")).stderr;
    assert!(
        said.contains("would start as layers of its teacher with `--init taught --init-layers 0,1`"),
        "{said}"
    );
    let (narrowed, random) = (first_loss(&dir, "out-1"), first_loss(&dir, "random"));
    assert!(narrowed < random / 2.0, "{narrowed} after a start with the teacher, {random} without");
}

#[test]
fn a_start_that_cannot_be_made_is_explained() {
    let dir = prepared();
    dir.write("short.json", BertConfig { num_hidden_layers: 1, ..narrow() }.to_json());
    dir.write("heads.json", BertConfig { num_attention_heads: 7, ..narrow() }.to_json());
    dir.write("wide.json", BertConfig { hidden_size: 64, ..narrow() }.to_json());
    for (name, claim) in [("deep", "\"num_hidden_layers\": 900"), ("large", "\"intermediate_size\": 3000000")]
    {
        std::fs::create_dir(dir.path(name)).unwrap();
        let weights = dir.read("taught/model.safetensors");
        dir.write(&format!("{name}/model.safetensors"), weights);
        let (key, _) = claim.split_once(':').unwrap();
        let config = dir.text("taught/config.json");
        let lines = config
            .lines()
            .map(|line| if line.contains(key) { format!("  {claim},") } else { line.to_owned() });
        dir.write(&format!("{name}/config.json"), lines.collect::<Vec<_>>().join("\n"));
    }
    for (start, expected) in [
        ("--student narrow.json --init deep --init-layers 0,1", "`deep` has 2 layers"),
        ("--student narrow.json --init large", "fewer than its `config.json` says"),
        ("--student narrow.json --init taught --init-layers 0,7", "no layer `7`"),
        ("--student short.json --init taught", "`taught` has 2 layers, but the student 1"),
        ("--student heads.json --init taught", "has attention heads: 4, the student 7"),
        ("--student wide.json --init taught", "has a width of 32, the student 64"),
        ("--student narrow.json --init taught --init-embeddings svd", "the embeddings of two models"),
    ] {
        let error = dir.error(&format!("{TRAIN} {start} --out out"));
        assert!(error.contains(expected) && error.contains("\nhint: "), "{error}");
    }
    assert!(!dir.path("out/labels.tokens").exists(), "a start is looked at before texts are read");
}
