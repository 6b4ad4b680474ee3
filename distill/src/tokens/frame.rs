//! The special tokens around texts, as the tokenizer itself puts them.

use super::{Encodings, Tokenizer};
use crate::error::explained;
use anyhow::{Result, anyhow};

/// The special tokens that a tokenizer puts before, between and after texts: `[CLS] A [SEP] B [SEP]`, `<s> A </s></s> B </s>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The tokens, each with its segment, before the first text, before any further one, and after the last.
    gaps: Vec<Vec<(u32, u32)>>,
    /// The segment of each text.
    segments: Vec<u32>,
}

/// A text of which every tokenizer makes a token.
const PROBE: &str = "a";

impl Tokenizer {
    /// Returns what stands around a single text.
    ///
    /// # Errors
    /// When the tokenizer does not leave texts as they are.
    pub fn frame(&self) -> Result<Frame> {
        self.frame_of(PROBE.into(), 1)
    }

    /// Returns what stands around two texts.
    ///
    /// # Errors
    /// As [`Tokenizer::frame`].
    pub fn pair_frame(&self) -> Result<Frame> {
        self.frame_of((PROBE, PROBE).into(), 2)
    }

    fn frame_of(&self, probe: tokenizers::EncodeInput<'_>, texts: usize) -> Result<Frame> {
        let encoding = self.bare()?.inner.encode_fast(probe, true).map_err(|error| anyhow!("{error}"))?;
        let mut frame = Frame { gaps: vec![Vec::new()], segments: Vec::new() };
        let mut last = None;
        let tokens = encoding.get_ids().iter().zip(encoding.get_type_ids());
        for ((&id, &segment), text) in tokens.zip(encoding.get_sequence_ids()) {
            match text {
                None => frame.gaps[frame.segments.len()].push((id, segment)),
                Some(text) if last == Some(text) => {}
                Some(_) => {
                    frame.segments.push(segment);
                    frame.gaps.push(Vec::new());
                }
            }
            last = text;
        }
        if frame.segments.len() == texts {
            return Ok(frame);
        }
        Err(explained(
            format!(
                "the tokenizer in `{}` does not put {texts} texts one after the other",
                self.source.display()
            ),
            "use a tokenizer that puts special tokens around texts, as BERT's does",
        ))
    }
}

impl Frame {
    /// Returns the number of special tokens.
    pub fn num_special(&self) -> usize {
        self.gaps.iter().map(Vec::len).sum()
    }

    /// Returns the token that ends a text, if there is one: `[SEP]`, `</s>`.
    pub fn separator(&self) -> Option<u32> {
        self.gaps[1].first().map(|(id, _)| *id)
    }

    /// Puts the special tokens around the tokens of texts, as many as there are places for, and adds the whole to others.
    pub fn fill(&self, texts: &[&[u32]], encodings: &mut Encodings) {
        assert_eq!(texts.len(), self.segments.len(), "there is a place for each text");
        let special = |gap: usize| self.gaps[gap].iter().copied();
        let text = |text: usize| texts[text].iter().map(move |&id| (id, self.segments[text]));
        let tokens = || (0..texts.len()).flat_map(|place| special(place).chain(text(place)));
        let tokens = || tokens().chain(special(texts.len()));
        encodings.push(tokens().map(|(id, _)| id), tokens().map(|(_, segment)| segment));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::inventory::tests::{byte_bpe, sentence_piece, word_piece};

    #[test]
    fn a_filled_frame_is_what_the_tokenizer_makes_of_the_texts() {
        for (_folder, tokenizer) in [word_piece(), byte_bpe(), sentence_piece()] {
            let texts = ["a b ba", "b a"];
            let bare = tokenizer.bare().unwrap().encode(&texts, 1).unwrap();
            let mut filled = Encodings::default();
            tokenizer.frame().unwrap().fill(&[bare.get(0).0], &mut filled);
            let pair = tokenizer.pair_frame().unwrap();
            pair.fill(&[bare.get(0).0, bare.get(1).0], &mut filled);
            let expected = tokenizer.encode(&[(texts[0], None), (texts[0], Some(texts[1]))], 1).unwrap();
            assert_eq!(filled, expected);
            let own = bare.lengths().iter().sum::<usize>();
            assert_eq!(pair.num_special(), expected.lengths()[1] - own);
            assert_eq!(pair.separator(), Some(expected.get(0).0[expected.lengths()[0] - 1]));
        }
    }
}
