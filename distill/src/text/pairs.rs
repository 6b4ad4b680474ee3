//! Two texts in each sequence, as BERT's `create_pretraining_data` makes them (Devlin et al. 2019) and ALBERT's does (Lan et
//! al. 2020).
//!
//! Sentences of a document are gathered until they fill a sequence, or the document ends; a random number of them, at
//! least one and not all, are A and the others B. For the next sentence, B comes from another document in one of two cases,
//! and whenever there is one sentence only; the sentences that it replaces begin the next sequence. For the order, A and B
//! change places in one of two cases. What is too long loses tokens one by one, of the longer text, at its start or its end.
//!
//! Different here: a sentence that would fill more than half of a sequence is cut, so that no text is thrown away and the
//! two cases stay even; other documents are the latest ones, and before there is any, B follows; and a sentence that is
//! alone at the end of a document has no order, and is left out where that is asked.

use super::excerpts::Excerpts;
use super::packer::Lengths;
use super::sequences::{Sequences, Shape};
use super::{Begins, Packing, Pairs};
use crate::draws::Draws;

/// Makes pairs out of sentences as they come.
pub(super) struct Pairer {
    pairs: Pairs,
    /// The sentences of the sequence that is being filled, none of them empty.
    sentences: Vec<Vec<u32>>,
    target: usize,
    lengths: Lengths,
    excerpts: Excerpts,
    draws: Draws,
}

const PAIRS: u64 = 0x7061_6972_7300_0000;
/// The numbers of the labels, from 1.
const FIRST: u16 = 1;
const SECOND: u16 = 2;

impl Pairer {
    pub fn new(packing: &Packing, shape: &Shape) -> Self {
        let mut lengths = Lengths::new(packing, shape);
        Pairer {
            pairs: packing.pairs,
            sentences: Vec::new(),
            target: lengths.draw(),
            lengths,
            excerpts: Excerpts::new(packing.seed),
            draws: Draws::new(&[packing.seed, PAIRS]),
        }
    }

    pub fn add(&mut self, ids: &[u32], begins: Begins, shape: &mut Shape, into: &mut Sequences) {
        if begins == Begins::Document {
            self.finish(shape, into);
        }
        for sentence in ids.chunks((shape.room / 2).max(1)) {
            self.sentences.push(sentence.to_vec());
            while self.num_tokens() >= self.target {
                self.form(shape, into);
            }
        }
    }

    pub fn finish(&mut self, shape: &mut Shape, into: &mut Sequences) {
        while !self.sentences.is_empty() {
            self.form(shape, into);
        }
        self.excerpts.end_document();
    }

    fn num_tokens(&self) -> usize {
        self.sentences.iter().map(Vec::len).sum()
    }

    /// Makes a pair of the sentences that were gathered.
    fn form(&mut self, shape: &mut Shape, into: &mut Sequences) {
        let count = self.sentences.len();
        let split = if count > 1 { 1 + self.draws.below(count - 1) } else { 1 };
        let rest = self.sentences.split_off(split);
        let a = std::mem::take(&mut self.sentences);
        let even = self.draws.chance(0.5);
        let pair = match self.pairs {
            Pairs::None => None,
            Pairs::NextSentence => {
                self.excerpts.show(a.iter().chain(&rest));
                let wanted = self.target.saturating_sub(a.iter().map(Vec::len).sum()).max(1);
                let other = if even || rest.is_empty() { self.excerpts.draw(wanted) } else { None };
                let other = other.map(<[Vec<u32>]>::concat);
                match other {
                    Some(other) => {
                        self.sentences = rest;
                        Some((a.concat(), other, SECOND))
                    }
                    None => Some((a.concat(), rest.concat(), FIRST)),
                }
            }
            Pairs::SentenceOrder if even => Some((rest.concat(), a.concat(), SECOND)),
            Pairs::SentenceOrder => Some((a.concat(), rest.concat(), FIRST)),
        };
        if let Some((a, b, class)) = pair.filter(|(a, b, _)| !a.is_empty() && !b.is_empty()) {
            let [a, b] = self.shorten([&a, &b], shape.room);
            shape.hand_on(&[a, b], class, into);
        }
        self.target = self.lengths.draw();
    }

    /// Takes tokens off the longer of two texts, at either end, until both fit.
    fn shorten<'a>(&mut self, mut texts: [&'a [u32]; 2], room: usize) -> [&'a [u32]; 2] {
        while texts[0].len() + texts[1].len() > room {
            let longer = usize::from(texts[0].len() <= texts[1].len());
            let text = &mut texts[longer];
            *text = match self.draws.chance(0.5) {
                true => &text[1..],
                false => &text[..text.len() - 1],
            };
        }
        texts
    }
}
