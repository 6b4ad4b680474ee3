use super::*;
use crate::console::Talk;
use crate::data::Reading;
use crate::examples::Examples;
use crate::labels::{self, Key, Keys, Provenance, Request, key};
use crate::task::Gold;
use crate::tokens::Encodings;
use proptest::prelude::*;
use std::fs::File;
use std::sync::Arc;
use tempfile::TempDir;

const QUIET: Console = Console { talk: Talk::None, json: false };

/// A folder with a tokenizer and a data file.
struct Fixture {
    folder: TempDir,
    tokenizer: Tokenizer,
    reading: Reading,
    kind: Kind,
}

impl Fixture {
    fn new(data: &str, kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let words = "[PAD] [UNK] [CLS] [SEP] [MASK] a b c d".replace(' ', "\n");
        std::fs::write(folder.path().join("vocab.txt"), words).unwrap();
        let tokenizer = Tokenizer::open(folder.path(), 12).unwrap();
        let fixture = Fixture { folder, tokenizer, reading: Reading::default(), kind };
        std::fs::write(fixture.data(), data).unwrap();
        fixture
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data.tsv")
    }

    fn tables(&self) -> PathBuf {
        self.folder.path().join("labels.tokens")
    }

    fn open_with(&self, threads: usize) -> Result<Table> {
        let (path, reading, tokenizer) = (self.data(), &self.reading, &self.tokenizer);
        let content = Content::Rows { reading, kind: self.kind };
        open(&Source { path: &path, content, tokenizer, threads }, &self.tables(), &QUIET)
    }

    fn open(&self) -> Table {
        self.open_with(1).unwrap()
    }

