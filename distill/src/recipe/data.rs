//! What a recipe says of the text: where it is, and what is read of it.

use super::sections::is_not;
use crate::text::{Borders, Packing, Pairs, Sentences};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The text, and what to read of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSection {
    /// The file to train on.
    pub train: Option<PathBuf>,
    /// The file to evaluate on; part of the training file when not given.
    pub eval: Option<PathBuf>,
    /// What is trained on instead of that file: the same texts, and copies of them, in the columns that `distill augment` writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augmented: Option<PathBuf>,
    /// The share of the training file that is held out when there is no file to evaluate on.
    pub holdout: f64,
    /// The preset that says how the file looks and how it is measured.
    pub task: String,
    /// The format, when the file name does not tell.
    pub format: Option<String>,
    /// The column with the text.
    pub text: Option<String>,
    /// The column with the second text.
    pub text_pair: Option<String>,
    /// The column with the label.
    pub label: Option<String>,
    /// The names of the classes, in the order of the teacher's logits.
    pub labels: Option<Vec<String>>,
    /// The tokens at which texts are cut.
    pub max_length: Option<usize>,
    /// What is learnt from: `examples`, those of `train`, or the `corpus`.
    #[serde(skip_serializing_if = "is_usual")]
    pub read: Read,
    /// A plain text, its documents divided by blank lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corpus: Option<PathBuf>,
    /// Of which two parts of it something is to be told: `none`, `next_sentence` or `sentence_order`.
    #[serde(skip_serializing_if = "is_usual")]
    pub pairs: Pairs,
    /// What is a sentence of it: `lines`, or what ends as one does.
    #[serde(skip_serializing_if = "is_usual")]
    pub sentences: Sentences,
    /// Whether a sequence of it goes on with the next document.
    #[serde(skip_serializing_if = "is_not")]
    pub cross_documents: bool,
    /// The share of its sequences that are shorter than they could be.
    #[serde(skip_serializing_if = "is_usual")]
    pub short: f64,
    /// The tokens below which a sequence of it is left out.
    #[serde(skip_serializing_if = "is_usual")]
    pub min_length: usize,
    /// The share of tokens that is masked where masked words are learnt.
    pub mask: f64,
    /// What is masked: `pieces`, `words`, or `rare` ones rather than frequent ones.
    pub mask_choice: MaskChoice,
}

/// What is learnt from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Read {
    /// The examples of the training file.
    #[default]
    Examples,
    /// Plain text.
    Corpus,
}

/// What is masked; see [`Choice`](crate::masking::Choice).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskChoice {
    /// Each piece is as likely as any other.
    #[default]
    Pieces,
    /// Whole words.
    Words,
    /// Rare pieces rather than frequent ones.
    Rare,
}

impl Default for DataSection {
    fn default() -> Self {
        DataSection {
            train: None,
            eval: None,
            augmented: None,
            holdout: 0.05,
            task: "text".into(),
            format: None,
            text: None,
            text_pair: None,
            label: None,
            labels: None,
            max_length: None,
            read: Read::Examples,
            corpus: None,
            pairs: Pairs::None,
            sentences: Sentences::Lines,
            cross_documents: false,
            short: 0.0,
            min_length: 0,
            mask: 0.15,
            mask_choice: MaskChoice::Pieces,
        }
    }
}

impl DataSection {
    /// Returns how the plain text is made into sequences. `seed`: that of the run.
    pub fn packing(&self, seed: u64) -> Packing {
        Packing {
            pairs: self.pairs,
            sentences: self.sentences,
            borders: if self.cross_documents { Borders::Crossed } else { Borders::Kept },
            short: self.short,
            min_length: self.min_length,
            seed,
            ..Packing::default()
        }
    }
}

fn is_usual<T: Default + PartialEq>(setting: &T) -> bool {
    *setting == T::default()
}
