//! One text in each sequence, filled to the end.

use super::sequences::{Sequences, Shape};
use super::{Begins, Borders, Packing};
use crate::draws::Draws;
use crate::error::explained;
use anyhow::Result;

/// Fills sequences with tokens as they come.
pub(super) struct Packer {
    /// The tokens of the sequence that is being filled.
    tokens: Vec<u32>,
    /// How many it is filled to.
    target: usize,
    /// What stands between documents, if they share sequences.
    separator: Option<u32>,
    /// Whether the next token begins a document.
    is_at_border: bool,
    lengths: Lengths,
}

/// How long sequences are meant to be.
pub(super) struct Lengths {
    short: f64,
    room: usize,
    draws: Draws,
}

/// Keeps what is drawn here apart from what is drawn elsewhere from the same seed.
const LENGTHS: u64 = 0x6c65_6e67_7468_7300;

impl Packer {
    pub fn new(packing: &Packing, shape: &Shape) -> Result<Self> {
        let separator = match packing.borders {
            Borders::Kept => None,
            Borders::Crossed => Some(shape.separator().ok_or_else(|| {
                explained(
                    "the tokenizer has no token that ends a text, to stand between documents",
                    "keep the borders of documents",
                )
            })?),
        };
        let mut lengths = Lengths::new(packing, shape);
        let (tokens, target) = (Vec::new(), lengths.draw());
        Ok(Packer { tokens, target, separator, is_at_border: false, lengths })
    }

    pub fn add(&mut self, mut ids: &[u32], begins: Begins, shape: &mut Shape, into: &mut Sequences) {
        self.is_at_border |= begins == Begins::Document;
        if ids.is_empty() {
            return;
        }
        if std::mem::take(&mut self.is_at_border) && !self.tokens.is_empty() {
            match self.separator.filter(|_| self.tokens.len() + 1 < self.target) {
                Some(separator) => self.tokens.push(separator),
                None => self.hand_on(shape, into),
            }
        }
        while !ids.is_empty() {
            let (first, rest) = ids.split_at(ids.len().min(self.target - self.tokens.len()));
            self.tokens.extend_from_slice(first);
            if self.tokens.len() == self.target {
                self.hand_on(shape, into);
            }
            ids = rest;
        }
    }

    pub fn finish(&mut self, shape: &mut Shape, into: &mut Sequences) {
        if !self.tokens.is_empty() {
            self.hand_on(shape, into);
        }
    }

    fn hand_on(&mut self, shape: &mut Shape, into: &mut Sequences) {
        shape.hand_on(&[&self.tokens], 0, into);
        self.tokens.clear();
        self.target = self.lengths.draw();
    }
}

impl Lengths {
    pub fn new(packing: &Packing, shape: &Shape) -> Self {
        Lengths { short: packing.short, room: shape.room, draws: Draws::new(&[packing.seed, LENGTHS]) }
    }

    /// Returns the tokens of text that the next sequence is meant to have: all that fit, but between 2 and so many of a
    /// short one.
    pub fn draw(&mut self) -> usize {
        match self.room > 2 && self.draws.chance(self.short) {
            true => 2 + self.draws.below(self.room - 1),
            false => self.room,
        }
    }
}
