//! What a recipe says of copies of the texts to train on.

use super::sections::is_not;
use crate::error::explained;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Copies of the texts to train on, with words replaced; as `distill augment` makes them. The defaults are published ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentSection {
    /// The copies that are tried of each text, N; 0 for none.
    pub copies: u32,
    /// The probability with which a word is replaced, p.
    pub replace: f64,
    /// The words among which is chosen, K.
    pub candidates: u32,
    /// A masked language model that is asked for words of one piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked_lm: Option<PathBuf>,
    /// A table of embeddings in which other words have their neighbours; the teacher's own when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embeddings: Option<PathBuf>,
    /// The words that are left alone: `corpus` for the frequent ones of the texts, `none`, or a file with a word a line.
    pub stop_words: String,
    /// How sure the teacher must be of a copy that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_confidence: Option<f64>,
    /// Whether the teacher must say of a copy what is said of its original.
    #[serde(skip_serializing_if = "is_not")]
    pub agree: bool,
    /// Whether a copy has the label of its original.
    #[serde(skip_serializing_if = "is_not")]
    pub keep_labels: bool,
}

impl Default for AugmentSection {
    fn default() -> Self {
        AugmentSection {
            copies: 0,
            replace: 0.4,
            candidates: 15,
            masked_lm: None,
            embeddings: None,
            stop_words: "corpus".into(),
            min_confidence: None,
            agree: false,
            keep_labels: false,
        }
    }
}

impl AugmentSection {
    /// Says whether there are copies.
    pub fn is_wanted(&self) -> bool {
        self.copies > 0
    }

    pub(super) fn is_default(&self) -> bool {
        *self == AugmentSection::default()
    }

    /// Refuses what nobody could make copies with.
    ///
    /// # Errors
    /// When a number lies outside its range.
    pub fn validate(&self) -> Result<()> {
        let is_probability = |p: f64| p > 0.0 && p <= 1.0;
        for (key, value, fits, range) in [
            ("copies", self.copies.to_string(), self.copies <= 1000, "at most 1000"),
            (
                "candidates",
                self.candidates.to_string(),
                (1..=1000).contains(&self.candidates),
                "between 1 and 1000",
            ),
            ("replace", self.replace.to_string(), is_probability(self.replace), "a share above 0"),
            (
                "min_confidence",
                self.min_confidence.unwrap_or(1.0).to_string(),
                self.min_confidence.is_none_or(is_probability),
                "a share above 0",
            ),
        ] {
            if !fits {
                return Err(explained(
                    format!("`augment.{key}` is `{value}`"),
                    format!("it must be {range}"),
                ));
            }
        }
        Ok(())
    }
}
