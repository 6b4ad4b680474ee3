//! Which layer of a student learns from which layer of its teacher.

use crate::error::explained;
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// How the layers of a student are laid beside those of its teacher. Layers count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LayerMap {
    /// By a rule.
    Rule(Rule),
    /// Pair by pair: the student's layer, and the teacher's.
    Pairs(Vec<[usize; 2]>),
}

/// A rule by which each of the M layers of a student finds one among the N of its teacher (Jiao et al. 2020, section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// `m N / M`, rounded: spread over the whole teacher, the last from the last.
    Uniform,
    /// `m + N − M`: from the uppermost.
    Top,
    /// `m`: from the lowest.
    Bottom,
    /// The last from the last, the others from none.
    Last,
}

impl Default for LayerMap {
    fn default() -> Self {
        LayerMap::Rule(Rule::Uniform)
    }
}

impl LayerMap {
    /// Returns the pairs, the student's layer first, for a student of `student` layers and a teacher of `teacher`.
    ///
    /// # Errors
    /// When a layer does not exist or is named twice, or the rule needs a teacher that is at least as deep.
    pub fn pairs(&self, student: usize, teacher: usize) -> Result<Vec<[usize; 2]>> {
        let pairs = match self {
            LayerMap::Pairs(pairs) => pairs.clone(),
            LayerMap::Rule(Rule::Last) => vec![[student, teacher]],
            LayerMap::Rule(_) if student > teacher => {
                return Err(explained(
                    format!("the student has {student} layers, but its teacher only {teacher}"),
                    "a rule finds a layer of the teacher for each of the student's; name the pairs instead, e.g. \
                     `--set objective.layers=[[1, 1], [2, 2]]`",
                ));
            }
            LayerMap::Rule(Rule::Uniform) => {
                (1..=student).map(|m| [m, (2 * m * teacher + student) / (2 * student)]).collect()
            }
            LayerMap::Rule(Rule::Top) => (1..=student).map(|m| [m, m + teacher - student]).collect(),
            LayerMap::Rule(Rule::Bottom) => (1..=student).map(|m| [m, m]).collect(),
        };
        check(&pairs, student, teacher).map(|()| pairs)
    }
}

fn check(pairs: &[[usize; 2]], student: usize, teacher: usize) -> Result<()> {
    let hint = "layers count from 1; write pairs of the student's layer and the teacher's, e.g. \
                `--set objective.layers=[[1, 3], [2, 6]]`, or `uniform`, `top`, `bottom` or `last`";
    let refuse = |what: String| Err(explained(format!("`objective.layers`: {what}"), hint));
    if pairs.is_empty() {
        return refuse("no layer is paired with another".into());
    }
    for (at, pair) in pairs.iter().enumerate() {
        let [s, t] = *pair;
        for (who, layer, layers) in [("student", s, student), ("teacher", t, teacher)] {
            if !(1..=layers).contains(&layer) {
                return refuse(format!("the {who} has no layer {layer}, only 1 to {layers}"));
            }
        }
        if pairs[..at].contains(pair) {
            return refuse(format!("layer {s} is paired with layer {t} twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;

    #[test]
    fn rules_find_the_published_layers() {
        let teachers = |rule, student, teacher| {
            let pairs = LayerMap::Rule(rule).pairs(student, teacher).unwrap();
            pairs.into_iter().map(|[_, t]| t).collect::<Vec<_>>()
        };
        assert_eq!(teachers(Rule::Uniform, 4, 12), [3, 6, 9, 12]);
        assert_eq!(teachers(Rule::Uniform, 6, 12), [2, 4, 6, 8, 10, 12]);
        assert_eq!(teachers(Rule::Uniform, 4, 6), [2, 3, 5, 6]);
        assert_eq!(teachers(Rule::Uniform, 3, 3), [1, 2, 3]);
        assert_eq!(teachers(Rule::Top, 4, 12), [9, 10, 11, 12]);
        assert_eq!(teachers(Rule::Bottom, 4, 12), [1, 2, 3, 4]);
        assert_eq!(LayerMap::Rule(Rule::Last).pairs(4, 12).unwrap(), [[4, 12]]);
        assert_eq!(LayerMap::Rule(Rule::Last).pairs(12, 4).unwrap(), [[12, 4]]);
    }

    #[test]
    fn a_map_that_names_no_layers_is_refused() {
        for (map, expected) in [
            (LayerMap::Pairs(vec![[5, 1]]), "the student has no layer 5, only 1 to 4"),
            (LayerMap::Pairs(vec![[1, 13]]), "the teacher has no layer 13, only 1 to 12"),
            (LayerMap::Pairs(vec![[0, 1]]), "the student has no layer 0"),
            (LayerMap::Pairs(vec![]), "no layer is paired"),
            (LayerMap::Pairs(vec![[1, 2], [1, 2]]), "paired with layer 2 twice"),
        ] {
            let error = map.pairs(4, 12).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(hint_of(&error).is_some());
        }
        let error = LayerMap::default().pairs(6, 4).unwrap_err();
        assert!(error.to_string().contains("6 layers, but its teacher only 4"), "{error}");
    }

    #[test]
    fn a_map_is_written_as_a_word_or_as_pairs() {
        #[derive(Serialize, Deserialize, PartialEq, Debug)]
        struct Section {
            layers: LayerMap,
        }
        for text in ["layers = \"uniform\"\n", "layers = [[1, 3], [2, 6]]\n"] {
            let section: Section = toml::from_str(text).unwrap();
            assert_eq!(toml::to_string(&section).unwrap().replace("\n", ""), text.replace('\n', ""));
        }
        assert!(toml::from_str::<Section>("layers = \"middle\"").is_err());
    }
}
