use super::*;
use crate::error::hint_of;
use crate::tokens::inventory::tests::{byte_bpe, word_piece};
use proptest::prelude::*;
use std::collections::BTreeSet;

const CLS: u32 = 2;
const SEP: u32 = 3;
const UNKNOWN: u32 = 1;

/// Documents of sentences of tokens.
type Documents = Vec<Vec<Vec<u32>>>;

fn tokenizer(max_length: usize) -> Tokenizer {
    let (_folder, tokenizer) = word_piece();
    tokenizer.cut_at(max_length).unwrap()
}

/// Makes sequences of at most `max_length` tokens out of documents; returns them with the number of those left out.
fn form(documents: &Documents, packing: &Packing, max_length: usize) -> (Sequences, u64) {
    let mut former = Former::new(packing, &tokenizer(max_length)).unwrap();
    let mut sequences = Sequences::default();
    for document in documents {
        for (number, sentence) in document.iter().enumerate() {
            let begins = if number == 0 { Begins::Document } else { Begins::Sentence };
            former.add(sentence, begins, &mut sequences);
        }
    }
    former.finish(&mut sequences);
    assert_eq!(sequences.classes.len(), sequences.encodings.len());
    (sequences, former.num_left_out())
}

/// Returns the texts of each sequence, without special tokens.
fn texts(sequences: &Sequences) -> Vec<Vec<u32>> {
    let text = |row: usize| {
        let (ids, _) = sequences.encodings.get(row);
        assert_eq!((ids[0], ids[ids.len() - 1]), (CLS, SEP));
        ids[1..ids.len() - 1].to_vec()
    };
    (0..sequences.encodings.len()).map(text).collect()
}

/// Documents whose tokens say where they stand: document x 1000 + place, from 1000.
fn placed(lengths: &[Vec<usize>]) -> Documents {
    let document = |(number, lengths): (usize, &Vec<usize>)| {
        let mut next = 1000 * (number as u32 + 1);
        let sentence = |&length: &usize| {
            let ids = next..next + length as u32;
            next = ids.end;
            ids.collect()
        };
        lengths.iter().map(sentence).collect()
    };
    lengths.iter().enumerate().map(document).collect()
}

fn any_documents() -> impl Strategy<Value = Documents> {
    prop::collection::vec(prop::collection::vec(0_usize..9, 1..9), 1..9).prop_map(|lengths| placed(&lengths))
}

proptest! {
    #[test]
    fn every_token_stands_in_one_full_sequence_of_its_document(documents in any_documents(), max_length in 5_usize..30) {
        let (sequences, _) = form(&documents, &Packing::default(), max_length);
        let mut expected = Vec::new();
        for document in &documents {
            expected.extend(document.concat().chunks(max_length - 2).map(<[u32]>::to_vec));
        }
        prop_assert_eq!(texts(&sequences), expected);
        prop_assert!(sequences.classes.iter().all(|&class| class == 0));
        let segments = (0..sequences.encodings.len()).flat_map(|row| sequences.encodings.get(row).1);
        prop_assert!(segments.into_iter().all(|&segment| segment == 0));
    }

    #[test]
    fn documents_that_share_sequences_are_joined_by_the_end_of_a_text(
        documents in any_documents(),
        max_length in 5_usize..30,
    ) {
        let packing = Packing { borders: Borders::Crossed, ..Packing::default() };
        let (sequences, _) = form(&documents, &packing, max_length);
        let texts = texts(&sequences);
        let all: Vec<u32> = texts.concat().into_iter().filter(|&id| id != SEP).collect();
        prop_assert_eq!(all, documents.concat().concat());
        for (number, text) in texts.iter().enumerate() {
            prop_assert!(text.first() != Some(&SEP) && text.last() != Some(&SEP));
            for two in text.windows(2) {
                let is_border = two[0] != SEP && two[1] != SEP && two[0] / 1000 != two[1] / 1000;
                prop_assert!(!is_border, "{:?}", two);
            }
            // The last is as long as it is, and one is left open where a separator and a token have no room.
            let least = if number + 1 == texts.len() { 1 } else { max_length - 3 };
            prop_assert!((least..=max_length - 2).contains(&text.len()));
        }
    }

    #[test]
    fn pairs_fit_and_say_what_they_are(documents in any_documents(), max_length in 5_usize..30, seed: u64, short: bool) {
        for pairs in [Pairs::NextSentence, Pairs::SentenceOrder] {
            let packing = Packing { pairs, seed, short: f64::from(u8::from(short)), ..Packing::default() };
            let (sequences, _) = form(&documents, &packing, max_length);
            prop_assert_eq!(&sequences, &form(&documents, &packing, max_length).0);
            for row in 0..sequences.encodings.len() {
                check_pair(&sequences, row, pairs, max_length);
            }
        }
    }
}

/// Returns A, B and the class of a sequence.
fn pair(sequences: &Sequences, row: usize) -> (Vec<u32>, Vec<u32>, u16) {
    let (ids, segments) = sequences.encodings.get(row);
    let middle = segments.iter().position(|&segment| segment == 1).unwrap();
    assert!(segments[middle..].iter().all(|&segment| segment == 1));
    assert_eq!((ids[0], ids[middle - 1], ids[ids.len() - 1]), (CLS, SEP, SEP));
    (ids[1..middle - 1].to_vec(), ids[middle..ids.len() - 1].to_vec(), sequences.classes[row])
}

