//! A file and copies of its texts: what comes out, and what is refused.

use crate::support::dir::{Dir, names};
use crate::support::{corpus, fixture, tiny};
use serde_json::Value;
use std::collections::BTreeSet;
use teacher::{Masked, MaskedLm, Options, Teacher, Tokens};

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("the output is JSON")
}

/// Puts the masked language model of the fixtures into a folder with the tokenizer of the made-up language.
fn write_lm(dir: &Dir) {
    std::fs::create_dir(dir.path("lm")).unwrap();
    tiny::write_tokenizer(&dir.path("lm"));
    std::fs::copy(fixture("masked_lm.onnx"), dir.path("lm/model.onnx")).unwrap();
    let vocab_size = tiny::vocabulary().len();
    dir.write("lm/config.json", format!("{{\"vocab_size\": {vocab_size}, \"max_position_embeddings\": 64}}"));
}

#[test]
fn copies_follow_their_originals_and_train_a_student() {
    let dir = Dir::with_student();
    let arguments =
        "augment --data train.tsv --teacher teacher --exclude dev.tsv --copies 5 --out aug.tsv --json";
    let report = json(&dir.ok(arguments).stdout);
    let (text, original) = (dir.text("aug.tsv"), dir.text("train.tsv"));
    let lines: Vec<&str> = text.lines().collect();
    let originals: Vec<&str> = original.lines().skip(1).collect();
    assert_eq!(lines[0], "text\tlabel");
    assert_eq!(lines[1..=originals.len()], originals[..]);
    let copies = &lines[originals.len() + 1..];
    assert_eq!((report["texts"].as_u64(), report["copies"].as_u64()), (Some(200), Some(copies.len() as u64)));
    assert!(copies.len() > 300 && copies.iter().all(|line| line.ends_with('\t')), "{}", copies.len());
    let dev = dir.text("dev.tsv");
    let excluded: BTreeSet<&str> = dev.lines().filter_map(|line| line.split('\t').next()).collect();
    assert!(copies.iter().all(|line| !excluded.contains(line.trim_end())));
    let words: BTreeSet<String> = tiny::vocabulary().into_iter().collect();
    assert!(copies.iter().flat_map(|line| line.split_whitespace()).all(|word| words.contains(word)));

    dir.ok("train --teacher teacher --data aug.tsv --eval dev.tsv --student student.json --max-steps 2 --out out");
    assert!(dir.path("out/onnx/model.onnx").exists());
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_threads_and_from_any_form_of_the_table() {
    let dir = Dir::prepared();
    let run = |more: &str, out: &str| {
        dir.ok(&format!("augment --data train.tsv --copies 4 --out {out} {more}"));
        dir.read(out)
    };
    let one = run("--teacher teacher --threads 1", "a.tsv");
    for (number, more) in [
        "--teacher teacher --threads 3",
        "--embeddings teacher/onnx/model.onnx",
        "--embeddings teacher/model.safetensors",
        "--teacher teacher --seed 42 --replace 0.4 --candidates 15",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(run(more, &format!("b{number}.tsv")) == one, "{more}");
    }
    assert!(run("--teacher teacher --seed 1", "c.tsv") != one);
}

#[test]
fn pairs_go_in_and_out_as_json_lines() {
    let dir = Dir::prepared();
    let pairs: String = corpus::sentences(30, 5)
        .into_iter()
        .zip(corpus::sentences(30, 6))
        .map(|((a, label), (b, _))| {
            format!("{{\"premise\":\"{a}\",\"hypothesis\":\"{b}\",\"label\":\"{label}\"}}\n")
        })
        .collect();
    dir.write("pairs.jsonl", pairs);
    dir.ok("augment --data pairs.jsonl --teacher teacher --out a.jsonl --originals none --keep-labels");
    let rows: Vec<Value> = dir.text("a.jsonl").lines().map(json).collect();
    assert!(rows.len() > 100);
    for row in &rows {
        let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["text", "text_pair", "label"]);
        assert!(row["label"].is_string());
    }
    dir.ok(
        "augment --data a.jsonl --teacher teacher --out b.tsv --copies 1 --originals among --stop-words none",
    );
    assert_eq!(dir.text("b.tsv").lines().next(), Some("text\ttext_pair\tlabel"));
}

