//! Copies are made as published, whatever the texts and the threads.

use super::*;
use crate::data::Format;
use serde_json::Value;
use std::collections::BTreeSet;

const VECTORS: &str = "good 1 0 0\ngreat 1 0.1 0\nfine 1 0.2 0\nbad 0 1 0\nawful 0 1 0.1\ndull 0.1 1 0\nfilm 0 0 1\n\
                       movie 0 0.1 1\nкнига -1 0 0\nроман -1 0.1 0\n东京 -1 -1 0\n大阪 -1 -0.9 0\n";

const SETTINGS: Settings =
    Settings { replace: 0.4, copies: 20, seed: 42, labels: CopyLabels::Without, threads: 1 };

fn augmenter(candidates: usize, settings: Settings) -> Augmenter {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.txt");
    std::fs::write(&path, VECTORS).unwrap();
    let table = Table::open(&path, 1000, 1).unwrap();
    Augmenter {
        neighbours: Neighbours::new(table, candidates, settings.threads),
        masker: None,
        stop_words: StopWords::default(),
        excluded: Seen::default(),
        judge: None,
        settings,
    }
}

fn row(text: &str) -> Row {
    Row { text: text.into(), text_pair: None, label: Some("x".into()), line: 1 }
}

fn pair(text: &str, text_pair: &str) -> Row {
    Row { text_pair: Some(text_pair.into()), ..row(text) }
}

/// Copies rows, `together` at a time; returns the copies as they are written, and what was counted.
fn copied(augmenter: &mut Augmenter, rows: &[Row], together: usize) -> (Vec<Value>, Tally) {
    let mut survey = Survey::default();
    survey.add(rows, 1);
    let (mut bytes, mut tally) = (Vec::new(), Tally::default());
    let mut out = RowWriter::new(&mut bytes, Format::Jsonl, survey.pairs, survey.labels).unwrap();
    for rows in rows.chunks(together) {
        augmenter.add(rows, &mut survey, &mut tally, &mut out).unwrap();
    }
    let text = String::from_utf8(bytes).unwrap();
    (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), tally)
}

fn texts(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["text"].as_str().unwrap()).collect()
}

#[test]
fn every_try_is_a_new_copy_or_a_duplicate_and_each_word_is_one_of_its_candidates() {
    let rows = [row("A good film,  so GOOD!"), row("a bad movie")];
    let (copies, tally) = copied(&mut augmenter(2, SETTINGS), &rows, 10);
    assert_eq!((tally.texts, tally.copies, tally.copies + tally.duplicates), (2, copies.len(), 40));
    let all = texts(&copies);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    let mut words = BTreeSet::new();
    for text in &all {
        let is_first = text.starts_with("A ");
        assert!(!is_first || (text.contains(",  so ") && text.ends_with('!')), "{text}");
        words.extend(text.split(|c: char| !c.is_alphabetic()));
    }
    let expected = BTreeSet::from([
        "", "A", "a", "so", "good", "great", "fine", "GOOD", "GREAT", "FINE", "bad", "dull", "awful", "film",
        "movie", "bad", "great", "dull", "awful",
    ]);
    // `film` and `movie` have each other, and one more that is not near.
    assert!(words.iter().all(|word| expected.contains(word)), "{words:?}");
    assert!(words.contains("GREAT") && words.contains("awful") && words.contains("so"));
    assert_eq!((tally.words, tally.words_without_candidates), (6, 1));
}

#[test]
fn with_probability_one_every_word_goes_and_one_candidate_makes_one_copy() {
    let settings = Settings { replace: 1.0, ..SETTINGS };
    let (copies, tally) = copied(&mut augmenter(1, settings), &[row("good film")], 1);
    assert_eq!(texts(&copies), ["great movie"]);
    assert_eq!((tally.copies, tally.duplicates), (1, 19));
}

#[test]
fn neither_threads_nor_windows_change_a_copy_and_another_seed_does() {
    let rows: Vec<Row> = (0..60)
        .map(|i| {
            let word = |j: usize| ["good", "bad", "film", "the", "fine", "dull"][(i * 7 + j * 3) % 6];
            pair(
                &(0..i % 9).map(word).collect::<Vec<_>>().join(" "),
                &(0..4).map(word).collect::<Vec<_>>().join(" "),
            )
        })
        .collect();
    let run = |threads, together, seed| {
        copied(&mut augmenter(3, Settings { threads, seed, ..SETTINGS }), &rows, together)
    };
    let one = run(1, 60, 42);
    for (threads, together) in [(3, 60), (1, 7), (7, 7), (0, 1)] {
        assert_eq!(run(threads, together, 42), one, "{threads} {together}");
    }
    assert_ne!(run(1, 60, 43).0, one.0);
}

