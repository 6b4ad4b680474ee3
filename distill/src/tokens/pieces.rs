//! Which pieces of a vocabulary are whole words, and which pieces of a text stand for which part of it.

use super::Tokenizer;
use super::inventory::{MASKS, UNKNOWNS};
use crate::threads;
use anyhow::{Result, anyhow};
use std::ops::Range;

/// A text in tokens, perhaps with itself as the second of a pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// Token ids.
    pub ids: Vec<u32>,
    /// The segment of each token.
    pub type_ids: Vec<u32>,
    /// The tokens of the first text in their order: each one's place, and the bytes of the text that it stands for.
    pub spans: Vec<(usize, Range<usize>)>,
}

impl Tokenizer {
    /// Returns the pieces of a word that stands after another, or nothing if some of it is unknown.
    pub fn pieces_of(&self, word: &str) -> Option<Vec<u32>> {
        let encoding = self.inner.encode_fast(format!(" {word}"), false).ok()?;
        let unknown = UNKNOWNS.iter().find_map(|token| self.inner.token_to_id(token));
        let ids = encoding.get_ids();
        (!ids.is_empty() && !ids.iter().any(|id| Some(*id) == unknown)).then(|| ids.to_vec())
    }

    /// Returns the pieces that are a whole word each, in the order of their ids, with the word. Special tokens are none,
    /// nor are pieces that continue or begin a word, nor what `is_word` refuses.
    pub fn whole_words(&self, threads: usize, is_word: impl Fn(&str) -> bool + Sync) -> Vec<(u32, String)> {
        let ids: Vec<u32> = (0..self.vocab_size() as u32).collect();
        let added = self.inner.get_added_vocabulary();
        let whole = |&id: &u32| {
            let piece = self.inner.id_to_token(id).filter(|piece| !added.is_special_token(piece))?;
            let text = self.inner.decode(&[id], true).ok()?;
            let word = text.trim();
            let is_whole = !piece.is_empty() && is_word(word) && self.pieces_of(word)? == [id];
            is_whole.then(|| (id, word.to_owned()))
        };
        threads::map(&ids, threads, whole).into_iter().flatten().collect()
    }

    /// Returns the id of the token that hides a word, if the tokenizer has one.
    pub fn mask_id(&self) -> Option<u32> {
        MASKS.iter().find_map(|mask| self.inner.token_to_id(mask))
    }

    /// Says whether the tokenizer sets the two texts of a pair apart.
    ///
    /// # Errors
    /// When it cannot encode a pair.
    pub fn has_pairs(&self) -> Result<bool> {
        let alone = self.locate("a", false)?;
        let pair = self.locate("a", true)?;
        Ok(pair.ids.len() > alone.ids.len() + pair.spans.len())
    }

    /// Encodes a text, followed by itself if `twice`, and tells which token stands for what.
    ///
    /// # Errors
    /// When the tokenizer has no way to encode it.
    pub fn locate(&self, text: &str, twice: bool) -> Result<Located> {
        let encoded = match twice {
            true => self.inner.encode((text, text), true),
            false => self.inner.encode(text, true),
        };
        let encoding = encoded.map_err(|error| anyhow!("cannot tokenize `{text}`: {error}"))?;
        let spans = encoding.get_offsets().iter().enumerate();
        let spans = spans.filter(|(token, _)| encoding.token_to_sequence(*token) == Some(0));
        let special = encoding.get_special_tokens_mask();
        let spans = spans.filter(|(token, _)| special[*token] == 0);
        Ok(Located {
            ids: encoding.get_ids().to_vec(),
            type_ids: encoding.get_type_ids().to_vec(),
            spans: spans.map(|(token, &(start, end))| (token, start..end)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer(pieces: &[&str]) -> Tokenizer {
        let folder = tempfile::tempdir().unwrap();
        let all = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].iter().chain(pieces).copied();
        std::fs::write(folder.path().join("vocab.txt"), all.collect::<Vec<_>>().join("\n")).unwrap();
        Tokenizer::open(folder.path(), 12).unwrap()
    }

    #[test]
    fn whole_words_are_neither_special_nor_parts() {
        let tokenizer = tokenizer(&["film", "##s", "[unused1]", "1999", "s", "é", "cafe", "Film", "東"]);
        let is_word = |word: &str| word.chars().all(char::is_alphabetic);
        let words = tokenizer.whole_words(2, is_word);
        let expected = [(5, "film"), (9, "s"), (11, "cafe"), (13, "東")];
        assert_eq!(words, expected.map(|(id, word)| (id, word.to_owned())));
        assert_eq!(tokenizer.pieces_of("FILMS"), Some(vec![5, 6]));
        assert_eq!(tokenizer.pieces_of("Café"), Some(vec![11]));
        assert_eq!((tokenizer.pieces_of("xyz"), tokenizer.pieces_of("")), (None, None));
        assert_eq!(tokenizer.mask_id(), Some(4));
    }

    #[test]
    fn tokens_are_located_by_the_bytes_of_the_text() {
        let tokenizer = tokenizer(&["film", "##s", "cafe"]);
        assert!(tokenizer.has_pairs().unwrap());
        let located = tokenizer.locate("Café films", true).unwrap();
        assert_eq!(located.ids, [2, 7, 5, 6, 3, 7, 5, 6, 3]);
        assert_eq!(located.type_ids, [0, 0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(located.spans, [(1, 0..5), (2, 6..10), (3, 10..11)]);
        assert_eq!(tokenizer.locate("films", false).unwrap().spans, [(1, 0..4), (2, 4..5)]);
        let long = tokenizer.locate(&"film ".repeat(1000), true).unwrap();
        assert_eq!((long.ids.len(), long.spans.last()), (12, Some(&(4, 15..19))));
    }
}
