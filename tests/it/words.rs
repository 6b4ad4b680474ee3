//! Learning which words could stand where one is masked: what a masked language model says of them, and what comes of it.

use crate::support::dir::Dir;
use crate::support::{corpus, fixture, tiny};
use distill::blueprint::{Blueprint, Purpose};
use distill::recipe::{StudentSection, TrainSection};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use student::bert::{BertConfig, Preset};
use student::{Architecture, checkpoint, init};
use teacher::{Options, Taps, Teacher, Tokens, WordsAsked};

/// Returns a tensor of the reference, in f32.
fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let (bytes, _) = file.tensor(name).unwrap().data().as_chunks();
    bytes.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

fn ints(file: &SafeTensors<'_>, name: &str) -> Vec<u32> {
    let (bytes, _) = file.tensor(name).unwrap().data().as_chunks();
    bytes.iter().map(|&bytes| i64::from_le_bytes(bytes) as u32).collect()
}

#[test]
fn a_masked_language_model_says_what_pytorch_says_at_the_tokens_asked_about() {
    let bytes = std::fs::read(fixture("taps/bert_words.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let [ids, type_ids, offsets] = ["ids", "type_ids", "offsets"].map(|name| ints(&file, name));
    let (words, hidden) = (floats(&file, "words"), floats(&file, "hidden.2"));
    let spans = offsets.windows(2).map(|ends| ends[0] as usize..ends[1] as usize);
    let sequences: Vec<Tokens<'_>> =
        spans.map(|of| Tokens { ids: &ids[of.clone()], type_ids: &type_ids[of] }).collect();
    for (workers, batch_tokens) in [(1, 512), (2, 7)] {
        let options = Options { workers, batch_tokens, ..Options::default() };
        let mut teacher =
            Teacher::open_masked_lm(&fixture("taps/bert_words.torch14.onnx"), &options).unwrap();
        teacher.tap(&Taps { hidden: vec![2], ..Taps::default() }).unwrap();
        let asked = WordsAsked { positions: &[1, 4, 8, 9, 14], count: 7, temperature: 2.0 };
        let (signals, likely) = teacher.signals_and_words(&sequences, &asked, &|_| {}).unwrap();
        assert_eq!((likely.ids.dim(), likely.vocabulary), ((5, 7), 80));
        for (row, &position) in asked.positions.iter().enumerate() {
            let expected = &words[position * 80..][..80];
            let mut order: Vec<usize> = (0..80).collect();
            order.sort_by(|&a, &b| expected[b].total_cmp(&expected[a]));
            for place in 0..7 {
                assert_eq!(likely.ids[[row, place]] as usize, order[place]);
                let (found, expected) = (likely.logits[[row, place]], expected[order[place]]);
                assert!((found - expected).abs() < 1e-4, "{found} {expected}");
            }
            let others: f64 = order[7..].iter().map(|&word| (f64::from(expected[word]) / 2.0).exp()).sum();
            let found = f64::from(likely.others[row]);
            assert!((found - others.ln()).abs() < 1e-4, "{found} {}", others.ln());
        }
        let far = signals.hidden[0].iter().zip(&hidden).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 1e-4, "hidden states are off by {far}");
        let (signals, likely) =
            teacher.signals_and_words(&sequences, &WordsAsked { positions: &[], ..asked }, &|_| {}).unwrap();
        assert_eq!((likely.ids.nrows(), signals.hidden[0].nrows()), (0, 15));
    }
}

/// A folder with a teacher, a masked language model, texts with labels, plain text, and the shape of a small DistilBERT.
fn prepared() -> Dir {
    let dir = Dir::new();
    tiny::write_whole(&dir.path("teacher"), tiny::config(&["negative", "positive"]), 1);
    std::fs::create_dir(dir.path("lm")).unwrap();
    tiny::write_tokenizer(&dir.path("lm"));
    std::fs::copy(fixture("taps/bert_words.torch14.onnx"), dir.path("lm/model.onnx")).unwrap();
    dir.write("lm/config.json", json!({ "vocab_size": 80, "max_position_embeddings": 64 }).to_string());
    dir.write("train.tsv", corpus::tsv(200, 1));
    dir.write("dev.tsv", corpus::tsv(60, 2));
    dir.write("corpus.txt", corpus::documents(240, 3));
    let labels = ["negative", "positive"].map(str::to_owned).to_vec();
    let shape = Preset::named("distilbert-6l-768").unwrap().config(80, labels);
    let small = BertConfig {
        num_hidden_layers: 1,
        hidden_size: 16,
        num_attention_heads: 2,
        intermediate_size: 24,
        max_position_embeddings: 40,
        ..shape
    };
    dir.write("student.json", small.to_json());
    dir
}

#[test]
fn a_student_takes_over_the_head_on_words_of_the_model_that_it_starts_with() {
    let dir = Dir::new();
    let (bert, _) = tiny::model(tiny::config(&["a", "b"]), 1);
    let bert = bert.predicting_words();
    let weights = init::random(bert.layout(), 0.3, 5);
    std::fs::create_dir(dir.path("lm")).unwrap();
    dir.write("lm/config.json", bert.config().to_json());
    checkpoint::write_weights(&dir.path("lm/model.safetensors"), bert.layout(), &weights).unwrap();
    let purpose = Purpose {
        vocab_size: 80,
        num_segments: 2,
        pad_token_id: 0,
        labels: ["a", "b", "c"].map(str::to_owned).to_vec(),
        regression: false,
    };
    let build = |layers: Option<Vec<usize>>| {
        let init = Some(dir.path("lm"));
        let section = StudentSection { init, init_layers: layers, ..StudentSection::default() };
        let train = TrainSection { seed: 9, ..TrainSection::default() };
        Blueprint::build(&section, &purpose, &train).unwrap().predicting_words().unwrap()
    };
    for student in [build(None), build(Some(vec![1]))] {
        let heads = student.bert.layout().entries().iter().filter(|entry| entry.name.starts_with("cls."));
        let mut found = 0;
        for entry in heads {
            let theirs = bert.layout().entry(&entry.name).unwrap();
            assert_eq!(
                student.params.data()[entry.range()],
                weights.data()[theirs.range()],
                "{}",
                entry.name
            );
            found += 1;
        }
        assert_eq!(found, 5);
        // The head of other classes is drawn as if all of the student was.
        let (layout, config) = (student.bert.layout(), student.bert.config());
        let drawn = init::random(layout, config.initializer_range, 9);
        let classifier = layout.entry("classifier.weight").unwrap().range();
        assert_eq!(student.params.data()[classifier.clone()], drawn.data()[classifier]);
        let query =
            layout.entries().iter().find(|entry| entry.name.contains("query.weight")).unwrap().range();
        assert_ne!(student.params.data()[query.clone()], drawn.data()[query]);
    }
}

const TRAIN: &str = "train --recipe distilbert --set general.data.holdout=0.1 --set general.data.max_length=32 --teacher teacher --data train.tsv --eval dev.tsv --corpus corpus.txt \
                     --student student.json --seed 7";

#[test]
fn distilberts_recipe_learns_from_a_masked_language_model_first_and_then_from_a_classifier() {
    let dir = prepared();
    let said = dir.ok(&format!(
        "{TRAIN} --set general.teacher.path=lm --set general.train.max_steps=40 \
         --set general.train.accumulate=1 --set general.train.learning_rate=3e-3 --set fine-tuning.train.max_steps=5 \
         --set objective.masked_words=30 --out out"
    ));
    assert!(said.stderr.contains("5 masked_kl"), "{}", said.stderr);
    let log = dir.text("out/stages/1-general/log.jsonl");
    let steps: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let losses: Vec<f64> = steps.iter().filter_map(|step| step["loss_masked_kl"].as_f64()).collect();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (mean(&losses[..8]), mean(&losses[losses.len() - 8..]));
    assert!(losses.iter().all(|&loss| loss > 0.0) && last < 0.9 * first, "{first} {last}");
    let config: Value = serde_json::from_str(&dir.text("out/config.json")).unwrap();
    assert_eq!(config["model_type"], "distilbert");
}

#[test]
fn a_teacher_that_does_not_fit_masked_words_is_refused_with_a_hint() {
    let dir = prepared();
    for (arguments, expected) in [
        ("", "masked language model"),
        ("--set general.teacher.path=lm --set general.objective.kl=1", "the objective compares logits"),
        ("--set general.teacher.path=lm --set general.student.tokenizer=other", "another tokenizer"),
        ("--set general.teacher.path=lm --cache-inside", "other words are masked in each epoch"),
        ("--set general.teacher.path=lm --set general.objective.temperature=0", "the temperature is `0`"),
    ] {
        std::fs::create_dir_all(dir.path("other")).unwrap();
        dir.write("other/vocab.txt", tiny::vocabulary().join("\n"));
        let said = dir.error(&format!("{TRAIN} {arguments} --overwrite --out out"));
        assert!(said.contains(expected) && said.contains("hint:"), "{arguments}: {said}");
    }
}
