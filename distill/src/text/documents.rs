//! The documents of a file, a stretch of text after the other.

use super::Sentences;
use crate::data::input::Input;
use anyhow::Result;
use std::path::Path;

/// The most bytes of text that are taken at once: 64 KiB. A longer line is cut at its last white space before, or where
/// there is none between two characters.
pub const STRETCH_BYTES: usize = 1 << 16;

/// Some text: a sentence, or a part of one that is longer than [`STRETCH_BYTES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The text. It begins with a space unless it begins a document or a word that was cut.
    pub text: String,
    /// What begins with it.
    pub begins: Begins,
}

/// What begins with a stretch of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// A document, and its first sentence.
    Document,
    /// A sentence.
    Sentence,
    /// Nothing: the sentence goes on.
    Nothing,
}

/// Reads a file stretch by stretch, and returns the SHA-256 of its bytes as they lie on disk, in hexadecimal. `sink` is also
/// told how many bytes of the file had been read by then. Gzip is recognised by its first bytes. White space alone makes a
/// line blank, and several blank lines one border.
///
/// # Errors
/// A missing, empty or unreadable file, and bytes that are not UTF-8 text, located; and whatever `sink` fails with.
pub fn scan(
    path: &Path,
    sentences: Sentences,
    sink: &mut dyn FnMut(Stretch, u64) -> Result<()>,
) -> Result<String> {
    scan_by(STRETCH_BYTES, path, sentences, sink)
}

/// [`scan`]s with stretches of at most `most` bytes.
fn scan_by(
    most: usize,
    path: &Path,
    sentences: Sentences,
    sink: &mut dyn FnMut(Stretch, u64) -> Result<()>,
) -> Result<String> {
    let mut input = Input::open(path)?;
    let mut line = Line { begins: Begins::Document, is_apart: true, has_text: false };
    let (mut buffer, mut number, mut offset) = (Vec::with_capacity(most), 1, 0);
    loop {
        let is_over = input.read_line(most - buffer.len(), &mut buffer, number)? == 0;
        let ends_line = buffer.last() == Some(&b'\n');
        if buffer.is_empty() {
            return Ok(input.fingerprint());
        }
        let end = match ends_line || is_over {
            true => buffer.len(),
            false if buffer.len() < most => continue,
            false => cut(&buffer),
        };
        let text = input.text(&buffer[..end], number, offset)?;
        line.hand_on(text, sentences, &mut |stretch| sink(stretch, input.bytes_read()))?;
        if ends_line {
            line = line.next();
            number += 1;
        }
        offset += end as u64;
        buffer.drain(..end);
    }
}

/// The line that is being read.
struct Line {
    /// What begins with its next stretch.
    begins: Begins,
    /// Whether white space, or the end of a line, stands before it.
    is_apart: bool,
    has_text: bool,
}

impl Line {
    fn hand_on(
        &mut self,
        text: &str,
        sentences: Sentences,
        sink: &mut dyn FnMut(Stretch) -> Result<()>,
    ) -> Result<()> {
        for sentence in sentences.split(text) {
            let own = sentence.trim();
            if own.is_empty() {
                self.is_apart |= !sentence.is_empty();
                continue;
            }
            let is_apart = self.is_apart || !sentence.starts_with(own);
            let text = match is_apart && self.begins != Begins::Document {
                true => format!(" {own}"),
                false => own.to_owned(),
            };
            sink(Stretch { text, begins: self.begins })?;
            self.is_apart = !sentence.ends_with(own);
            (self.begins, self.has_text) = (Begins::Sentence, true);
        }
        if self.has_text {
            self.begins = Begins::Nothing;
        }
        Ok(())
    }

    fn next(&self) -> Line {
        let begins = match self.has_text {
            true => Begins::Sentence,
            false => Begins::Document,
        };
        Line { begins, is_apart: true, has_text: false }
    }
}

