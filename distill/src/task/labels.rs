//! Labels: the data's, the teacher's, and which of the one is which of the other.
//!
//! The order of classes is where distillation goes wrong without a sound: a teacher that calls output 0 entailment
//! and a file in which 0 means contradiction fit perfectly by shape. So labels meet by name wherever both have names.

use super::RawLabels;
use crate::data::{Row, error_at};
use crate::error::explained;
use crate::names::{list, nearest};
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::Path;

/// The names of the classes, in the order of a model's outputs or of a data set's ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSet {
    names: Vec<String>,
}

/// What an example should be predicted to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gold {
    /// The index of the class in the [`LabelSet`].
    Class(usize),
    /// The value of a regression.
    Value(f32),
    /// The example has no label.
    Missing,
}

impl LabelSet {
    /// Makes a set of at least two different names.
    ///
    /// # Errors
    ///
    /// There are fewer, or one is empty, or there twice.
    pub fn new<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let hint = "name each class once, as in `--labels negative,positive`";
        if names.len() < 2 {
            return Err(explained(format!("expected at least two labels, found {}", names.len()), hint));
        }
        let mut seen = BTreeSet::new();
        for name in &names {
            if name.trim().is_empty() {
                return Err(explained("a label has no name", hint));
            }
            if !seen.insert(name) {
                return Err(explained(format!("label `{name}` is there twice"), hint));
            }
        }
        Ok(Self { names })
    }

    /// The names, by index.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of classes, `C`.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns the index of the name: as it is written, or else the only one that differs from it in case.
    pub fn position(&self, name: &str) -> Option<usize> {
        let exact = self.names.iter().position(|other| other == name);
        exact.or_else(|| {
            let folded = name.to_lowercase();
            let mut alike = (0..self.len()).filter(|index| self.names[*index].to_lowercase() == folded);
            alike.next().filter(|_| alike.next().is_none())
        })
    }

    /// Whether the names say nothing: `LABEL_0`, `LABEL_1`, … as exporters write by default, or bare numbers.
    pub fn is_meaningless(&self) -> bool {
        self.names.iter().all(|name| {
            let name = name.to_lowercase();
            name.strip_prefix("label_").unwrap_or(&name).parse::<usize>().is_ok()
        })
    }

    fn list(&self) -> String {
        list(self.names.iter().map(String::as_str))
    }
}

/// Returns, for each label of a file, the index of its class among `labels`, the teacher's.
///
/// The file is judged as a whole. If all its labels are names of `labels`, they are meant (case is ignored where that
/// is unambiguous). Otherwise, if all are integers from 0 below C, or booleans, they are ids: of the first of `orders`
/// whose names are all the teacher's, else of `labels` itself. Give the published order of the data first, then the order
/// in the teacher's own files; then a user who renames the outputs changes what they mean to a file of ids, too. The id -1
/// marks a row without a label.
///
/// # Errors
///
/// A label is neither, located; or the teacher's names are meaningless and the data's are not.
pub fn align(raw: &RawLabels, labels: &LabelSet, orders: &[LabelSet]) -> Result<Vec<Gold>> {
    let by_name: Vec<Option<usize>> = raw.iter().map(|(label, _)| labels.position(label)).collect();
    if by_name.iter().all(Option::is_some) {
        return Ok(by_name.into_iter().flatten().map(Gold::Class).collect());
    }
    let ids = raw.iter().map(|(label, _)| id(label)).collect::<Option<Vec<i64>>>();
    let Some(ids) = ids.filter(|_| by_name.iter().all(Option::is_none)) else {
        return Err(unknown(raw, labels, &by_name));
    };
    let index_of_id = by_id(labels, orders);
    let gold = |(id, (label, line)): (i64, (&str, usize))| match usize::try_from(id) {
        Ok(id) if id < index_of_id.len() => Ok(Gold::Class(index_of_id[id])),
        Err(_) if id == -1 => Ok(Gold::Missing),
        _ => Err(out_of_range(raw, line, label, labels)),
    };
    ids.into_iter().zip(raw.iter()).map(gold).collect()
}

/// Returns the labels that a file calls for when no teacher does: the published ones if all labels fit them, else the
/// distinct ones, sorted by value if they are integers and by name if not.
///
/// # Errors
///
/// There are fewer than two.
pub fn label_set_of(raw: &RawLabels, published: Option<&LabelSet>) -> Result<LabelSet> {
    let mut labels: Vec<&str> = raw.iter().map(|(label, _)| label).collect();
    if labels.len() < 2 {
        let found = if labels.is_empty() {
            "no labels".to_owned()
        } else {
            format!("only the label {}", list(labels))
        };
        return Err(explained(
            format!("`{}` has {found}, where at least two classes are needed", raw.path().display()),
            "choose the column of the labels with `--label`",
        ));
    }
    if let Some(order) = published.filter(|order| align(raw, order, &[]).is_ok()) {
        return Ok(order.clone());
    }
    labels.sort_unstable();
    if labels.iter().all(|label| label.parse::<i64>().is_ok()) {
        labels.sort_by_key(|label| label.parse::<i64>().ok());
    }
    LabelSet::new(labels)
}

