use super::kept::{Kept, Request};
use super::shape::Shape;
use crate::console::{Console, Talk};
use crate::data::Reading;
use crate::error::hint_of;
use crate::examples::Examples;
use crate::table::{self, Content, Source};
use crate::task::{Gold, Kind};
use crate::tokens::Tokenizer;
use anyhow::{Result, bail};
use half::f16;
use ndarray::{Array2, Array3};
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use student::{Asked, Outputs, PackedBatch};
use tempfile::TempDir;

const QUIET: Console = Console { talk: Talk::None, json: false };
const TEXTS: [&str; 6] = ["a b c", "d", "a b c", "c c", "b a d c", "a"];

/// Examples in a folder, and what a made-up teacher is asked about them.
struct Fixture {
    folder: TempDir,
    examples: Examples,
    shape: Shape,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let words = "[PAD] [UNK] [CLS] [SEP] [MASK] a b c d".replace(' ', "\n");
        std::fs::write(folder.path().join("vocab.txt"), words).unwrap();
        let path = folder.path().join("data.tsv");
        std::fs::write(&path, format!("text\n{}\n", TEXTS.join("\n"))).unwrap();
        let tokenizer = Tokenizer::open(folder.path(), 12).unwrap();
        let content = Content::Rows { reading: &Reading::default(), kind: Kind::Classification };
        let source = Source { path: &path, content, tokenizer: &tokenizer, threads: 1 };
        let table = table::open(&source, &folder.path().join("tokens"), &QUIET).unwrap();
        let examples = Examples::of(Arc::new(table), vec![Gold::Missing]);
        let asked = Asked { hidden: vec![0, 2], scores: vec![1], qkv: vec![2], ..Asked::default() };
        Fixture { folder, examples, shape: Shape { asked, hidden: 6, heads: 2 } }
    }

    /// Opens the store in windows of some ten numbers: every text has one of its own.
    fn open(&self, ask: &mut dyn FnMut(&PackedBatch) -> Result<Outputs>) -> Result<Kept> {
        let texts = [(&self.examples, vec![0, 1, 2]), (&self.examples, vec![3, 4, 5])];
        let request = Request {
            texts: &texts,
            shape: self.shape.clone(),
            teacher: "teacher",
            batch_tokens: 512,
            folder: &self.folder.path().join("kept"),
            console: &QUIET,
        };
        Kept::open_with(&request, 10, &mut |batch, _| ask(batch))
    }

    fn file(&self) -> PathBuf {
        let files: Vec<_> = std::fs::read_dir(self.folder.path().join("kept")).unwrap().collect();
        let [Ok(file)] = &files[..] else { panic!("one file: {files:?}") };
        file.path()
    }

    /// Returns what a made-up teacher says: numbers that depend on the ids alone.
    fn say(&self, batch: &PackedBatch) -> Outputs {
        let row = |salt: usize| {
            Array2::from_shape_fn([batch.num_tokens(), self.shape.hidden], |(token, column)| {
                (batch.ids()[token] as usize * 31 + column * 7 + salt) as f32 / 13.0
            })
        };
        let scores = |of: std::ops::Range<usize>| {
            let ids = &batch.ids()[of.clone()];
            Array3::from_shape_fn([self.shape.heads, of.len(), of.len()], |(head, from, to)| {
                (ids[from] * 3 + ids[to] * 5) as f32 / 7.0 - head as f32
            })
        };
        Outputs {
            hidden: vec![row(0), row(1)],
            scores: vec![batch.sequences().map(scores).collect()],
            qkv: vec![[row(2), row(3), row(4)]],
            ..Outputs::default()
        }
    }
}

fn rounded(outputs: Outputs) -> Outputs {
    let round = |number: &mut f32| *number = f16::from_f32(*number).to_f32();
    let Outputs { mut hidden, mut scores, mut qkv, .. } = outputs;
    hidden.iter_mut().chain(qkv.iter_mut().flatten()).flatten().for_each(round);
    scores.iter_mut().flatten().flatten().for_each(round);
    Outputs { hidden, scores, qkv, ..Outputs::default() }
}

