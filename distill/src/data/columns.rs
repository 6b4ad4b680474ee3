//! Which columns hold the texts and the label: as asked for, or else by the names that published data sets use.

use super::{Place, Quirks};
use crate::names::{list, nearest};
use anyhow::Result;

/// The columns asked for, each by its name or by its position from 1, written `#3`.
///
/// If neither text is given, both are found by their names. If only the first is given, there is no second. A label
/// that is not given is found by its name, or is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// The text, or the first of a pair.
    pub text: Option<String>,
    /// The second text.
    pub text_pair: Option<String>,
    /// The label.
    pub label: Option<String>,
}

/// Where the parts of a row are, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Selected {
    pub(super) text: usize,
    pub(super) text_pair: Option<usize>,
    pub(super) label: Option<usize>,
}

const PAIRS: [(&str, &str); 9] = [
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("premise", "hypothesis"),
    ("#1 string", "#2 string"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("sentence_a", "sentence_b"),
    ("text", "text_pair"),
];

const TEXTS: [&str; 15] = [
    "sentence",
    "text",
    "review",
    "content",
    "utterance",
    "question",
    "query",
    "comment",
    "comment_text",
    "tweet",
    "message",
    "description",
    "document",
    "body",
    "input",
];

const LABELS: [&str; 13] = [
    "label",
    "labels",
    "gold_label",
    "category",
    "class",
    "is_duplicate",
    "quality",
    "score",
    "target",
    "sentiment",
    "intent",
    "similarity_score",
    "class index",
];

const HOW_TO_CHOOSE: &str = "choose with `--text`, `--text-pair` and `--label`, by name, or by position as in \
                             `--text '#2'`";

impl Columns {
    /// Whether any column is asked for by name: then there must be names to look among.
    pub(super) fn by_name(&self) -> bool {
        self.asked().any(|(_, column)| position(column).is_none())
    }

    /// Whether any column is asked for at all.
    pub(super) fn is_empty(&self) -> bool {
        self.asked().next().is_none()
    }

    fn asked(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [("--text", &self.text), ("--text-pair", &self.text_pair), ("--label", &self.label)]
            .into_iter()
            .filter_map(|(flag, column)| Some((flag, column.as_deref()?)))
    }

    /// Finds the columns among those that `place`, a header or a first object, names.
    pub(super) fn among(&self, names: &[&str], place: Place<'_>) -> Result<Selected> {
        let find = |column: &Option<String>| {
            column.as_deref().map(|column| locate(column, names, place)).transpose()
        };
        let text_pair = find(&self.text_pair)?;
        let (text, found_pair) = match find(&self.text)? {
            Some(text) => (text, None),
            None => known_texts(names).ok_or_else(|| {
                place.error(
                    format!("no column is known to be the text; there are {}", list(names.iter().copied())),
                    HOW_TO_CHOOSE,
                )
            })?,
        };
        let label = match find(&self.label)? {
            Some(label) => Some(label),
            None => known_label(names),
        };
        Ok(Selected { text, text_pair: text_pair.or(found_pair), label })
    }

    /// Finds the columns in a file without a header, whose first row is `fields`.
    pub(super) fn by_position(&self, quirks: &Quirks, fields: &[&str], place: Place<'_>) -> Result<Selected> {
        if let Some((flag, column)) = self.asked().find(|(_, column)| position(column).is_none()) {
            return Err(place.error(
                format!("`{flag} {column}` is a name, but the file is said to have no header"),
                format!("give a position, as in `{flag} '#2'`"),
            ));
        }
        if self.is_empty() {
            let (text, text_pair, label) = match quirks.headerless {
                Some(positions) => positions,
                None if fields.len() == 1 => (1, None, None),
                None => {
                    return Err(place.error(
                        format!(
                            "none of the {} fields is a known column name: {}",
                            fields.len(),
                            list(fields.iter().copied())
                        ),
                        HOW_TO_CHOOSE,
                    ));
                }
            };
            return Self {
                text: Some(format!("#{text}")),
                text_pair: text_pair.map(|column| format!("#{column}")),
                label: label.map(|column| format!("#{column}")),
            }
            .by_position(&Quirks::default(), fields, place);
        }
        let find = |column: &Option<String>| {
            column.as_deref().map(|column| locate(column, fields, place)).transpose()
        };
        let text = find(&self.text)?.ok_or_else(|| {
            place.error(
                "the file has no header, and the text's position is not given",
                "give `--text` a position",
            )
        })?;
        Ok(Selected { text, text_pair: find(&self.text_pair)?, label: find(&self.label)? })
    }
}

/// Whether any of the fields is a well-known column name: then they are a header.
pub(super) fn any_known(fields: &[&str]) -> bool {
    fields.iter().any(|field| {
        let field = field.trim().to_lowercase();
        LABELS.contains(&field.as_str())
            || TEXTS.contains(&field.as_str())
            || PAIRS.iter().any(|(first, second)| [*first, *second].contains(&field.as_str()))
    })
}

/// Returns the column that is the label by its name.
pub(super) fn known_label(names: &[&str]) -> Option<usize> {
    LABELS.iter().find_map(|label| matching(label, names).next())
}

fn known_texts(names: &[&str]) -> Option<(usize, Option<usize>)> {
    let pair = PAIRS.iter().find_map(|(first, second)| {
        Some((matching(first, names).next()?, Some(matching(second, names).next()?)))
    });
    pair.or_else(|| Some((TEXTS.iter().find_map(|text| matching(text, names).next())?, None)))
}

fn matching<'a>(name: &'a str, names: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
    (0..names.len()).filter(move |column| names[*column].trim().eq_ignore_ascii_case(name))
}