fn check_pair(sequences: &Sequences, row: usize, pairs: Pairs, max_length: usize) {
    let (a, b, class) = pair(sequences, row);
    let full = max_length - 3;
    assert!(!a.is_empty() && !b.is_empty() && a.len() + b.len() <= full, "{a:?} {b:?}");
    let (first, then) = match (pairs, class) {
        (Pairs::SentenceOrder, 2) => (&b, &a),
        _ => (&a, &b),
    };
    let (last, next) = (first[first.len() - 1], then[0]);
    match (pairs, class) {
        (Pairs::NextSentence, 2) => assert_ne!(last / 1000, next / 1000, "another document"),
        (_, 1 | 2) if a.len() + b.len() < full => assert_eq!(next, last + 1, "what follows"),
        (_, 1 | 2) => assert!(last < next && last / 1000 == next / 1000, "what follows, shortened"),
        (_, class) => panic!("{class} is no class"),
    }
    for text in [&a, &b] {
        assert!(text.windows(2).all(|two| two[0] < two[1]), "in the order of its document: {text:?}");
    }
}

/// 400 documents of 20 sentences of 3 to 15 tokens.
fn many() -> Documents {
    let lengths = |document: usize| (0..20).map(|sentence| 3 + (document * 7 + sentence * 5) % 13).collect();
    placed(&(0..400).map(lengths).collect::<Vec<Vec<_>>>())
}

#[test]
fn both_classes_of_pairs_are_as_frequent() {
    for (pairs, tolerance) in [(Pairs::NextSentence, 0.06), (Pairs::SentenceOrder, 0.03)] {
        let (sequences, _) = form(&many(), &Packing { pairs, ..Packing::default() }, 64);
        let count = sequences.classes.len() as f64;
        let share = sequences.classes.iter().filter(|&&class| class == 2).count() as f64 / count;
        // A sentence alone at the end of a document has no next one, so that a few more come from elsewhere.
        assert!((share - 0.5).abs() < tolerance, "{pairs:?}: {share} of {count}");
    }
}

#[test]
fn next_sentences_come_from_many_documents_and_no_text_is_passed_over() {
    let packing = Packing { pairs: Pairs::NextSentence, ..Packing::default() };
    let (sequences, _) = form(&many(), &packing, 64);
    let (mut own, mut distances) = (BTreeSet::new(), BTreeSet::new());
    for row in 0..sequences.classes.len() {
        let (a, b, class) = pair(&sequences, row);
        own.extend(a.iter().copied());
        match class {
            1 => own.extend(b),
            _ => _ = distances.insert(a[0] / 1000 - b[0] / 1000),
        }
    }
    assert!(distances.len() > 200, "{}", distances.len());
    let all = many().concat().concat().len();
    assert!(
        own.len() as f64 > 0.85 * all as f64,
        "what replaced sentences is used again: {} of {all}",
        own.len()
    );
}

#[test]
fn another_seed_draws_other_pairs_and_lengths() {
    for pairs in [Pairs::None, Pairs::NextSentence, Pairs::SentenceOrder] {
        let made =
            |seed: u64| form(&many(), &Packing { pairs, short: 0.5, seed, ..Packing::default() }, 64).0;
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
    }
}

#[test]
fn one_in_ten_sequences_is_shortened_where_that_is_asked() {
    let document = placed(&[vec![900; 1]]).remove(0);
    let documents = vec![document; 1000];
    let (sequences, _) = form(&documents, &Packing { short: 0.1, ..Packing::default() }, 32);
    let lengths: Vec<usize> = texts(&sequences).iter().map(Vec::len).collect();
    assert_eq!(lengths.iter().sum::<usize>(), 900_000, "nothing is lost");
    let full = lengths.iter().filter(|&&length| length == 30).count() as f64 / lengths.len() as f64;
    // Those at the ends of documents are shorter, too: 1 in 31.
    assert!((full - (0.9 + 0.1 / 29.0) * 30.5 / 31.5).abs() < 0.02, "{full}");
    assert!((2..=30).all(|length| lengths.contains(&length)), "every length is met");
}

#[test]
fn short_and_unknown_sequences_are_left_out_where_that_is_asked() {
    let documents = vec![
        vec![vec![7; 9]],
        vec![vec![7; 10]],
        vec![[vec![UNKNOWN; 5], vec![7; 4]].concat()],
        vec![[vec![UNKNOWN; 6], vec![7; 4]].concat()],
        vec![[vec![UNKNOWN; 5], vec![7; 5]].concat()],
    ];
    let packing = Packing { min_length: 12, max_unknown: Some(0.5), ..Packing::default() };
    let (sequences, left_out) = form(&documents, &packing, 64);
    assert_eq!(texts(&sequences), [documents[1][0].clone(), documents[4][0].clone()]);
    assert_eq!(left_out, 3);
    assert_eq!(form(&documents, &Packing::default(), 64).1, 0);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    for (packing, max_length, expected) in [
        (Packing { short: 1.5, ..Packing::default() }, 16, "`short` is 1.5"),
        (Packing { short: f64::NAN, ..Packing::default() }, 16, "`short` is NaN"),
        (Packing { max_unknown: Some(0.0), ..Packing::default() }, 16, "`max_unknown` is 0"),
        (Packing { min_length: 17, ..Packing::default() }, 16, "no sequence of 16 tokens"),
        (
            Packing { pairs: Pairs::SentenceOrder, borders: Borders::Crossed, ..Packing::default() },
            16,
            "cannot cross their borders",
        ),
    ] {
        let error = Former::new(&packing, &tokenizer(max_length)).err().unwrap();
        assert!(error.to_string().contains(expected) && hint_of(&error).is_some(), "{error}");
    }
    let (_folder, roberta) = byte_bpe();
    let roberta = roberta.cut_at(5).unwrap();
    let error = Former::new(&Packing { pairs: Pairs::NextSentence, ..Packing::default() }, &roberta);
    assert!(error.err().unwrap().to_string().contains("has room for 2 besides 4 special ones"));
    assert!(Former::new(&Packing::default(), &roberta).is_ok());
}
