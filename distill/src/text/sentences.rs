//! Where sentences end.

use serde::{Deserialize, Serialize};

/// What is a sentence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sentences {
    /// Each line is one.
    #[default]
    Lines,
    /// A line has several: one ends after `.`, `!`, `?` or `…`, and quotes or brackets that close, before white space that
    /// no lower-case letter follows; and after `。`, `！` or `？`. An abbreviation before a name ends one, too.
    Marks,
}

const ENDS: &[char] = &['.', '!', '?', '…'];
/// Of scripts that put no space after them.
const WIDE_ENDS: &[char] = &['。', '！', '？'];
const CLOSING: &[char] = &['"', '\'', '”', '’', '»', ')', ']', '」', '』', '）'];

impl Sentences {
    /// Cuts a part of a line into sentences; white space stays with what follows it.
    pub(super) fn split(self, text: &str) -> Vec<&str> {
        match self {
            Sentences::Lines => vec![text],
            Sentences::Marks => split_at_marks(text),
        }
    }
}

fn split_at_marks(text: &str) -> Vec<&str> {
    let (mut sentences, mut start) = (Vec::new(), 0);
    let mut from = 0;
    while let Some(found) = text[from..].find(|c| ENDS.contains(&c) || WIDE_ENDS.contains(&c)) {
        let mark = from + found;
        let is_wide = text[mark..].starts_with(WIDE_ENDS);
        let marks = text[mark..].trim_start_matches(|c| ENDS.contains(&c) || WIDE_ENDS.contains(&c));
        let rest = marks.trim_start_matches(CLOSING);
        from = text.len() - rest.len();
        let next = rest.trim_start();
        let is_end = is_wide || next.len() < rest.len() && !next.starts_with(char::is_lowercase);
        if is_end && !next.is_empty() {
            sentences.push(&text[start..from]);
            start = from;
        }
    }
    sentences.push(&text[start..]);
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sentences_end_at_marks_before_what_is_no_small_letter() {
        for (text, expected) in [
            ("One. Two! Three", &["One.", " Two!", " Three"][..]),
            ("He said \"no.\" Then (so?) left...", &["He said \"no.\"", " Then (so?) left..."]),
            ("About 3.5 of them, e.g. these. 2 more.", &["About 3.5 of them, e.g. these.", " 2 more."]),
            ("雨です。「はい！」と。", &["雨です。", "「はい！」", "と。"]),
            ("no end", &["no end"]),
            ("", &[""]),
            ("?!", &["?!"]),
        ] {
            assert_eq!(Sentences::Marks.split(text), expected);
            assert_eq!(Sentences::Lines.split(text), [text]);
        }
    }

    proptest! {
        #[test]
        fn sentences_are_the_whole_text(text in "[aB .!?。\"é…)]{0,40}") {
            prop_assert_eq!(Sentences::Marks.split(&text).concat(), text);
        }
    }
}