/// Returns the label of a row as a number.
///
/// # Errors
///
/// It is not a finite number, located.
pub fn score(path: &Path, row: &Row) -> Result<Gold> {
    let Some(label) = row.label.as_deref() else { return Ok(Gold::Missing) };
    let value = label.trim().parse().ok().filter(|value: &f32| value.is_finite());
    value.map(Gold::Value).ok_or_else(|| {
        let hint = "choose the column of the scores with `--label`; for class labels choose another task";
        error_at(path, row.line, format!("expected a finite number, found {}", list([label])), hint)
    })
}

fn id(label: &str) -> Option<i64> {
    match label {
        "false" => Some(0),
        "true" => Some(1),
        _ => label.parse().ok(),
    }
}

/// Which of the teacher's outputs each id of the data stands for.
fn by_id(labels: &LabelSet, orders: &[LabelSet]) -> Vec<usize> {
    let in_order = |order: &LabelSet| order.names.iter().map(|name| labels.position(name)).collect();
    let mut known = orders.iter().filter(|order| order.len() == labels.len()).filter_map(in_order);
    known.next().unwrap_or_else(|| (0..labels.len()).collect())
}

fn out_of_range(raw: &RawLabels, line: usize, label: &str, labels: &LabelSet) -> anyhow::Error {
    let message = format!("label `{label}` is not an id of the {} labels {}", labels.len(), labels.list());
    error_at(raw.path(), line, message, format!("ids go from 0 to {}; or write the names", labels.len() - 1))
}