#[test]
fn copies_of_one_text_are_not_originals_or_copies_of_another() {
    let rows = [row("good film"), row("great  FILM"), row("fine movie"), row("good film")];
    let (copies, _) = copied(&mut augmenter(2, SETTINGS), &rows, 10);
    let keys: Vec<u64> = texts(&copies).into_iter().map(key).collect();
    let known: BTreeSet<u64> = rows.iter().map(|row| key(&row.text)).collect();
    assert!(keys.iter().all(|key| !known.contains(key)));
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
}

#[test]
fn excluded_texts_are_neither_copied_nor_made() {
    let rows = [row("good film"), row("Bad  film"), row("dull film")];
    let mut augmenter = augmenter(2, Settings { copies: 200, ..SETTINGS });
    for text in ["bad film", "great film", "awful movie"] {
        augmenter.excluded.insert(key(text));
    }
    let (copies, tally) = copied(&mut augmenter, &rows, 10);
    assert_eq!(tally.excluded_texts, 1);
    assert!(tally.excluded_copies > 0 && !copies.is_empty());
    assert!(texts(&copies).iter().all(|text| !augmenter.excluded.contains(key(text))));
    // `great` is one word from `good`, and stays possible beside other words.
    assert!(texts(&copies).contains(&"great movie"));
}

#[test]
fn both_texts_of_a_pair_are_varied_from_their_originals_and_by_themselves() {
    let (copies, tally) = copied(&mut augmenter(2, SETTINGS), &[pair("good", "bad film")], 1);
    let sides: Vec<(&str, &str)> = copies
        .iter()
        .map(|row| (row["text"].as_str().unwrap(), row["text_pair"].as_str().unwrap()))
        .collect();
    let [first, second] = [
        sides.iter().map(|side| side.0).collect::<BTreeSet<_>>(),
        sides.iter().map(|side| side.1).collect::<BTreeSet<_>>(),
    ];
    assert_eq!(first, BTreeSet::from(["good", "great", "fine"]));
    assert!(second.len() > 3 && second.contains("bad film"), "{second:?}");
    // The published code sets variants of the second beside the last variant of the first alone.
    let beside =
        |text| sides.iter().filter(|side| side.0 == text).map(|side| side.1).collect::<BTreeSet<_>>();
    assert!(first.iter().all(|text| beside(*text).len() > 1), "{sides:?}");
    assert_eq!(tally.copies + tally.duplicates, 20);
}

#[test]
fn an_excluded_text_keeps_both_sides_of_a_pair_out() {
    let mut augmenter = augmenter(2, SETTINGS);
    for text in ["film", "great"] {
        augmenter.excluded.insert(key(text));
    }
    let rows = [pair("good", "film"), pair("good", "bad")];
    let (copies, tally) = copied(&mut augmenter, &rows, 10);
    assert_eq!(tally.excluded_texts, 1);
    assert!(copies.iter().all(|row| row["text_pair"] != "film" && row["text"] != "great"));
    assert!(tally.excluded_copies > 0);
}

#[test]
fn copies_have_no_label_unless_asked_for() {
    for (labels, expected) in [(CopyLabels::Without, Value::Null), (CopyLabels::Original, "x".into())] {
        let (copies, _) = copied(&mut augmenter(2, Settings { labels, ..SETTINGS }), &[row("good film")], 1);
        assert!(!copies.is_empty() && copies.iter().all(|row| row["label"] == expected));
    }
}

#[test]
fn texts_without_a_word_to_replace_are_left() {
    let mut augmenter = augmenter(2, SETTINGS);
    augmenter.stop_words = {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("words"), "film\n").unwrap();
        StopWords::read(&folder.path().join("words")).unwrap()
    };
    let rows = ["", "   ", "Film", "unknown words", "good2 3", "\u{0}\u{fffd}"].map(row);
    let (copies, tally) = copied(&mut augmenter, &rows, 10);
    assert!(copies.is_empty());
    assert_eq!((tally.texts, tally.unchangeable_texts), (6, 6));
    assert_eq!((tally.words, tally.words_without_candidates), (2, 2));
    let (copies, _) = copied(&mut augmenter, &[row("good")], 1);
    assert_eq!(texts(&copies).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(["great", "fine"]));
}

#[test]
fn any_language_is_varied() {
    let rows = [row("Книга «Книга»"), row("我在东京。")];
    let (copies, _) = copied(&mut augmenter(1, SETTINGS), &rows, 10);
    let found: BTreeSet<_> = texts(&copies).into_iter().collect();
    let expected = ["Книга «Роман»", "Роман «Книга»", "Роман «Роман»", "我在大阪。"];
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn a_million_characters_are_varied_in_bounded_steps() {
    let text = "a good  film was bad, ".repeat(50_000);
    assert!(text.len() > 1_000_000 && text.len() * 16 > Augmenter::HELD);
    let settings = Settings { copies: 16, ..SETTINGS };
    let (copies, tally) = copied(&mut augmenter(2, settings), &[row(&text)], 1);
    assert_eq!((tally.copies, tally.words), (16, 200_000));
    for copy in texts(&copies) {
        assert_eq!(copy.split(' ').count(), text.split(' ').count());
    }
}