/// Returns where to cut bytes that go on: before the last white space, else after the last whole character.
fn cut(bytes: &[u8]) -> usize {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if error.valid_up_to() > 0 => error.valid_up_to(),
        _ => bytes.len(),
    };
    let text = std::str::from_utf8(&bytes[..whole]).unwrap_or_default();
    match text.rfind(char::is_whitespace) {
        Some(space) if !text[..space].trim_start().is_empty() => space,
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    fn read_by(most: usize, bytes: &[u8], sentences: Sentences) -> Result<Vec<Stretch>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut stretches = Vec::new();
        let fingerprint = scan_by(most, file.path(), sentences, &mut |stretch, _| {
            assert!(stretch.text.len() <= most + 1, "no more is taken at once, but the space before it");
            stretches.push(stretch);
            Ok(())
        })?;
        assert_eq!(fingerprint, crate::data::fingerprint(bytes));
        Ok(stretches)
    }

    /// Returns the documents as lists of sentences, stretches joined.
    fn documents(stretches: &[Stretch]) -> Vec<Vec<String>> {
        let mut documents: Vec<Vec<String>> = Vec::new();
        for Stretch { text, begins } in stretches {
            match begins {
                Begins::Document => documents.push(vec![text.clone()]),
                Begins::Sentence => documents.last_mut().unwrap().push(text.clone()),
                Begins::Nothing => documents.last_mut().unwrap().last_mut().unwrap().push_str(text),
            }
        }
        documents
    }

    #[test]
    fn documents_are_divided_by_blank_lines() {
        let text = "\u{feff}\n\n One \r\ntwo words\n \t\r\n\n\nThree\u{3000}\n\n";
        let expected = [vec!["One".to_owned(), " two words".to_owned()], vec!["Three".to_owned()]];
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        for bytes in [text.as_bytes(), &gzip.finish().unwrap()] {
            assert_eq!(documents(&read_by(STRETCH_BYTES, bytes, Sentences::Lines).unwrap()), expected);
        }
        let stretches = read_by(STRETCH_BYTES, b"A b. C d.\ne", Sentences::Marks).unwrap();
        assert_eq!(documents(&stretches), [["A b.", " C d.", " e"]]);
    }

    #[test]
    fn lines_of_any_length_come_in_stretches_cut_at_white_space() {
        let stretches = read_by(8, "aaa bbb cccccccccccc é\n\ndd".as_bytes(), Sentences::Lines).unwrap();
        let texts: Vec<_> = stretches.iter().map(|stretch| stretch.text.as_str()).collect();
        assert_eq!(texts, ["aaa bbb", " ccccccc", "ccccc", " é", "dd"]);
        let begins: Vec<_> = stretches.iter().map(|stretch| stretch.begins).collect();
        assert_eq!(begins[..2], [Begins::Document, Begins::Nothing]);
        assert_eq!(begins[4], Begins::Document);
        let blank =
            read_by(8, &[b"a\n".to_vec(), vec![b' '; 1000], b"\nb".to_vec()].concat(), Sentences::Lines);
        assert_eq!(documents(&blank.unwrap()), [["a"], ["b"]], "a long blank line is blank");
    }

    proptest! {
        #[test]
        fn the_size_of_stretches_changes_no_word_and_no_border(
            text in "([ab]{1,5}|é|東| |  |\n|\n\n|\\. |\t){1,60}",
            most in 6_usize..20,
        ) {
            for sentences in [Sentences::Lines, Sentences::Marks] {
                let words = |documents: Vec<Vec<String>>| -> Vec<Vec<String>> {
                    documents.into_iter().map(|it| it.concat().split_whitespace().map(str::to_owned).collect()).collect()
                };
                let whole = words(documents(&read_by(STRETCH_BYTES, text.as_bytes(), sentences).unwrap()));
                let pieces = words(documents(&read_by(most, text.as_bytes(), sentences).unwrap()));
                prop_assert_eq!(whole, pieces);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(prop::sample::select(&b"a \n\r\xc3\xa9\xe6\x00\x1f\x8b"[..]), 1..80)) {
            let _ = read_by(8, &bytes, Sentences::Marks);
        }
    }

    #[test]
    fn what_is_no_text_is_located() {
        for (bytes, expected) in [
            (&b"a\nb\xff"[..], ":2: byte 0xff at offset 3 of the file is not UTF-8"),
            (b"aaaaaaaa\xc3", ":1: byte 0xc3 at offset 8 of the file is not UTF-8"),
            (b"aaaaaaa\xe6\x9d", ":1: byte 0xe6 at offset 7 of the file is not UTF-8"),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                ":1: byte 0xff at offset 0 of the file is not UTF-8",
            ),
            (b"a\n\nb\0", ":3: byte 4 of the file is NUL"),
            (b"", "is empty"),
        ] {
            let error = read_by(8, bytes, Sentences::Lines).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(hint_of(&error).is_some());
        }
    }
}