fn unknown(raw: &RawLabels, labels: &LabelSet, by_name: &[Option<usize>]) -> anyhow::Error {
    let stranger = raw.iter().zip(by_name).find(|(_, known)| known.is_none());
    let ((label, line), _) = stranger.expect("labels are only unknown if one is");
    if labels.is_meaningless() && by_name.iter().all(Option::is_none) {
        let found = list(raw.iter().map(|(label, _)| label));
        return error_at(
            raw.path(),
            line,
            format!("the teacher calls its outputs {}, but the labels are {found}", labels.list()),
            "name the teacher's outputs, in their order, with `--labels a,b,c`",
        );
    }
    let hint = match nearest(label, labels.names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "choose the column of the labels with `--label`, or name the teacher's outputs, in their order, with \
                 `--labels a,b,c`"
            .to_owned(),
    };
    error_at(raw.path(), line, format!("label {} is not one of {}", list([label]), labels.list()), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;
    use Gold::{Class, Missing, Value};

    /// The labels of a file that has a header and a row for each of these, of which `""` is none.
    fn file(labels: &[&str]) -> RawLabels {
        let mut raw = RawLabels::new("train.tsv".into());
        for (index, label) in labels.iter().enumerate().filter(|(_, label)| !label.is_empty()) {
            raw.take(label, index + 2).unwrap();
        }
        raw
    }

    /// What each row of such a file is aligned with.
    fn golds(data: &[&str], labels: &LabelSet, orders: &[LabelSet]) -> Vec<Gold> {
        let mut raw = file(data);
        let meaning = align(&raw, labels, orders).unwrap();
        let gold = |label: &&str| match label.is_empty() {
            true => Missing,
            false => meaning[raw.take(label, 0).unwrap()],
        };
        data.iter().map(gold).collect()
    }

    fn set(names: &str) -> LabelSet {
        LabelSet::new(names.split(',')).unwrap()
    }

    #[test]
    fn labels_meet_by_name_where_both_have_names_and_by_id_elsewhere() {
        for (teacher, orders, data, expected) in [
            ("negative,positive", "", &["positive", "", "negative"][..], vec![Class(1), Missing, Class(0)]),
            ("NEGATIVE,POSITIVE", "", &["Positive"], vec![Class(1)]),
            ("a,A", "", &["A", "a"], vec![Class(1), Class(0)]),
            ("negative,positive", "", &["1", "0", "-1"], vec![Class(1), Class(0), Missing]),
            ("LABEL_0,LABEL_1", "", &["1", "true", "false"], vec![Class(1), Class(1), Class(0)]),
            ("LABEL_0,LABEL_1", "", &["label_1"], vec![Class(1)]),
            // Names that look like ids are names.
            ("1,2,3", "", &["1", "3"], vec![Class(0), Class(2)]),
            // Ids are those of the data set, which the teacher may have in another order.
            ("positive,negative", "negative,positive", &["1", "0"], vec![Class(0), Class(1)]),
            (
                "CONTRADICTION,NEUTRAL,ENTAILMENT",
                "entailment,neutral,contradiction",
                &["0", "1"],
                vec![Class(2), Class(1)],
            ),
            // Names that the teacher does not share say nothing about ids; the next order may.
            ("pos,neg", "negative,positive", &["1", "0"], vec![Class(1), Class(0)]),
            ("LABEL_1,LABEL_0", "negative,positive;LABEL_0,LABEL_1", &["1", "0"], vec![Class(0), Class(1)]),
            ("a,b", "a,b,c", &["1"], vec![Class(1)]),
            ("a,b", "", &[""], vec![Missing]),
        ] {
            let orders: Vec<LabelSet> =
                orders.split(';').filter(|order| !order.is_empty()).map(set).collect();
            assert_eq!(golds(data, &set(teacher), &orders), expected, "{teacher}: {data:?}");
        }
    }

    #[test]
    fn a_label_that_fits_nothing_is_located() {
        for (teacher, data, message, hint) in [
            (
                "negative,positive",
                &["negative", "positve"][..],
                "train.tsv:3: label `positve` is not one of `negative`, `positive`",
                "did you mean `positive`?",
            ),
            ("a,A", &["a", "b"], "train.tsv:3: label `b` is not one of `a`, `A`", "did you mean"),
            ("Good,GOOD", &["good"], "train.tsv:2: label `good` is not one of", "did you mean"),
            // A file is judged as a whole.
            ("negative,positive", &["negative", "1"], "train.tsv:3: label `1` is not one of", "--label"),
            ("negative,positive", &["1", "negative"], "train.tsv:2: label `1` is not one of", "--label"),
            (
                "a,b",
                &["0", "2"],
                "train.tsv:3: label `2` is not an id of the 2 labels `a`, `b`",
                "from 0 to 1",
            ),
            ("a,b", &["-2"], "train.tsv:2: label `-2` is not an id", "from 0 to 1"),
            ("a,b", &["0.5"], "train.tsv:2: label `0.5` is not one of", "--label"),
            (
                "LABEL_0,LABEL_1",
                &["good", "bad"],
                "train.tsv:2: the teacher calls its outputs `LABEL_0`, `LABEL_1`, but the labels are `good`, `bad`",
                "`--labels a,b,c`",
            ),
        ] {
            let error = align(&file(data), &set(teacher), &[]).unwrap_err();
            assert!(error.to_string().starts_with(message), "{error}");
            assert!(hint_of(&error).unwrap().contains(hint), "{error}: {:?}", hint_of(&error));
        }
    }

    #[test]
    fn the_labels_of_a_file_are_sorted_as_what_they_are() {
        for (data, order, expected) in [
            (&["b", "a", "", "b"][..], "", "a,b"),
            (&["10", "9", "-1"], "", "-1,9,10"),
            (&["10", "9", "x"], "", "10,9,x"),
            (&["1", "0"], "negative,positive", "negative,positive"),
            (&["positive", "negative"], "positive,negative", "positive,negative"),
            (&["pos", "neg"], "negative,positive", "neg,pos"),
        ] {
            let order = Some(order).filter(|order| !order.is_empty()).map(set);
            assert_eq!(label_set_of(&file(data), order.as_ref()).unwrap(), set(expected), "{data:?}");
        }
        for (data, message) in [(&["", ""][..], "no labels"), (&["a", "a"], "only the label `a`")] {
            assert!(label_set_of(&file(data), None).unwrap_err().to_string().contains(message));
        }
    }

    #[test]
    fn a_score_is_a_finite_number() {
        let of = |label: &str| {
            let label = Some(label.to_owned()).filter(|label| !label.is_empty());
            score("train.tsv".as_ref(), &Row { text: String::new(), text_pair: None, label, line: 3 })
        };
        assert_eq!(["5.000", "", " 3e-1"].map(|label| of(label).unwrap()), [Value(5.0), Missing, Value(0.3)]);
        for label in ["good", "nan", "inf", "1e99"] {
            let error = of(label).unwrap_err().to_string();
            assert_eq!(error, format!("train.tsv:3: expected a finite number, found `{label}`"));
        }
    }

    #[test]
    fn a_label_set_has_two_names_and_none_twice() {
        for (names, message) in [("a", "found 1"), ("a,b,a", "`a` is there twice"), ("a,", "no name")] {
            assert!(LabelSet::new(names.split(',')).unwrap_err().to_string().contains(message));
        }
    }
}