    /// Returns the one table that was made, and its bytes.
    fn made(&self) -> (PathBuf, Vec<u8>) {
        let mut entries: Vec<_> =
            std::fs::read_dir(self.tables()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(entries.len(), 1, "{entries:?}");
        let path = entries.remove(0);
        (path.clone(), std::fs::read(path).unwrap())
    }
}

/// Returns what comes after the header of a table: that names the folder, and says whether the data had been left alone for
/// some seconds.
fn columns(table: &[u8]) -> &[u8] {
    let (length, rest) = table.split_first_chunk().unwrap();
    &rest[u64::from_le_bytes(*length) as usize..]
}

/// Returns the keys of a table's rows.
fn by_row(table: &Table) -> Vec<Key> {
    let keys = Keys::new(vec![table.keys()]);
    let key = keys.by_example();
    (0..table.len()).map(key).collect()
}

fn tsv(header: &str, rows: &[(String, String, String)]) -> String {
    let rows = rows.iter().map(|(text, pair, label)| format!("{text}\t{pair}\t{label}\n"));
    format!("{header}\n{}", rows.collect::<String>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_table_holds_what_reading_and_encoding_give(
        rows in prop::collection::vec(("[a-e ]{1,30}", "[a-d ]{0,9}", "|x|y|z"), 1..200),
        paired: bool,
    ) {
        let header = if paired { "text\ttext_pair\tlabel" } else { "text\tother\tlabel" };
        let fixture = Fixture::new(&tsv(header, &rows), Kind::Classification);
        let table = fixture.open();
        let dataset = crate::data::read(&fixture.data(), &fixture.reading).unwrap();
        let expected = fixture.tokenizer.encode(&dataset.texts(), 1).unwrap();
        let mut found = Encodings::default();
        (0..table.len()).for_each(|row| table.encode_into(row, &mut found));
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!((0..table.len()).map(|row| table.length(row)).collect::<Vec<_>>(), expected.lengths());
        let backwards = table.lengths((0..table.len()).rev());
        prop_assert_eq!(backwards.into_iter().rev().collect::<Vec<_>>(), expected.lengths());
        let names: Vec<String> = table.labels().iter().map(|(label, _)| label.to_owned()).collect();
        let meaning: Vec<Gold> = (0..names.len()).map(Gold::Class).collect();
        let sorted: Vec<_> = table.keys().iter().map(|(row, key)| (*key, row)).collect();
        prop_assert!(sorted.is_sorted() && sorted.len() == table.len());
        let keys = by_row(&table);
        for (number, row) in dataset.rows.iter().enumerate() {
            let label = match table.gold(number, &meaning) {
                Gold::Class(class) => Some(names[class].clone()),
                _ => None,
            };
            prop_assert_eq!(&label, &row.label);
            prop_assert_eq!(keys[number], key(&row.text, row.text_pair.as_deref()));
        }
        prop_assert_eq!(table.fingerprint(), dataset.fingerprint);
    }
}

/// A file of many rows with pairs and labels.
fn many() -> String {
    let rows: Vec<_> = (0..20_000_u32)
        .map(|i| {
            (
                format!("a b {i} {}", "c ".repeat(i as usize % 9)),
                "d".repeat(i as usize % 3),
                (i % 5).to_string(),
            )
        })
        .collect();
    tsv("text\ttext_pair\tlabel", &rows)
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let made = [1, 2, 5].map(|threads| {
        let fixture = Fixture::new(&many(), Kind::Classification);
        drop(fixture.open_with(threads).unwrap());
        columns(&fixture.made().1).to_vec()
    });
    assert!(made[0] == made[1] && made[0] == made[2]);
}

#[test]
fn values_of_a_regression_are_kept_as_they_are() {
    let fixture = Fixture::new("text\tscore\na\t1.5\nb\t\nc\t-3\n", Kind::Regression);
    let table = Arc::new(fixture.open());
    let golds = Examples::of(table, Vec::new()).golds();
    assert_eq!(golds, [Gold::Value(1.5), Gold::Missing, Gold::Value(-3.0)]);
    let bad = Fixture::new("text\tscore\na\t1.5\nb\tgood\n", Kind::Regression);
    let error = bad.open_with(1).err().unwrap().to_string();
    assert!(error.ends_with("data.tsv:3: expected a finite number, found `good`"), "{error}");
    assert!(std::fs::read_dir(bad.tables()).unwrap().next().is_none(), "nothing is left of a failure");
}

#[test]
fn a_table_is_taken_again_until_anything_changes() {
    let mut fixture = Fixture::new("text\tlabel\na b\t0\nc\t1\n", Kind::Classification);
    drop(fixture.open());
    let (path, before) = fixture.made();
    // Marked, so that a table that is made anew shows.
    let modified = || std::fs::metadata(&path).unwrap().modified().unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    drop(fixture.open());
    assert_eq!(modified(), long_ago, "nothing has changed");

    std::fs::write(fixture.data(), "text\tlabel\na b\t0\nd\t1\n").unwrap();
    let table = fixture.open();
    assert_eq!(by_row(&table)[1], key("d", None));
    assert!(modified() != long_ago && fixture.made().1 != before, "the table of the old data is replaced");

    fixture.tokenizer = fixture.tokenizer.cut_at(5).unwrap();
    assert_eq!(fixture.open().len(), 2);
    assert_eq!(std::fs::read_dir(fixture.tables()).unwrap().count(), 2, "another length has its own table");
}

#[test]
fn a_damaged_table_is_made_anew_and_none_panics() {
    let rows: Vec<_> = (0..70).map(|i| (format!("a {i}"), "b".to_owned(), (i % 2).to_string())).collect();
    let fixture = Fixture::new(&tsv("text\ttext_pair\tlabel", &rows), Kind::Classification);
    drop(fixture.open());
    let (path, whole) = fixture.made();
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let table = fixture.open();
        (0..table.len()).for_each(|row| table.encode_into(row, &mut Encodings::default()));
        let meaning = vec![Gold::Missing; table.labels().iter().len()];
        assert_eq!(
            (0..table.len()).filter(|&row| table.gold(row, &meaning) == Gold::Missing).count(),
            table.len()
        );
    };
    for end in (0..whole.len()).step_by(97) {
        read(&whole[..end]);
        assert!(columns(&fixture.made().1) == columns(&whole), "cut at {end}");
    }
    let header = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    for at in (0..header).step_by(3).chain((header..whole.len()).step_by(29)) {
        for flip in [1, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            read(&bytes);
        }
    }
}

#[test]
fn what_is_wrong_with_a_table_is_said() {
    let fixture = Fixture::new("text\ttext_pair\tlabel\na\tb\t0\nc\td\t1\n", Kind::Classification);
    drop(fixture.open());
    let (path, whole) = fixture.made();
    let data = fixture.data();
    let (reading, tokenizer) = (&fixture.reading, &fixture.tokenizer);
    let content = Content::Rows { reading, kind: fixture.kind };
    let source = Source { path: &data, content, tokenizer, threads: 1 };
    let columns = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    // starts 8 · order 2 x 4 · classes 2 x 2 · lengths 2 x 2 · ids 10 x 2 · keys 2 x 16
    for (at, byte, expected) in [
        (0, 1, "row 0 does not start where it should"),
        (8, 7, "names row 7, which is not there, or twice"),
        (8, 1 - whole[columns + 8], "which is not there, or twice"),
        (44, 255, "is out of order"),
        (16, 3, "a label without a name"),
        (20, 0, "row 0 has no tokens"),
        (20, 6, "do not add up"),
        (24, 200, "it has the token 200, but there are 9"),
    ] {
        let mut bytes = whole.clone();
        bytes[columns + at] = byte;
        std::fs::write(&path, bytes).unwrap();
        let error = source.view(&path).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(expected), "{at}: {error}");
    }
}

