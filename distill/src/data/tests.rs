use super::*;
use crate::error::hint_of;
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::io::Write as _;

/// Reads bytes as a file of the given name.
fn read_bytes(name: &str, bytes: &[u8], reading: &Reading) -> Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read(&path, reading)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn positions(text: &str, text_pair: Option<&str>, label: Option<&str>) -> Columns {
    let owned = |column: &str| column.to_owned();
    Columns { text: Some(owned(text)), text_pair: text_pair.map(owned), label: label.map(owned) }
}

fn row(line: usize, text: &str, text_pair: Option<&str>, label: Option<&str>) -> Row {
    let owned = |text: &str| text.to_owned();
    Row { text: owned(text), text_pair: text_pair.map(owned), label: label.map(owned), line }
}

#[test]
fn rows_are_read_in_every_format_with_their_lines() {
    let by_default = Reading::default();
    let stsb =
        Quirks { delimited: Some(Format::Tsv), headerless: Some((2, Some(3), Some(1))), unlabelled: None };
    let snli = Quirks { unlabelled: Some("-"), ..Quirks::default() };
    let quoted = Reading { quoting: Some(Quoting::Rfc4180), ..Reading::default() };
    for (name, bytes, reading, expected) in [
        // Quotes are literal in TSV, an empty label is none, blank lines are skipped, a lone CR is text.
        (
            "a.tsv",
            "sentence\tlabel\n\"so \"good\t1\n\n\ra\rb\t\n",
            &by_default,
            vec![row(2, "\"so \"good", None, Some("1")), row(4, "\ra\rb", None, None)],
        ),
        // A byte-order mark and CRLF, as in MRPC.
        (
            "b.txt",
            "\u{feff}Quality\t#1 ID\t#1 String\t#2 String\r\n1\t7\tx\ty\"\r\n",
            &by_default,
            vec![row(2, "x", Some("y\""), Some("1"))],
        ),
        // Quoted fields hold delimiters, quotes and line ends, as in Banking77.
        (
            "c.csv",
            "text,category\r\n\"a, \"\"b\"\"\r\nc\",card\r\n\r\nplain \"d\",atm\r\n\"e\",\"atm\"",
            &by_default,
            vec![
                row(2, "a, \"b\"\r\nc", None, Some("card")),
                row(5, "plain \"d\"", None, Some("atm")),
                row(6, "e", None, Some("atm")),
            ],
        ),
        ("d.tsv", "text\tlabel\n\"a\tb\"\t1\n", &quoted, vec![row(2, "a\tb", None, Some("1"))]),
        // No header: positions; a surplus field is no matter.
        (
            "e.csv",
            "0.5\ta, \"b\tc\n5\td\te\thttp://source\n",
            &Reading { quirks: stsb, ..Reading::default() },
            vec![row(1, "a, \"b", Some("c"), Some("0.5")), row(2, "d", Some("e"), Some("5"))],
        ),
        (
            "f.tsv",
            "ham\thello\n",
            &Reading { columns: positions("#2", None, Some("#1")), ..Reading::default() },
            vec![row(1, "hello", None, Some("ham"))],
        ),
        // The header is told by a column asked for by name.
        (
            "g.tsv",
            "x\ty\na\tb\n",
            &Reading { columns: positions("y", Some("x"), None), ..Reading::default() },
            vec![row(2, "b", Some("a"), None)],
        ),
        (
            "h.txt",
            "one line\n\nanother, line",
            &by_default,
            vec![row(1, "one line", None, None), row(3, "another, line", None, None)],
        ),
        (
            "i.tsv",
            "gold_label\tsentence1\tsentence2\n-\ta\tb\n",
            &Reading { quirks: snli, ..Reading::default() },
            vec![row(2, "a", Some("b"), None)],
        ),
        (
            "j.jsonl",
            "\u{feff}{\"label\": 1, \"text\": \"a\\tb\"}\n\n{\"text\": \"c\", \"label\": null}\r\n{\"text\": \"\", \"label\": false}\n",
            &by_default,
            vec![row(1, "a\tb", None, Some("1")), row(3, "c", None, None), row(4, "", None, Some("false"))],
        ),
    ] {
        let plain = read_bytes(name, bytes.as_bytes(), reading).unwrap();
        assert_eq!(plain.rows, expected, "{name}");
        let packed = read_bytes(&format!("{name}.gz"), &gzip(bytes.as_bytes()), reading).unwrap();
        assert_eq!(packed.rows, expected, "{name}.gz");
    }
}

