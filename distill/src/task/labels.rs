//! Labels: the data's, the teacher's, and which of the one is which of the other.
//!
//! The order of classes is where distillation goes wrong without a sound: a teacher that calls output 0 entailment
//! and a file in which 0 means contradiction fit perfectly by shape. So labels meet by name wherever both have names.

use crate::data::{Dataset, Row};
use crate::error::explained;
use crate::names::{list, nearest};
use anyhow::Result;
use std::collections::{BTreeSet, HashMap};

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

/// Returns, for each row, the index of its label among `labels`, the teacher's.
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
pub fn align(dataset: &Dataset, labels: &LabelSet, orders: &[LabelSet]) -> Result<Vec<Gold>> {
    let distinct = distinct(dataset);
    let by_name: Vec<Option<usize>> = distinct.iter().map(|(label, _)| labels.position(label)).collect();
    let meaning: Vec<Gold> = if by_name.iter().all(Option::is_some) {
        by_name.into_iter().flatten().map(Gold::Class).collect()
    } else if by_name.iter().all(Option::is_none)
        && let Some(ids) = distinct.iter().map(|(label, _)| id(label)).collect::<Option<Vec<i64>>>()
    {
        let index_of_id = by_id(labels, orders);
        let gold = |(id, (label, row)): (i64, &(&str, &Row))| match usize::try_from(id) {
            Ok(id) if id < index_of_id.len() => Ok(Gold::Class(index_of_id[id])),
            Err(_) if id == -1 => Ok(Gold::Missing),
            _ => Err(out_of_range(dataset, row, label, labels)),
        };
        ids.into_iter().zip(&distinct).map(gold).collect::<Result<_>>()?
    } else {
        return Err(unknown(dataset, labels, &distinct, &by_name));
    };
    let gold: HashMap<&str, Gold> = distinct.iter().map(|(label, _)| *label).zip(meaning).collect();
    Ok(dataset
        .rows
        .iter()
        .map(|row| row.label.as_deref().map_or(Gold::Missing, |label| gold[label]))
        .collect())
}

/// Returns the labels that a file calls for when no teacher does: the published ones if all labels fit them, else the
/// distinct ones, sorted by value if they are integers and by name if not.
///
/// # Errors
///
/// There are fewer than two.
pub fn label_set_of(dataset: &Dataset, published: Option<&LabelSet>) -> Result<LabelSet> {
    let mut labels: Vec<&str> = distinct(dataset).into_iter().map(|(label, _)| label).collect();
    if labels.len() < 2 {
        let found = if labels.is_empty() {
            "no labels".to_owned()
        } else {
            format!("only the label {}", list(labels))
        };
        return Err(explained(
            format!("`{}` has {found}, where at least two classes are needed", dataset.path.display()),
            "choose the column of the labels with `--label`",
        ));
    }
    if let Some(order) = published.filter(|order| align(dataset, order, &[]).is_ok()) {
        return Ok(order.clone());
    }
    labels.sort_unstable();
    if labels.iter().all(|label| label.parse::<i64>().is_ok()) {
        labels.sort_by_key(|label| label.parse::<i64>().ok());
    }
    LabelSet::new(labels)
}

/// Returns, for each row, its label as a number.
///
/// # Errors
///
/// A label is not a finite number, located.
pub fn scores(dataset: &Dataset) -> Result<Vec<Gold>> {
    let score = |row: &Row| match row.label.as_deref() {
        None => Ok(Gold::Missing),
        Some(label) => label
            .trim()
            .parse()
            .ok()
            .filter(|value: &f32| value.is_finite())
            .map(Gold::Value)
            .ok_or_else(|| {
                let hint =
                    "choose the column of the scores with `--label`; for class labels choose another task";
                dataset.error_at(row, format!("expected a finite number, found {}", list([label])), hint)
            }),
    };
    dataset.rows.iter().map(score).collect()
}

/// The labels that occur, each with its first row.
fn distinct(dataset: &Dataset) -> Vec<(&str, &Row)> {
    let mut seen = BTreeSet::new();
    let labelled = dataset.rows.iter().filter_map(|row| Some((row.label.as_deref()?, row)));
    labelled.filter(|(label, _)| seen.insert(*label)).collect()
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

fn out_of_range(dataset: &Dataset, row: &Row, label: &str, labels: &LabelSet) -> anyhow::Error {
    let message = format!("label `{label}` is not an id of the {} labels {}", labels.len(), labels.list());
    dataset.error_at(row, message, format!("ids go from 0 to {}; or write the names", labels.len() - 1))
}

fn unknown(
    dataset: &Dataset,
    labels: &LabelSet,
    distinct: &[(&str, &Row)],
    by_name: &[Option<usize>],
) -> anyhow::Error {
    let stranger = distinct.iter().zip(by_name).find(|(_, known)| known.is_none());
    let ((label, row), _) = stranger.expect("labels are only unknown if one is");
    if labels.is_meaningless() && by_name.iter().all(Option::is_none) {
        let found = list(distinct.iter().map(|(label, _)| *label));
        return dataset.error_at(
            row,
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
    dataset.error_at(row, format!("label {} is not one of {}", list([*label]), labels.list()), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;
    use Gold::{Class, Missing, Value};

    /// A file with a row for each of these labels, of which `""` is none.
    fn file(labels: &[&str]) -> Dataset {
        let row = |(index, label): (usize, &&str)| Row {
            text: "text".to_owned(),
            text_pair: None,
            label: Some((*label).to_owned()).filter(|label| !label.is_empty()),
            line: index + 2,
        };
        Dataset {
            path: "train.tsv".into(),
            rows: labels.iter().enumerate().map(row).collect(),
            fingerprint: String::new(),
        }
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
            assert_eq!(align(&file(data), &set(teacher), &orders).unwrap(), expected, "{teacher}: {data:?}");
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
        assert_eq!(scores(&file(&["5.000", "", " 3e-1"])).unwrap(), [Value(5.0), Missing, Value(0.3)]);
        for label in ["good", "nan", "inf", "1e99"] {
            let error = scores(&file(&["0", label])).unwrap_err().to_string();
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
