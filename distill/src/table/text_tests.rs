//! Tables of plain text.

use super::*;
use crate::console::Talk;
use crate::error::hint_of;
use crate::examples::Examples;
use crate::masking::{Masker, Masking, Moment, Rarity};
use crate::task::Gold;
use crate::text::{Pairs, Sentences};
use crate::tokens::Encodings;
use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use std::sync::Arc;
use tempfile::TempDir;

const QUIET: Console = Console { talk: Talk::None, json: false };

/// A folder with a tokenizer and a text.
struct Fixture {
    folder: TempDir,
    tokenizer: Tokenizer,
}

impl Fixture {
    fn new(text: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let words = "[PAD] [UNK] [CLS] [SEP] [MASK] a b c d ##e .".replace(' ', "\n");
        std::fs::write(folder.path().join("vocab.txt"), words).unwrap();
        let tokenizer = Tokenizer::open(folder.path(), 12).unwrap();
        let fixture = Fixture { folder, tokenizer };
        std::fs::write(fixture.text(), text).unwrap();
        fixture
    }

    fn text(&self) -> PathBuf {
        self.folder.path().join("text.txt")
    }

    fn open(&self, packing: &Packing, threads: usize) -> Result<Table> {
        let path = self.text();
        let source =
            Source { path: &path, content: Content::Text(packing), tokenizer: &self.tokenizer, threads };
        open(&source, &self.folder.path().join("tables"), &QUIET)
    }

    fn rows(&self) -> Vec<Vec<u32>> {
        rows(&self.open(&Packing::default(), 1).unwrap())
    }
}

fn rows(table: &Table) -> Vec<Vec<u32>> {
    let mut encodings = Encodings::default();
    (0..table.len()).for_each(|row| table.encode_into(row, &mut encodings));
    (0..encodings.len()).map(|row| encodings.get(row).0.to_vec()).collect()
}

#[test]
fn documents_become_rows_that_end_with_them() {
    let text = "a b\nc de.\n\n\n\n \nb b b b b b b b b b b b b\n\nd";
    let expected = [
        vec![2, 5, 6, 7, 8, 9, 10, 3],
        [vec![2], vec![6; 10], vec![3]].concat(),
        vec![2, 6, 6, 6, 3],
        vec![2, 8, 3],
    ];
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    for bytes in [text.as_bytes(), &gzip.finish().unwrap()] {
        assert_eq!(Fixture::new(bytes).rows(), expected);
    }
}

#[test]
fn a_corpus_of_one_token_is_one_row_and_one_of_none_is_refused() {
    assert_eq!(Fixture::new(b"a").rows(), [[2, 5, 3]]);
    assert_eq!(Fixture::new(b"\n\n\na\n\n\n").rows(), [[2, 5, 3]]);
    for (text, packing, expected) in [
        ("\n \n\t\n", Packing::default(), "no row can be made"),
        ("", Packing::default(), "is empty"),
        ("a b c", Packing { min_length: 6, ..Packing::default() }, "; 1 were left out as too short"),
        ("a", Packing { pairs: Pairs::NextSentence, ..Packing::default() }, "no row can be made"),
        ("a", Packing { pairs: Pairs::SentenceOrder, ..Packing::default() }, "no row can be made"),
        (
            "a\nb\nc\nd",
            Packing { pairs: Pairs::NextSentence, ..Packing::default() },
            "there is no other document",
        ),
    ] {
        let error = Fixture::new(text.as_bytes()).open(&packing, 1).err().unwrap();
        assert!(error.to_string().contains(expected) && hint_of(&error).is_some(), "{error}");
    }
}

#[test]
fn a_document_of_a_million_words_in_one_line_is_cut_into_full_rows() {
    let fixture = Fixture::new("a b c d ".repeat(250_000).as_bytes());
    let table = fixture.open(&Packing::default(), 2).unwrap();
    assert_eq!(table.len(), 100_000);
    let expected = [[2, 5, 6, 7, 8, 5, 6, 7, 8, 5, 6, 3], [2, 7, 8, 5, 6, 7, 8, 5, 6, 7, 8, 3]];
    assert!(rows(&table).iter().enumerate().all(|(row, ids)| *ids == expected[row % 2]));
}