#[test]
fn complaints_name_the_line_and_say_what_to_do() {
    let tsv = Reading { format: Some(Format::Tsv), ..Reading::default() };
    let by_default = Reading::default();
    let no_header = Reading { header: Header::Absent, ..Reading::default() };
    let named = |columns| Reading { columns, header: Header::Absent, ..Reading::default() };
    for (name, bytes, reading, message, hint) in [
        ("a.tsv", &b""[..], &by_default, "a.tsv` is empty", "check"),
        ("a.tsv", b"sentence\tlabel\n\n", &by_default, "a.tsv` has no rows", "example"),
        ("a.tsv", b"\n\r\n", &by_default, "a.tsv` has no rows", "example"),
        ("a.jsonl", b"\n", &by_default, "a.jsonl` has no rows", "example"),
        ("a.dat", b"x", &by_default, "cannot tell the format", "--format"),
        (
            "a.tsv",
            b"sentence\tlabel\n\nx\n",
            &by_default,
            "a.tsv:3: expected 2 fields as in the header, found 1",
            "delimiter",
        ),
        (
            "a.tsv",
            b"sentence\tlabel\nx\ty\t1\n",
            &by_default,
            "a.tsv:2: expected 2 fields as in the header, found 3",
            "delimiter",
        ),
        (
            "a.txt",
            b"x\nx\ty\n",
            &by_default,
            "a.txt:2: expected one field as on the first line, found 2",
            "delimiter",
        ),
        (
            "a.tsv",
            b"ham\tx\n",
            &by_default,
            "a.tsv:1: none of the 2 fields is a known column name: `ham`, `x`",
            "--text '#2'",
        ),
        (
            "a.tsv",
            b"sentence\tlabel\nx\t1\n",
            &named(positions("text", None, None)),
            "a.tsv:1: `--text text` is a name",
            "'#2'",
        ),
        (
            "a.tsv",
            b"1\tx\n1\n",
            &named(positions("#2", None, Some("#1"))),
            "a.tsv:2: expected at least 2 fields, found 1",
            "delimiter",
        ),
        (
            "a.tsv",
            b"a\tlabel\nx\t1\n",
            &by_default,
            "a.tsv:1: no column is known to be the text; there are `a`, `label`",
            "--text",
        ),
        (
            "a.tsv",
            b"sentence\nx\ncaf\xe9\n",
            &tsv,
            "a.tsv:3: byte 0xe9 at offset 14 of the file is not UTF-8",
            "iconv",
        ),
        ("a.tsv", b"sentence\nx\n\0\n", &tsv, "a.tsv:3: byte 11 of the file is NUL", "utf-16"),
        (
            "a.csv",
            b"text,label\na,b\n\"c,d\n\ne,f\n",
            &by_default,
            "a.csv:3: the quotation mark that opens a field here is not closed before the file ends",
            "twice",
        ),
        ("a.csv", b"\"a\nb\",\"c\n", &no_header, "a.csv:2: the quotation mark that opens", "twice"),
        (
            "a.jsonl",
            b"{\"text\": \"a\"}\n{\"text\": \"a\",}\n",
            &by_default,
            "a.jsonl:2: this is not JSON: trailing comma at column 14",
            "one whole JSON object",
        ),
        (
            "a.json",
            b"[\n{}]",
            &by_default,
            "a.json:1: this is not JSON: EOF while parsing a list at column 1",
            "jq",
        ),
        (
            "a.json",
            b"[{\"text\": \"a\"}]",
            &by_default,
            "a.json:1: expected a JSON object, found an array",
            "jq",
        ),
        (
            "a.jsonl",
            b"{\"text\": [\"a\"]}",
            &by_default,
            "a.jsonl:1: expected a string under `text`, found an array",
            "--text",
        ),
        (
            "a.jsonl",
            b"{\"text\": \"a\", \"label\": {}}",
            &by_default,
            "a.jsonl:1: expected a string, a number",
            "--label",
        ),
        (
            "a.jsonl",
            b"{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"labell\": 1}",
            &by_default,
            "a.jsonl:2: there is no key `label`",
            "where it says `labell`",
        ),
        (
            "a.jsonl",
            b"{\"text\": \"a\"}\n{\"text\": \"b\", \"label\": 1}",
            &by_default,
            "a.jsonl:2: this row has a `label`, but the first row has none",
            "null",
        ),
    ] {
        let error = read_bytes(name, bytes, reading).unwrap_err();
        assert!(error.to_string().contains(message), "expected `{message}`, found `{error}`");
        assert!(hint_of(&error).unwrap().contains(hint), "expected `{hint}`, found {:?}", hint_of(&error));
    }
}

#[test]
fn a_missing_file_is_named_with_its_neighbour() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("train.tsv"), "x").unwrap();
    let error = read(&folder.path().join("trian.tsv"), &Reading::default()).unwrap_err();
    assert!(error.to_string().contains("there is no file `"), "{error}");
    assert!(hint_of(&error).unwrap().contains("train.tsv"));
    let error = read(&folder.path().join("nowhere/at.tsv"), &Reading::default()).unwrap_err();
    assert!(hint_of(&error).unwrap().contains("check the path"));
}

