//! Sequences as a model takes them, and which of them are taken at all.

use super::{Packing, Pairs};
use crate::error::explained;
use crate::tokens::{Encodings, Frame, Tokenizer};
use anyhow::Result;

/// Sequences with the special tokens around them, and what is to be told of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequences {
    /// The tokens.
    pub encodings: Encodings,
    /// Of each the number of its label, from 1; 0 where nothing is to be told.
    pub classes: Vec<u16>,
}

/// What all sequences have in common.
pub(super) struct Shape {
    frame: Frame,
    /// The tokens of text that fit into one.
    pub room: usize,
    min_length: usize,
    max_unknown: Option<f64>,
    unknown_id: Option<u32>,
    left_out: u64,
}

impl Shape {
    pub fn new(packing: &Packing, tokenizer: &Tokenizer) -> Result<Self> {
        let (frame, least) = match packing.pairs {
            Pairs::None => (tokenizer.frame()?, 1),
            Pairs::NextSentence | Pairs::SentenceOrder => (tokenizer.pair_frame()?, 2),
        };
        let room = tokenizer.max_length().saturating_sub(frame.num_special());
        if room < least || tokenizer.max_length() < packing.min_length {
            return Err(explained(
                format!(
                    "no sequence of {} tokens has room for {least} besides {} special ones and is {} long",
                    tokenizer.max_length(),
                    frame.num_special(),
                    packing.min_length,
                ),
                "choose a larger `--max-length`, or a smaller least length",
            ));
        }
        Ok(Shape {
            frame,
            room,
            min_length: packing.min_length,
            max_unknown: packing.max_unknown,
            unknown_id: tokenizer.inventory().unknown_id,
            left_out: 0,
        })
    }

    /// Returns the token that ends a text, if there is one.
    pub fn separator(&self) -> Option<u32> {
        self.frame.separator()
    }

    /// Returns the number of sequences that were left out.
    pub fn num_left_out(&self) -> u64 {
        self.left_out
    }

    /// Hands on a sequence of these texts, unless it is to be left out.
    pub fn hand_on(&mut self, texts: &[&[u32]], class: u16, into: &mut Sequences) {
        if self.takes(texts) {
            self.frame.fill(texts, &mut into.encodings);
            into.classes.push(class);
        } else {
            self.left_out += 1;
        }
    }

    fn takes(&self, texts: &[&[u32]]) -> bool {
        let length = self.frame.num_special() + texts.iter().map(|text| text.len()).sum::<usize>();
        let unknown = texts.iter().copied().flatten().filter(|id| Some(**id) == self.unknown_id).count();
        length >= self.min_length
            && self.max_unknown.is_none_or(|most| (unknown as f64) < most * length as f64)
    }
}
