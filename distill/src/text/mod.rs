//! Plain text to learn a language from: documents, divided by blank lines, made into sequences of a model's length.
//!
//! ```text
//! file ──documents──▶ stretches of text ──tokens──▶ packer or pairs ──▶ sequences
//! ```
//!
//! A line is a sentence or a paragraph; the lines of a document are joined by a space. Nothing here holds more of a file
//! than [`STRETCH_BYTES`] of text, the tokens of one sequence and, where pairs are made, a bounded choice of excerpts of
//! earlier documents, however long lines, documents and files are.

mod documents;
mod excerpts;
mod packer;
mod pairs;
mod sentences;
mod sequences;

pub use documents::{Begins, STRETCH_BYTES, Stretch, scan};
pub use sentences::Sentences;
pub use sequences::Sequences;

use crate::error::explained;
use crate::task::Gold;
use crate::tokens::Tokenizer;
use anyhow::Result;
use packer::Packer;
use pairs::Pairer;
use sequences::Shape;
use serde::{Deserialize, Serialize};

/// How text is made into sequences. The default is one text of one document in each, and none left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Packing {
    /// Whether a sequence is one text, or two of which something is to be told.
    pub pairs: Pairs,
    /// What is a sentence; pairs are made of whole ones.
    pub sentences: Sentences,
    /// Whether a sequence may hold the text of several documents.
    pub borders: Borders,
    /// The share of sequences that are filled to a length between 2 and the longest only, so that positions at the end and
    /// short texts are both met. Devlin et al. 2019 shorten 0.1; they choose once for each document, here it is for each
    /// sequence, since a document may be the whole file.
    pub short: f64,
    /// Sequences of fewer tokens, special ones included, are left out. Sanh et al. 2019 (DistilBERT): 12.
    pub min_length: usize,
    /// Sequences of which this share of all tokens or more is unknown are left out. DistilBERT: 0.5.
    pub max_unknown: Option<f64>,
    /// Where what is drawn at random comes from.
    pub seed: u64,
}

/// What is to be told of the two texts of a sequence, A and B.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairs {
    /// Nothing: there is one text.
    #[default]
    None,
    /// Whether B follows A (0) or comes from another document (1): next sentence prediction, Devlin et al. 2019.
    NextSentence,
    /// Whether B follows A (0) or A follows B (1): sentence order prediction, Lan et al. 2020 (ALBERT).
    SentenceOrder,
}

/// What a sequence does at the end of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Borders {
    /// It ends.
    #[default]
    Kept,
    /// It goes on with the next one, after the token that ends a text.
    Crossed,
}

impl Default for Packing {
    fn default() -> Self {
        Packing {
            pairs: Pairs::None,
            sentences: Sentences::Lines,
            borders: Borders::Kept,
            short: 0.0,
            min_length: 0,
            max_unknown: None,
            seed: 42,
        }
    }
}

impl Pairs {
    /// Returns the names of the classes, in their order; none where nothing is to be told.
    pub fn labels(self) -> &'static [&'static str] {
        match self {
            Pairs::None => &[],
            Pairs::NextSentence => &["is_next", "not_next"],
            Pairs::SentenceOrder => &["in_order", "swapped"],
        }
    }

    /// Returns what the labels of a table of such pairs mean, as [`Examples::of`](crate::examples::Examples::of) asks.
    pub fn meaning(self) -> Vec<Gold> {
        (0..self.labels().len()).map(Gold::Class).collect()
    }
}

/// Makes sequences out of the tokens of one stretch of text after the other.
pub struct Former {
    kind: Kind,
    shape: Shape,
}

enum Kind {
    One(Packer),
    Two(Box<Pairer>),
}

impl Former {
    /// Plans sequences of at most as many tokens as the tokenizer cuts texts at.
    ///
    /// # Errors
    /// When a setting is out of range, or not one for pairs, or the tokenizer leaves no room or has no place for texts.
    pub fn new(packing: &Packing, tokenizer: &Tokenizer) -> Result<Self> {
        packing.check()?;
        let shape = Shape::new(packing, tokenizer)?;
        let kind = match packing.pairs {
            Pairs::None => Kind::One(Packer::new(packing, &shape)?),
            Pairs::NextSentence | Pairs::SentenceOrder => Kind::Two(Box::new(Pairer::new(packing, &shape))),
        };
        Ok(Former { kind, shape })
    }

    /// Takes the tokens of a stretch in, and hands on the sequences that they complete.
    pub fn add(&mut self, ids: &[u32], begins: Begins, into: &mut Sequences) {
        match &mut self.kind {
            Kind::One(packer) => packer.add(ids, begins, &mut self.shape, into),
            Kind::Two(pairer) => pairer.add(ids, begins, &mut self.shape, into),
        }
    }

    /// Hands on the sequences that the end of the text completes.
    pub fn finish(&mut self, into: &mut Sequences) {
        match &mut self.kind {
            Kind::One(packer) => packer.finish(&mut self.shape, into),
            Kind::Two(pairer) => pairer.finish(&mut self.shape, into),
        }
    }

    /// Returns the number of sequences that were left out as too short or too little known.
    pub fn num_left_out(&self) -> u64 {
        self.shape.num_left_out()
    }
}

impl Packing {
    fn check(&self) -> Result<()> {
        let shares = [("short", Some(self.short), 0.0..=1.0), ("max_unknown", self.max_unknown, 1e-9..=1.0)];
        for (name, share, range) in shares {
            if share.is_some_and(|share| !range.contains(&share)) {
                return Err(explained(
                    format!("`{name}` is {}, which is no share", share.unwrap_or_default()),
                    "choose a number between 0 and 1",
                ));
            }
        }
        if self.pairs != Pairs::None && self.borders == Borders::Crossed {
            return Err(explained(
                "pairs are made within documents, and cannot cross their borders",
                "keep the borders, or make no pairs",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