#[test]
fn a_long_line_and_a_long_quoted_field_are_refused_where_they_begin() {
    let long = vec![b'a'; MAX_LINE_BYTES + 1];
    let lines = b"a line\n".repeat(MAX_LINE_BYTES / 7 + 2);
    for (name, start, rest, message) in [
        ("a.tsv", &b"sentence\nx\n"[..], &long, "a.tsv:3: the line is longer than"),
        ("a.jsonl", b"", &long, "a.jsonl:1: the line is longer than"),
        (
            "a.csv",
            b"text,label\nx,1\n\"",
            &lines,
            "a.csv:3: the quotation mark that opens a field here is not closed within",
        ),
    ] {
        let bytes = [start, rest].concat();
        for (name, bytes) in [(name.to_owned(), bytes.clone()), (format!("{name}.gz"), gzip(&bytes))] {
            let error = read_bytes(&name, &bytes, &Reading::default()).unwrap_err();
            assert!(
                error.to_string().contains(&message.replace(name.trim_end_matches(".gz"), &name)),
                "{error}"
            );
        }
    }
}

#[test]
fn a_damaged_gzip_stream_is_located() {
    let text =
        (0..2000).fold("sentence\n".to_owned(), |text, i| text + &format!("number {}\n", i * 7919 % 4001));
    let packed = gzip(text.as_bytes());
    let mut flipped = packed.clone();
    flipped[packed.len() / 2] ^= 0xff;
    for (bytes, message) in [
        (&packed[..packed.len() / 2], "the gzip stream ends early"),
        (&packed[..packed.len() - 4], "the gzip stream ends early"),
        (&packed[..3], "the gzip stream ends early"),
        (&flipped, "the gzip stream is broken"),
    ] {
        let error = read_bytes("a.tsv.gz", bytes, &Reading::default()).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("a.tsv.gz:"), "{error}");
    }
}

#[test]
fn the_fingerprint_is_of_the_bytes_on_disk() {
    let text = "sentence\n".to_owned() + &"some words\n".repeat(10_000);
    for bytes in [text.as_bytes().to_vec(), gzip(text.as_bytes())] {
        let dataset = read_bytes("a.tsv", &bytes, &Reading::default()).unwrap();
        assert_eq!(dataset.fingerprint, fingerprint(&bytes));
    }
    // The second vector of FIPS 180-2, appendix B.
    assert_eq!(fingerprint(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/// A field of anything that may stand in one.
fn field() -> impl Strategy<Value = String> {
    "[ -~äß😀\"',\r\n]{0,12}".prop_map(|text| text.trim_matches(['\r', '\n']).to_owned())
}

proptest! {
    #[test]
    fn any_bytes_give_rows_or_a_complaint_with_a_hint(bytes in proptest::collection::vec(
        prop_oneof![proptest::sample::select(&b"\"\",,\t\t\n\r{}[]:1a"[..]), any::<u8>()], 0..200,
    )) {
        for name in ["a.tsv", "a.csv", "a.jsonl"] {
            match read_bytes(name, &bytes, &Reading::default()) {
                Ok(dataset) => prop_assert!(!dataset.rows.is_empty()),
                Err(error) => prop_assert!(hint_of(&error).is_some(), "{}", error),
            }
        }
    }

    #[test]
    fn what_is_written_as_csv_is_read_as_csv(fields in proptest::collection::vec((field(), field()), 1..8)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["text", "label"]).unwrap();
        for (text, label) in &fields {
            writer.write_record([text, label]).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let dataset = read_bytes("a.csv", &bytes, &Reading::default()).unwrap();
        let read: Vec<_> = dataset.rows.iter().map(|row| (row.text.clone(), row.label.clone().unwrap_or_default())).collect();
        prop_assert_eq!(read, fields);
        // Each row begins on its line: after as many line feeds as came before it.
        let mut line = 2;
        for row in &dataset.rows {
            prop_assert_eq!(row.line, line);
            line += 1 + [&row.text, row.label.as_ref().unwrap_or(&String::new())].map(|text| text.matches('\n').count()).iter().sum::<usize>();
        }
    }

    #[test]
    fn what_has_no_tab_or_line_end_survives_tsv(texts in proptest::collection::vec("[ -~äß😀\"']{0,12}", 1..8)) {
        let file = texts.iter().fold("text\tlabel\r\n".to_owned(), |file, text| file + text + "\t7\r\n");
        let dataset = read_bytes("a.tsv", file.as_bytes(), &Reading::default()).unwrap();
        prop_assert_eq!(dataset.rows.iter().map(|row| row.text.clone()).collect::<Vec<_>>(), texts);
    }

    #[test]
    fn any_string_survives_json_lines(texts in proptest::collection::vec((".*", any::<i64>()), 1..8)) {
        let file: String = texts.iter().map(|(text, label)| serde_json::json!({"text": text, "label": label}).to_string() + "\n").collect();
        let dataset = read_bytes("a.jsonl", file.as_bytes(), &Reading::default()).unwrap();
        let read: Vec<_> = dataset.rows.into_iter().map(|row| (row.text, row.label.unwrap().parse::<i64>().unwrap())).collect();
        prop_assert_eq!(read, texts);
    }
}
