//! What models cost: measured beside each other, in processes of their own and in turns.

use crate::support::dir::Dir;
use crate::support::tiny;
use distill::console::{Console, Talk};
use distill::cost::{Candidate, Latency, ModelCost, Settings, measure};
use distill::tokens::Encodings;
use std::path::PathBuf;
use std::time::Duration;
use student::bert::BertConfig;
use teacher::{Options, Teacher};

fn settings() -> Settings {
    Settings {
        batch: 2,
        length: 24,
        budget: Duration::ZERO,
        core_hour_price: Some(0.05),
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_distill"))),
        ..Settings::default()
    }
}

fn measured(folders: &[PathBuf], settings: &Settings) -> Vec<ModelCost> {
    let mut texts = Encodings::default();
    texts.push([2, 5, 6, 3], [0; 4]);
    texts.push([2, 7, 3], [0; 3]);
    let options = settings.options(Options::default());
    let mut models: Vec<Teacher> =
        folders.iter().map(|folder| Teacher::open(folder, &options).unwrap()).collect();
    let mut candidates: Vec<_> = models.iter_mut().map(|model| Candidate { model, texts: &texts }).collect();
    let console = Console { talk: Talk::None, json: false };
    measure(&mut candidates, settings, &console).unwrap()
}

#[test]
fn models_are_measured_beside_each_other() {
    let dir = Dir::new();
    let large = BertConfig {
        num_hidden_layers: 8,
        hidden_size: 128,
        intermediate_size: 512,
        max_position_embeddings: 70,
        ..tiny::config(&["x", "y"])
    };
    tiny::write(&dir.path("small"), tiny::config(&["x", "y"]), 1);
    tiny::write(&dir.path("large"), large, 1);
    let costs = measured(&[dir.path("small"), dir.path("large")], &settings());
    for (cost, lengths) in costs.iter().zip([&[16, 32][..], &[16, 32, 64]]) {
        let latency = cost.latency;
        assert_eq!((latency.batch, latency.length, latency.threads), (2, 24, 1));
        assert!(latency.samples >= 20, "{latency:?}");
        for latency in cost.by_length.iter().chain([&latency]) {
            let Latency { p50_ms, p95_ms, p99_ms, .. } = *latency;
            assert!(0.0 < p50_ms && p50_ms <= p95_ms && p95_ms <= p99_ms, "{latency:?}");
        }
        assert_eq!(cost.by_length.iter().map(|latency| latency.length).collect::<Vec<_>>(), lengths);
        assert_eq!((cost.throughput.texts, cost.throughput.mean_tokens), (2, 3.5));
        assert!(cost.throughput.texts_per_second > 0.0 && cost.per_million.core_seconds > 0.0);
        let price = cost.per_million.core_seconds / 3600.0 * 0.05;
        assert!((cost.per_million.price.unwrap() - price).abs() < 1e-9);
        assert!(cost.load_ms > 0.0 && cost.first_ms.unwrap() > 0.0);
    }
    let [small, large] = &costs[..] else { panic!("two models were measured") };
    assert!(small.parameters < large.parameters && small.file_bytes < large.file_bytes);
    assert!(small.by_length[1].p50_ms < large.by_length[1].p50_ms, "sixty times the work takes longer");
    if cfg!(target_os = "linux") {
        for cost in &costs {
            let (resident, peak) = (cost.resident_bytes.unwrap(), cost.peak_bytes.unwrap());
            assert!(cost.file_bytes < resident && resident <= peak, "{cost:?}");
        }
    }
}

#[test]
fn without_a_process_of_its_own_a_model_has_a_load_time_but_no_memory() {
    let dir = Dir::prepared();
    let settings = Settings { program: None, length: 500, core_hour_price: None, ..settings() };
    let costs = measured(&[dir.path("teacher/onnx/model.onnx")], &settings);
    assert!(costs[0].load_ms > 0.0);
    assert_eq!((costs[0].peak_bytes, costs[0].first_ms, costs[0].per_million.price), (None, None, None));
    assert_eq!(costs[0].latency.length, 40, "the model takes no more tokens");
}

#[test]
fn a_model_that_does_not_say_how_much_it_takes_is_tried() {
    let dir = Dir::prepared();
    std::fs::copy(dir.path("teacher/onnx/model.onnx"), dir.path("bare.onnx")).unwrap();
    let settings = Settings { program: None, length: 500, ..settings() };
    let costs = measured(&[dir.path("bare.onnx")], &settings);
    assert_eq!(costs[0].latency.length, 32, "of the lengths tried it is the last that the model takes");
}

#[test]
fn a_process_that_fails_says_why() {
    let dir = Dir::prepared();
    let done = dir.run("probe");
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("holds no request"), "{}", done.stderr);
    assert!(!dir.ok("--help").stdout.contains("probe"), "the command is not for people");
}