/// Returns the position from 1 in `#3`; a column may be called `#1 String`.
fn position(column: &str) -> Option<usize> {
    column.strip_prefix('#')?.parse().ok()
}

fn locate(column: &str, names: &[&str], place: Place<'_>) -> Result<usize> {
    if let Some(position) = position(column) {
        return position.checked_sub(1).filter(|index| *index < names.len()).ok_or_else(|| {
            place.error(
                format!(
                    "there is no column `{column}`; there are {}: {}",
                    names.len(),
                    list(names.iter().copied())
                ),
                format!("positions go from `#1` to `#{}`", names.len()),
            )
        });
    }
    let exact: Vec<usize> = (0..names.len()).filter(|index| names[*index] == column).collect();
    let found = if exact.is_empty() { matching(column.trim(), names).collect() } else { exact };
    match found[..] {
        [index] => Ok(index),
        [] => Err(place.error(
            format!("there is no column `{column}`; there are {}", list(names.iter().copied())),
            nearest(column, names.iter().copied())
                .map_or_else(|| HOW_TO_CHOOSE.to_owned(), |near| format!("did you mean `{near}`?")),
        )),
        [first, second, ..] => Err(place.error(
            format!("column `{column}` is there more than once"),
            format!("choose by position, `#{}` or `#{}`", first + 1, second + 1),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn first_line() -> Place<'static> {
        Place { path: Path::new("data.tsv"), line: 1 }
    }

    fn columns(text: &str, text_pair: &str, label: &str) -> Columns {
        let [text, text_pair, label] = [text, text_pair, label]
            .map(|column| Some(column.to_owned()).filter(|column| !column.is_empty()));
        Columns { text, text_pair, label }
    }

    #[test]
    fn the_headers_of_published_data_sets_are_understood() {
        for (header, text, text_pair, label) in [
            ("sentence,label", 0, None, Some(1)),
            ("index,sentence", 1, None, None),
            ("Quality,#1 ID,#2 ID,#1 String,#2 String", 3, Some(4), Some(0)),
            ("id,qid1,qid2,question1,question2,is_duplicate", 3, Some(4), Some(5)),
            ("index,question,sentence,label", 1, Some(2), Some(3)),
            ("gold_label,sentence1,sentence2", 1, Some(2), Some(0)),
            ("premise,hypothesis,label,idx", 0, Some(1), Some(2)),
            ("index,promptID,pairID,genre,sentence1,sentence2,label1,gold_label", 4, Some(5), Some(7)),
            ("index,genre,source1,source2,sentence1,sentence2,score", 4, Some(5), Some(6)),
            ("text,category", 0, None, Some(1)),
            ("Text,Sentiment", 0, None, Some(1)),
        ] {
            let names: Vec<&str> = header.split(',').collect();
            assert!(any_known(&names), "{header}");
            let selected = columns("", "", "").among(&names, first_line()).unwrap();
            assert_eq!(selected, Selected { text, text_pair, label }, "{header}");
        }
    }

    #[test]
    fn columns_asked_for_win_over_columns_found() {
        let names = ["id", "sentence1", "sentence2", "label", "body"];
        for (asked, text, text_pair, label) in [
            (columns("body", "", ""), 4, None, Some(3)),
            (columns("Body", "", "id"), 4, None, Some(0)),
            (columns("#2", "#5", "#1"), 1, Some(4), Some(0)),
            (columns("", "body", ""), 1, Some(4), Some(3)),
        ] {
            assert_eq!(
                asked.among(&names, first_line()).unwrap(),
                Selected { text, text_pair, label },
                "{asked:?}"
            );
        }
    }

    #[test]
    fn a_column_that_is_not_there_is_named_with_what_is_and_what_was_meant() {
        let names = ["sentence", "label", "Label", "label"];
        for (asked, message, hint) in [
            (
                columns("sentense", "", ""),
                "no column `sentense`; there are `sentence`, `label`",
                "did you mean `sentence`?",
            ),
            (columns("", "", "label"), "column `label` is there more than once", "`#2` or `#4`"),
            (columns("", "", "#5"), "no column `#5`; there are 4", "`#1` to `#4`"),
            (columns("", "", "#0"), "no column `#0`", "`#1` to `#4`"),
        ] {
            let error = asked.among(&names, first_line()).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.to_string().starts_with("data.tsv:1: "), "{error}");
            assert!(crate::error::hint_of(&error).unwrap().contains(hint));
        }
    }
}