/// Two hundred documents of sentences.
fn many() -> String {
    let sentence =
        |number: usize| format!("{}{}. ", "a ".repeat(1 + number % 4), ["b", "ce", "d"][number % 3]);
    let line = |document: usize| (0..8).map(|number| sentence(document + number * 5)).collect::<String>();
    (0..200).map(|document| format!("{}\n{}\n\n", line(document), line(document / 2))).collect()
}

#[test]
fn threads_change_nothing_and_seeds_have_their_own_tables() {
    for pairs in [Pairs::None, Pairs::NextSentence, Pairs::SentenceOrder] {
        let packing = Packing { pairs, sentences: Sentences::Marks, short: 0.3, ..Packing::default() };
        let fixture = Fixture::new(many().as_bytes());
        let made = [1, 3].map(|threads| {
            let table = fixture.open(&packing, threads).unwrap();
            let made = rows(&table);
            drop(table);
            std::fs::remove_dir_all(fixture.folder.path().join("tables")).unwrap();
            made
        });
        assert_eq!(made[0], made[1]);
        fixture.open(&packing, 1).unwrap();
        let other = fixture.open(&Packing { seed: 1, ..packing.clone() }, 1).unwrap();
        assert_ne!(rows(&other), made[0]);
        assert_eq!(std::fs::read_dir(fixture.folder.path().join("tables")).unwrap().count(), 2);
    }
}

#[test]
fn rows_of_text_are_examples_like_any_other() {
    for pairs in [Pairs::None, Pairs::NextSentence, Pairs::SentenceOrder] {
        let packing = Packing { pairs, sentences: Sentences::Marks, ..Packing::default() };
        let table = Arc::new(Fixture::new(many().as_bytes()).open(&packing, 1).unwrap());
        let names: Vec<&str> = table.labels().iter().map(|(label, _)| label).collect();
        assert_eq!(names, pairs.labels());
        let (kept, held) = Examples::of(Arc::clone(&table), pairs.meaning()).hold_out(0.2);
        assert!(!held.is_empty() && kept.len() + held.len() == table.len());
        let golds = kept.golds();
        match pairs {
            Pairs::None => assert!(golds.iter().all(|gold| *gold == Gold::Missing)),
            _ => assert!((0..2).all(|class| golds.contains(&Gold::Class(class)))),
        }
        let batch = kept.pack(&[0, 5, 7]);
        assert_eq!(batch.type_ids().contains(&1), pairs != Pairs::None);
    }
}

#[test]
fn rows_of_another_tokenizer_are_not_taken_for_the_same() {
    let fixture = Fixture::new(many().as_bytes());
    let other = Fixture { tokenizer: Tokenizer::open(fixture.folder.path(), 9).unwrap(), ..fixture };
    let shorter = Arc::new(other.open(&Packing::default(), 1).unwrap());
    let fixture = Fixture { tokenizer: Tokenizer::open(other.folder.path(), 12).unwrap(), ..other };
    let examples = Examples::of(Arc::new(fixture.open(&Packing::default(), 1).unwrap()), Vec::new());
    let error = examples.read_from(&shorter).err().unwrap();
    assert!(error.to_string().contains("different rows") && hint_of(&error).is_some(), "{error}");
    assert!(examples.read_from(examples.table()).is_ok());
}

#[test]
fn a_batch_of_text_is_masked_by_the_rows_of_its_table() {
    let fixture = Fixture::new(many().as_bytes());
    let table = Arc::new(fixture.open(&Packing::default(), 1).unwrap());
    let (examples, _) = Examples::of(table, Vec::new()).hold_out(0.3);
    let inventory = fixture.tokenizer.inventory();
    let rarity = Rarity::among(&examples, inventory.size);
    assert!(rarity.weight(8) > rarity.weight(5), "`d` is rarer than `a`");
    let masker = Masker::new(Masking::default(), inventory).unwrap();
    let mask = |chosen: &[usize]| {
        let batch = examples.pack(chosen);
        let rows: Vec<usize> = chosen.iter().map(|&example| examples.row(example)).collect();
        masker.mask(batch.ids(), batch.offsets(), &rows, Moment { seed: 1, epoch: 0 })
    };
    let (both, alone) = (mask(&[3, 9]), mask(&[9]));
    assert!(both.ids.ends_with(&alone.ids));
    assert!(both.targets.ends_with(&alone.targets) && !alone.targets.is_empty());
}