#[test]
fn copies_that_the_teacher_doubts_are_dropped() {
    let dir = Dir::prepared();
    let arguments =
        "augment --data train.tsv --teacher teacher --stop-words none --originals none --keep-labels --json";
    let agreed = json(&dir.ok(&format!("{arguments} --agree --out a.tsv")).stdout);
    assert!(agreed["filtered"].as_u64() > Some(0) && agreed["copies"].as_u64() > Some(0), "{agreed}");
    let measured = json(&dir.ok("eval --model teacher --data a.tsv --json").stdout);
    assert_eq!(measured["quality"]["accuracy"], 1.0);

    let sure = json(&dir.ok(&format!("{arguments} --min-confidence 0.9 --out b.tsv")).stdout);
    assert!(sure["filtered"].as_u64() > Some(0) && sure["copies"].as_u64() > Some(0), "{sure}");
    let texts: String = dir
        .text("b.tsv")
        .lines()
        .skip(1)
        .map(|line| line.split('\t').next().unwrap().to_owned() + "\n")
        .collect();
    dir.write("b.txt", texts);
    let input = std::fs::File::open(dir.path("b.txt")).unwrap();
    let output = dir.command("predict --model teacher").stdin(input).output().unwrap();
    for line in dir.done(&output).stdout.lines() {
        assert!(json(line)["score"].as_f64().unwrap() > 0.9 - 1e-6, "{line}");
    }

    // Without labels, what the teacher says of the original counts.
    let unlabelled: String = corpus::sentences(40, 9).into_iter().map(|(text, _)| text + "\n").collect();
    dir.write("bare.txt", format!("text\n{unlabelled}"));
    let bare = json(&dir.ok("augment --data bare.txt --teacher teacher --agree --out c.jsonl --json").stdout);
    assert!(bare["filtered"].as_u64() > Some(0) && bare["copies"].as_u64() > Some(0), "{bare}");
    assert!(!dir.text("c.jsonl").contains("label"));
}

#[test]
fn a_masked_language_model_says_what_could_stand_there() {
    let dir = Dir::prepared();
    write_lm(&dir);
    let mut lm = MaskedLm::open(&dir.path("lm"), &Options { workers: 2, ..Options::default() }).unwrap();
    let cases: Vec<Value> =
        serde_json::from_slice(&std::fs::read(fixture("masked_lm.json")).unwrap()).unwrap();
    let list = |value: &Value| {
        value.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as u32).collect::<Vec<_>>()
    };
    let parts: Vec<_> =
        cases.iter().map(|case| (list(&case["ids"]), list(&case["type_ids"]), list(&case["best"]))).collect();
    let asked: Vec<Masked<'_>> = parts
        .iter()
        .zip(&cases)
        .map(|((ids, type_ids, _), case)| Masked {
            tokens: Tokens { ids, type_ids },
            position: case["position"].as_u64().unwrap() as usize,
        })
        .collect();
    let best = lm.best_words(&asked, 6, &|_| {}).unwrap();
    assert_eq!(best, parts.iter().map(|part| part.2.clone()).collect::<Vec<_>>());

    let run = |out: &str, more: &str| {
        let arguments =
            "augment --data train.tsv --masked-lm lm --stop-words none --candidates 10 --originals none";
        let done = dir.ok(&format!("{arguments} --out {out} --json {more}"));
        (dir.text(out), json(&done.stdout))
    };
    let (text, report) = run("a.tsv", "--threads 1");
    assert!(report["copies"].as_u64() > Some(1000), "{report}");
    assert_eq!(run("b.tsv", "--threads 3").0, text);
    let whole: BTreeSet<String> =
        tiny::vocabulary()[5..].iter().filter(|word| word.len() > 1).cloned().collect();
    let words: BTreeSet<&str> = text.lines().skip(1).flat_map(str::split_whitespace).collect();
    assert!(words.iter().all(|word| whole.contains(*word) || *word == "a"), "{words:?}");
}

