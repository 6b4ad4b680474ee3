//! What stored logits depend on besides the text, and what differs when they are another model's.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::iter::zip;

const VERSION: u64 = 1;

/// What logits depend on besides the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The SHA-256 of the teacher, in hexadecimal digits.
    pub teacher: String,
    /// The SHA-256 of the tokenizer, in hexadecimal digits.
    pub tokenizer: String,
    /// The number of tokens at which texts were cut.
    pub max_length: usize,
    /// The names of the C logits, in their order.
    pub labels: Vec<String>,
}

impl Provenance {
    /// Returns the number of logits of an example, C.
    pub fn num_classes(&self) -> usize {
        self.labels.len()
    }

    /// Returns one line of JSON, the same for the same provenance.
    pub(super) fn to_json(&self) -> String {
        let Provenance { teacher, tokenizer, max_length, labels } = self;
        json!({
            "version": VERSION, "teacher": teacher, "tokenizer": tokenizer, "max_length": max_length, "labels": labels
        })
        .to_string()
    }

    /// Reads what [`Self::to_json`] wrote; the error is the reason why it cannot.
    pub(super) fn from_json(text: &str) -> Result<Self, String> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| format!("its header is not JSON: {error}"))?;
        match value["version"].as_u64() {
            Some(VERSION) => {}
            Some(other) => return Err(format!("its format version is {other}, not {VERSION}")),
            None => return Err("its header has no format version".into()),
        }
        serde_json::from_value(value).map_err(|error| format!("its header is incomplete: {error}"))
    }

    /// Says what differs in `found`, ready to be read out; empty when nothing does.
    pub(super) fn differences(&self, found: &Provenance) -> String {
        let mut differences = Vec::new();
        for (what, found, expected) in
            [("teacher", &found.teacher, &self.teacher), ("tokenizer", &found.tokenizer, &self.tokenizer)]
        {
            if found != expected {
                differences.push(format!("{what} {} instead of {}", quoted(found, 12), quoted(expected, 12)));
            }
        }
        if found.max_length != self.max_length {
            differences.push(format!("max_length `{}` instead of `{}`", found.max_length, self.max_length));
        }
        differences.extend(label_difference(&found.labels, &self.labels));
        differences.join(", ")
    }
}

/// Says how two lists of labels differ: by their number, else where they first part.
fn label_difference(found: &[String], expected: &[String]) -> Option<String> {
    if found.len() != expected.len() {
        return Some(format!("`{}` labels instead of `{}`", found.len(), expected.len()));
    }
    let parting = zip(found, expected).position(|(found, expected)| found != expected)?;
    let [found, expected] = [found, expected].map(|labels| quoted(&labels[parting], 40));
    Some(format!("label {parting} {found} instead of {expected}"))
}

/// Quotes the beginning of a text that a file claims, harmless to any terminal.
fn quoted(text: &str, num_chars: usize) -> String {
    let shown: String = text.chars().take(num_chars).flat_map(char::escape_debug).collect();
    format!("`{shown}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::sample::provenance;

    #[test]
    fn what_differs_is_named_with_what_was_found_and_expected() {
        type Change = fn(&mut Provenance);
        let changed = |change: Change| {
            let mut found = provenance();
            change(&mut found);
            provenance().differences(&found)
        };
        let cases: [(Change, &str); 7] = [
            (|_| {}, ""),
            (
                |found| found.teacher = "0123456789abcdef".into(),
                "teacher `0123456789ab` instead of `7ea7ea7ea7ea`",
            ),
            (
                |found| found.tokenizer = "\u{1b}[2J".into(),
                "tokenizer `\\u{1b}[2J` instead of `70c70c70c70c`",
            ),
            (|found| found.max_length = 64, "max_length `64` instead of `128`"),
            (|found| found.labels.truncate(2), "`2` labels instead of `3`"),
            (|found| found.labels.swap(1, 2), "label 1 `positive` instead of `neutral`"),
            (
                |found| (found.max_length, found.labels[0]) = (1, "bad".into()),
                "max_length `1` instead of `128`, label 0 `bad` instead of `negative`",
            ),
        ];
        for (change, expected) in cases {
            assert_eq!(changed(change), expected);
        }
    }

    #[test]
    fn a_provenance_is_read_back_and_another_version_is_not() {
        let json = provenance().to_json();
        assert_eq!(Provenance::from_json(&json), Ok(provenance()));
        for (damaged, reason) in [
            (json.replace("\"version\":1", "\"version\":2"), "its format version is 2, not 1"),
            (json.replace("\"version\":1", "\"v\":1"), "its header has no format version"),
            (json.replace("128", "-1"), "its header is incomplete"),
            (json.replace("labels", "names"), "its header is incomplete"),
            (json.replace('{', ""), "its header is not JSON"),
        ] {
            assert!(Provenance::from_json(&damaged).unwrap_err().starts_with(reason), "{damaged}");
        }
    }
}
