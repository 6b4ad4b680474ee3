//! The promises of trimming, held against the tokenizer itself: made-up vocabularies, made-up corpora.

use super::files::write_tokenizer;
use super::proof::{Sample, compare_tokens};
use super::{Plan, Texts};
use crate::corpus::Subject;
use crate::recipe::DataSection;
use crate::tokens::Tokenizer;
use anyhow::Result;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const SPECIAL: [&str; 4] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];

/// Writes a `tokenizer.json` with these pieces after the special ones; cased or not.
fn write_definition(folder: &Path, pieces: &[&str], lowercase: bool) {
    let all = SPECIAL.iter().chain(pieces);
    let vocab: Value = all.enumerate().map(|(id, piece)| ((*piece).to_owned(), id)).collect();
    let added: Vec<_> = (0..SPECIAL.len())
        .map(|id| {
            json!({ "id": id, "content": SPECIAL[id], "special": true, "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false })
        })
        .collect();
    let definition = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                        "strip_accents": null, "lowercase": lowercase },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2] },
        "decoder": null,
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                   "max_input_chars_per_word": 100, "vocab": vocab },
    });
    std::fs::write(folder.join("tokenizer.json"), definition.to_string()).unwrap();
}

/// A tokenizer before and after trimming.
struct Trimmed {
    plan: Plan,
    new: Tokenizer,
    old: Tokenizer,
    sample: Sample,
    _folder: tempfile::TempDir,
}

impl Trimmed {
    fn kept(&self) -> Vec<String> {
        let pieces = self.plan.definition.pieces();
        let kept = pieces.into_iter().filter(|(id, _)| self.plan.numbering.new_id(*id).is_some());
        kept.map(|(_, piece)| piece.to_owned()).filter(|piece| !SPECIAL.contains(&piece.as_str())).collect()
    }

    fn is_unknown(&self, tokenizer: &Tokenizer, word: &str) -> bool {
        let unknown = tokenizer.id_of("[UNK]").unwrap();
        tokenizer.encode(&[(word, None)], 1).unwrap().get(0).0.contains(&unknown)
    }
}

fn trim(pieces: &[&str], lowercase: bool, corpus: &str) -> Result<Trimmed> {
    let folder = tempfile::tempdir().unwrap();
    write_definition(folder.path(), pieces, lowercase);
    let path = folder.path().join("corpus.txt");
    std::fs::write(&path, corpus).unwrap();
    let subject = Subject::of_data(&DataSection::default(), None)?;
    let texts = Texts { path: &path, subject: &subject, threads: 2 };
    let old = Tokenizer::open(folder.path(), 128)?;
    let plan = Plan::of(&old, &json!({ "pad_token_id": 0 }), &texts)?;
    let trimmed = folder.path().join("trimmed");
    std::fs::create_dir(&trimmed).unwrap();
    write_tokenizer(old.source(), &plan.definition, &plan.numbering, &trimmed)?;
    let new = Tokenizer::open(&trimmed, 128)?;
    let sample = compare_tokens(&plan, &old, &new, &texts)?;
    Ok(Trimmed { plan, new, old, sample, _folder: folder })
}

#[test]
fn pieces_of_the_corpus_and_characters_stay_and_the_rest_goes() {
    let pieces =
        ["film", "good", "##s", "f", "##i", "東", "##東", "g", "##o", "##l", "##m", "##d", "##ood", "o"];
    let trimmed = trim(&pieces, true, "A FILM, 東東 [SEP]\n").unwrap();
    let expected = ["film", "##s", "f", "##i", "東", "##東", "g", "##o", "##l", "##m", "##d", "o"];
    assert_eq!(trimmed.kept(), expected, "a good film is spelled in letters");
    assert!(!trimmed.is_unknown(&trimmed.new, "good films 東"));
    assert_eq!((trimmed.plan.texts, trimmed.sample.old.len()), (1, 1));
}

#[test]
fn case_counts_where_the_tokenizer_says_so() {
    let pieces = ["Go", "go", "G", "g", "##o"];
    assert_eq!(trim(&pieces, true, "Go").unwrap().kept(), ["go", "G", "g", "##o"]);
    assert_eq!(trim(&pieces, false, "Go").unwrap().kept(), ["Go", "G", "g", "##o"]);
}

#[test]
fn a_piece_on_the_way_to_a_dead_end_is_kept() {
    // `abc` is unknown: `ab` is the longest start, and nothing goes on with `c`. Without `ab`, `a` and `##bc` would.
    let pieces = ["a", "ab", "##b", "##bc", "b", "c"];
    let trimmed = trim(&pieces, true, "abc\n").unwrap();
    assert!(trimmed.is_unknown(&trimmed.old, "abc") && trimmed.is_unknown(&trimmed.new, "abc"));
    assert!(trimmed.kept().contains(&"ab".to_owned()));
}

#[test]
fn a_corpus_of_nothing_known_keeps_what_is_indispensable() {
    let pieces = ["good", "g", "##o", "##d", "bad", "##x"];
    let trimmed = trim(&pieces, true, "🙂 Привет\n").unwrap();
    // `bad` cannot be spelled: there is no `b`.
    assert_eq!(trimmed.kept(), ["g", "##o", "##d", "bad", "##x"]);
    assert_eq!(trimmed.plan.used, 0);
    let nothing = trim(&pieces, true, "").err().unwrap().to_string();
    assert!(nothing.contains("is empty"), "{nothing}");
}

#[test]
fn a_corpus_that_changes_while_it_is_read_is_an_error() {
    let trimmed = trim(&["a", "b"], true, "a\n").unwrap();
    let path = trimmed._folder.path().join("other.txt");
    std::fs::write(&path, "b\n").unwrap();
    let subject = Subject::of_data(&DataSection::default(), None).unwrap();
    let texts = Texts { path: &path, subject: &subject, threads: 1 };
    let error = compare_tokens(&trimmed.plan, &trimmed.old, &trimmed.new, &texts).unwrap_err().to_string();
    assert!(error.contains("changed while it was read"), "{error}");
}

/// Words of a small alphabet, in which pieces overlap often; `é` and `東` take more than a byte, 🙂 is never a piece.
fn words(most: usize, alphabet: &'static [char]) -> impl Strategy<Value = Vec<String>> {
    let word = prop::collection::vec(prop::sample::select(alphabet), 1..5).prop_map(String::from_iter);
    prop::collection::vec(word, 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn texts_of_the_corpus_get_the_same_pieces_and_no_text_is_lost(
        starts in words(20, &['a', 'b', 'c', 'é', '東']),
        ends in words(20, &['a', 'b', 'c', 'é', '東']),
        corpus in words(12, &['a', 'b', 'c', 'é', '東', '🙂']),
        others in words(12, &['a', 'b', 'c', 'é', '東']),
    ) {
        let ends: Vec<String> = ends.iter().map(|end| format!("##{end}")).collect();
        let distinct: BTreeSet<&str> = starts.iter().chain(&ends).map(String::as_str).collect();
        let pieces: Vec<&str> = distinct.into_iter().collect();
        // That the pieces are the same is what `trim` proves, or fails.
        let trimmed = trim(&pieces, false, &format!("{}\n", corpus.join(" "))).unwrap();
        let model = &trimmed.plan.definition.model;
        for word in &others {
            let lost = trimmed.is_unknown(&trimmed.new, word) && !trimmed.is_unknown(&trimmed.old, word);
            prop_assert!(!lost || !model.is_spelled(word), "{word} is lost");
        }
    }
}