#[test]
fn words_of_several_pieces_get_neighbours_beside_a_masked_language_model() {
    let dir = Dir::prepared();
    write_lm(&dir);
    dir.write("data.txt", "text\nxyz film\n");
    dir.write("vectors.txt", "xyz 1 0\nunheard 1 0.1\n");
    let arguments =
        "augment --data data.txt --masked-lm lm --embeddings vectors.txt --stop-words none --replace 1";
    dir.ok(&format!("{arguments} --out a.tsv --originals none --candidates 10"));
    let text = dir.text("a.tsv");
    let copies: Vec<&str> = text.lines().skip(1).collect();
    assert!(copies.len() > 1, "{text}");
    for copy in copies {
        let word = copy.strip_prefix("unheard ").expect("a neighbour of `xyz`");
        assert!(word != "film" && tiny::vocabulary().contains(&word.to_owned()), "{copy}");
    }
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_written() {
    let dir = Dir::prepared();
    write_lm(&dir);
    dir.write("there.tsv", "precious");
    dir.write("bad.txt", "good 1 2\nfilm 1 x\n");
    let base = "augment --data train.tsv";
    for (arguments, expected) in [
        (format!("{base} --teacher teacher --out there.tsv"), "`there.tsv` already exists"),
        (
            format!("{base} --teacher teacher --out ./train.tsv --overwrite"),
            "is read, and cannot be written too",
        ),
        (
            format!("{base} --teacher teacher --exclude there.tsv --out there.tsv --overwrite"),
            "cannot be written too",
        ),
        (
            format!("{base} --teacher teacher --out a.csv"),
            "`a.csv` is the name of neither TSV nor JSON lines",
        ),
        (format!("{base} --teacher teacher --out a.tsv.gz"), "neither TSV nor JSON lines"),
        (
            format!("{base} --teacher teacher --out a.tsv --exclude nowhere.tsv"),
            "there is no file `nowhere.tsv`",
        ),
        (format!("{base} --embeddings bad.txt --out a.tsv"), "bad.txt:2: `x` is no number"),
        (format!("{base} --embeddings lm/nowhere.onnx --out a.tsv"), "nowhere.onnx"),
        (format!("{base} --masked-lm teacher --out a.tsv"), "[batch, sequence, vocabulary]"),
        (format!("{base} --teacher lm --min-confidence 0.5 --out a.tsv"), "[batch, classes]"),
        (format!("{base} --teacher teacher --stop-words nowhere --out a.tsv"), "there is no file `nowhere`"),
    ] {
        let said = dir.error(&arguments);
        assert!(said.contains(expected) && said.contains("\nhint: "), "{arguments}\n{said}");
    }
    for (arguments, expected) in [
        (format!("{base} --out a.tsv"), "--teacher"),
        (format!("{base} --embeddings teacher --agree --out a.tsv"), "--teacher"),
        (format!("{base} --teacher teacher --replace 0 --out a.tsv"), "above 0"),
        (format!("{base} --teacher teacher --copies 0 --out a.tsv"), "--copies"),
    ] {
        let done = dir.run(&arguments);
        assert!(done.code == Some(2) && done.stderr.contains(expected), "{arguments}\n{}", done.stderr);
    }
    assert_eq!(dir.text("there.tsv"), "precious");
    let here = names(&dir.path(""));
    assert!(!here.iter().any(|name| name.starts_with("a.") || name.ends_with(".tmp")), "{here:?}");
    dir.ok(&format!("{base} --teacher teacher --out there.tsv --overwrite"));
    assert!(dir.text("there.tsv").starts_with("text\tlabel\n"));
}

#[test]
fn a_teacher_of_numbers_cannot_be_sure() {
    let dir = Dir::new();
    tiny::write(&dir.path("teacher"), tiny::config(&["value"]), 1);
    dir.write("data.tsv", "text\tlabel\na good film\t0.5\na bad film\t1.5\n");
    let said = dir.error("augment --data data.tsv --teacher teacher --min-confidence 0.5 --out a.tsv");
    assert!(said.contains("predicts a number"), "{said}");
    dir.ok("augment --data data.tsv --task regression --teacher teacher --keep-labels --out a.tsv");
    assert!(dir.text("a.tsv").lines().all(|line| line.split('\t').count() == 2));
    assert!(Teacher::open(&dir.path("teacher"), &Options::default()).is_ok());
}

#[test]
fn a_job_makes_the_copies_that_its_stages_ask_for_once_and_uses_them_when_it_is_resumed() {
    let dir = Dir::with_student();
    dir.write("odd.tsv", corpus::tsv(200, 1).replace("sentence\tlabel", "said\tmeant"));
    dir.write("odd-dev.tsv", corpus::tsv(60, 2).replace("sentence\tlabel", "said\tmeant"));
    dir.write(
        "recipe.toml",
        "[augment]\ncopies = 3\n[train]\nmax_steps = 6\n[[stage]]\nname = \"one\"\nobjective = { kl = 1 }\n\
         [[stage]]\nname = \"two\"\nobjective = { logit_mse = 1 }\n[[stage]]\nname = \"three\"\n\
         augment = { copies = 0 }\nobjective = { kl = 1 }\n",
    );
    let train = "train --teacher teacher --data odd.tsv --eval odd-dev.tsv --text said --label meant \
                 --student student.json --seed 7 --recipe recipe.toml --out out";
    let said = dir.ok(train).stderr;
    let files: Vec<String> =
        names(&dir.path("out")).into_iter().filter(|name| name.starts_with("augmented-")).collect();
    let [file] = &files[..] else { panic!("one file: {files:?}") };
    let copies = dir.text(&format!("out/{file}"));
    assert!(
        copies.lines().count() > 400 && copies.starts_with("text\tlabel\n"),
        "{}",
        copies.lines().count()
    );
    assert_eq!(said.matches("copies for stage").count(), 1, "{said}");
    let examples = format!("train: {} examples, 200 labelled", copies.lines().count() - 1);
    assert_eq!(said.matches(&examples).count(), 2, "{said}");
    assert_eq!(said.matches("train: 200 examples, all labelled").count(), 1, "{said}");
    let model = dir.read("out/model.safetensors");
    dir.write(&format!("out/{file}"), &copies);
    let resumed = dir.ok(&format!("{train} --resume")).stderr;
    assert!(!resumed.contains("copies for stage"), "{resumed}");
    assert_eq!(dir.read("out/model.safetensors"), model);

    let no_eval = train.replace("--eval odd-dev.tsv", "--overwrite");
    let said = dir.error(&no_eval);
    assert!(said.contains("`--eval` is missing") && said.contains("would have copies among"), "{said}");
    let said = dir.error(&format!("{train} --overwrite --set augment.replace=2"));
    assert!(said.contains("`augment.replace` is `2`") && said.contains("hint:"), "{said}");
    dir.write("corpus.txt", "a\n\nb\n");
    let said = dir.error(&format!("{train} --overwrite --corpus corpus.txt --set one.data.read=corpus"));
    assert!(said.contains("of which no copies are made") && said.contains("hint:"), "{said}");
}