#[test]
fn where_nothing_can_be_written_a_table_is_made_in_passing() {
    let fixture = Fixture::new("text\tlabel\na b\t0\nc\t1\n", Kind::Classification);
    std::fs::write(fixture.tables(), "a file where the folder should be").unwrap();
    assert_eq!(fixture.open().len(), 2);
}

#[test]
fn examples_are_held_out_by_their_keys() {
    let table = Arc::new(Fixture::new(&many(), Kind::Classification).open());
    let meaning: Vec<Gold> = (0..5).map(Gold::Class).collect();
    let (kept, held) = Examples::of(Arc::clone(&table), meaning).hold_out(0.1);
    assert_eq!(kept.len() + held.len(), table.len());
    assert!((1700..2300).contains(&held.len()), "{}", held.len());
    assert_eq!(held.num_labelled(), held.len());
    let one = held.encodings([7]);
    assert_eq!(one.get(0).0.len(), held.length(7));
    assert_eq!(kept.spread(100).len(), 100);
    assert!(kept.spread(100).last().unwrap() > kept.len() * 9 / 10);
}

#[test]
fn shuffled_examples_have_each_others_logits_and_nothing_else_changes() {
    let rows: String = (0..500)
        .map(|row| format!("{}\t{}\n", "a ".repeat(1 + row % 9) + &row.to_string(), row % 2))
        .collect();
    let fixture = Fixture::new(&format!("text\tlabel\n{rows}"), Kind::Classification);
    let table = Arc::new(fixture.open());
    let provenance =
        Provenance { teacher: "00".into(), tokenizer: "11".into(), max_length: 12, labels: vec!["x".into()] };
    let keys = Keys::new(vec![table.keys()]);
    let path = fixture.folder.path().join("labels.safetensors");
    let request = Request { path: &path, provenance: &provenance, keys, shard: None };
    let mut next = 0.0;
    let mut number = |chosen: &[usize]| {
        Ok(ndarray::Array2::from_shape_simple_fn((chosen.len(), 1), || {
            next += 1.0;
            next
        }))
    };
    let store = Arc::new(labels::label(&request, &mut number).unwrap());
    let (mut kept, mut held) = Examples::of(table, vec![Gold::Class(0), Gold::Class(1)]).hold_out(0.2);
    Examples::taught_by(&mut [&mut kept, &mut held], &store).unwrap();
    let logits = |examples: &Examples| -> Vec<u32> {
        examples.soft(0..examples.len()).unwrap().iter().map(|&logit| logit as u32).collect()
    };
    let sorted = |mut logits: Vec<u32>| {
        logits.sort_unstable();
        logits
    };
    let shuffled = kept.shuffled(7);
    let (own, others) = (logits(&kept), logits(&shuffled));
    assert_eq!(sorted(own.clone()), sorted(others.clone()), "a permutation within the examples");
    assert!(own.iter().zip(&others).filter(|(own, other)| own == other).count() < 10);
    assert_eq!(others, logits(&kept.shuffled(7)), "the same seed gives the same one");
    assert_ne!(others, logits(&kept.shuffled(8)));
    assert_eq!(shuffled.golds(), kept.golds());
    assert_eq!(shuffled.encodings(0..kept.len()), kept.encodings(0..kept.len()));
    assert!(!kept.untaught().is_taught() && kept.untaught().soft(0..3).is_none());
}