#[test]
fn what_was_kept_is_what_was_said_to_half_precision_and_nothing_is_asked_twice() {
    let fixture = Fixture::new();
    let mut asked = 0;
    let mut ask = |batch: &PackedBatch| {
        asked += batch.num_sequences();
        Ok(fixture.say(batch))
    };
    let kept = fixture.open(&mut ask).unwrap();
    let batch = fixture.examples.pack(&[4, 0, 2, 5, 4]);
    assert_eq!(kept.of(&batch).unwrap(), rounded(fixture.say(&batch)));
    let again = fixture.open(&mut |_| bail!("everything is known")).unwrap();
    assert_eq!(again.of(&batch).unwrap(), rounded(fixture.say(&batch)));
    assert_eq!(asked, 5, "one of the six texts stands there twice");
    let strange = PackedBatch::pack([(&[2, 8, 8, 8, 3][..], &[0; 5][..])]);
    assert!(again.of(&strange).unwrap_err().to_string().contains("was not among those"));
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_same_bytes() {
    let fixture = Fixture::new();
    fixture.open(&mut |batch| Ok(fixture.say(batch))).unwrap();
    let whole = std::fs::read(fixture.file()).unwrap();
    std::fs::remove_file(fixture.file()).unwrap();
    for (stop, torn) in [(0, 0), (2, 0), (2, 3), (4, 1)] {
        let mut left = stop;
        let stopped = fixture.open(&mut |batch| {
            left = if left == 0 { bail!("stopped") } else { left - 1 };
            Ok(fixture.say(batch))
        });
        assert_eq!(stopped.err().unwrap().to_string(), "stopped");
        let mut bytes = std::fs::read(fixture.file()).unwrap();
        bytes.extend(vec![7; torn]);
        std::fs::write(fixture.file(), bytes).unwrap();
        let mut asked = 0;
        let mut ask = |batch: &PackedBatch| {
            asked += batch.num_sequences();
            Ok(fixture.say(batch))
        };
        fixture.open(&mut ask).unwrap();
        assert_eq!(asked, 5 - stop, "what was written whole is not asked again");
        assert_eq!(std::fs::read(fixture.file()).unwrap(), whole);
        std::fs::remove_file(fixture.file()).unwrap();
    }
}

#[test]
fn what_is_damaged_is_made_anew_or_refused() {
    let fixture = Fixture::new();
    fixture.open(&mut |batch| Ok(fixture.say(batch))).unwrap();
    let whole = std::fs::read(fixture.file()).unwrap();
    for bytes in [&whole[..whole.len() - 1], b"", b"nonsense"] {
        std::fs::write(fixture.file(), bytes).unwrap();
        fixture.open(&mut |batch| Ok(fixture.say(batch))).unwrap();
        assert_eq!(std::fs::read(fixture.file()).unwrap(), whole);
    }
    let mut broken = whole.clone();
    let end = broken.len();
    broken[end - 2..].copy_from_slice(&f16::NAN.to_le_bytes());
    std::fs::write(fixture.file(), broken).unwrap();
    let kept = fixture.open(&mut |_| bail!("it looks whole")).unwrap();
    let error = kept.of(&fixture.examples.pack(&[5])).unwrap_err();
    assert!(error.to_string().contains("is damaged") && hint_of(&error).is_some(), "{error}");
    kept.of(&fixture.examples.pack(&[0])).unwrap();
}

#[test]
fn other_layers_are_another_store() {
    let mut fixture = Fixture::new();
    fixture.open(&mut |batch| Ok(fixture.say(batch))).unwrap();
    fixture.shape.asked.hidden = vec![0, 1];
    let mut asked = 0;
    let ask = |batch: &PackedBatch| {
        asked += 1;
        Ok(fixture.say(batch))
    };
    fixture.open(&mut { ask }).unwrap();
    assert_eq!(asked, 5);
}

#[test]
fn what_half_precision_cannot_hold_is_refused() {
    let fixture = Fixture::new();
    let error = fixture.open(&mut |batch| {
        let mut said = fixture.say(batch);
        said.hidden[0][[0, 0]] = 1e5;
        Ok(said)
    });
    let error = error.err().unwrap();
    assert!(error.to_string().contains("beyond the numbers of half precision"), "{error}");
    assert!(hint_of(&error).is_some());
}

proptest! {
    #[test]
    fn whatever_is_put_is_taken(
        lengths in prop::collection::vec(1_usize..6, 1..5),
        hidden in 0_usize..3,
        scores in 0_usize..3,
        qkv in 0_usize..3,
    ) {
        let layers = |count: usize| (1..=count).collect::<Vec<_>>();
        let asked = Asked { hidden: layers(hidden), scores: layers(scores), qkv: layers(qkv), ..Asked::default() };
        let shape = Shape { asked, hidden: 3, heads: 2 };
        let ids: Vec<Vec<u32>> = lengths.iter().map(|&length| vec![1; length]).collect();
        let batch = PackedBatch::pack(ids.iter().map(|ids| (&ids[..], &ids[..])));
        let mut count = 0.0;
        let mut next = || { count += 1.0; count };
        let mut rows = || Array2::from_shape_simple_fn([batch.num_tokens(), 3], &mut next);
        let hidden = (0..hidden).map(|_| rows()).collect();
        let qkv = (0..qkv).map(|_| [rows(), rows(), rows()]).collect();
        let mut square = |length: &usize| Array3::from_shape_simple_fn([2, *length, *length], &mut next);
        let scores = (0..scores).map(|_| lengths.iter().map(&mut square).collect()).collect();
        let said = Outputs { hidden, scores, qkv, ..Outputs::default() };
        let put = |(sequence, tokens): (usize, std::ops::Range<usize>)| {
            let mut numbers = Vec::new();
            shape.put(&said, sequence, tokens.clone(), &mut numbers);
            assert_eq!(numbers.len(), shape.numbers(tokens.len()));
            numbers
        };
        let kept: Vec<Vec<f16>> = batch.sequences().enumerate().map(put).collect();
        prop_assert_eq!(shape.take(&batch, kept.iter().map(Vec::as_slice)), said);
    }
}
