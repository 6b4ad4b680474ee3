//! WordPiece's longest match, told step by step: which pieces it chooses, even where it ends nowhere.
//!
//! The tokenizer itself says nothing of the pieces that it chose before a word turned out to be unknown. They matter
//! here: without them it might choose others, and get through.

use std::collections::HashMap;

/// The pieces of a WordPiece model (Schuster & Nakajima 2012; Devlin et al. 2019).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordPiece {
    /// The id of each piece; ids are distinct.
    pub ids: HashMap<String, u32>,
    /// What stands before a piece that continues a word.
    pub prefix: String,
    /// The characters above which a word is unknown without being looked at.
    pub max_chars: usize,
}

impl WordPiece {
    /// Hands on the id of every piece that is chosen for a word: at each place the longest that fits, from left to
    /// right, until the word is at its end or nothing fits.
    pub fn choose(&self, word: &str, mut chosen: impl FnMut(u32)) {
        if word.chars().count() > self.max_chars {
            return;
        }
        let mut rest = word;
        let mut candidate = String::new();
        while !rest.is_empty() {
            let ends = rest.char_indices().map(|(start, c)| start + c.len_utf8()).rev();
            let longest = ends.into_iter().find_map(|end| {
                candidate.clear();
                if rest.len() < word.len() {
                    candidate.push_str(&self.prefix);
                }
                candidate.push_str(&rest[..end]);
                Some((*self.ids.get(&candidate)?, end))
            });
            let Some((id, end)) = longest else { return };
            chosen(id);
            rest = &rest[end..];
        }
    }

    /// Says whether a piece is a single character, at the start of a word or within one.
    pub fn is_character(&self, piece: &str) -> bool {
        let is_single = |text: &str| text.chars().nth(1).is_none() && !text.is_empty();
        is_single(piece) || piece.strip_prefix(&self.prefix).is_some_and(is_single)
    }

    /// Says whether the characters of a piece are pieces too, so that the word is not lost with it.
    pub fn is_spelled(&self, piece: &str) -> bool {
        let (body, at_start) = match piece.strip_prefix(&self.prefix) {
            Some(body) if !self.prefix.is_empty() => (body, false),
            _ => (piece, true),
        };
        let mut spelling = String::new();
        body.chars().enumerate().all(|(i, c)| {
            spelling.clear();
            if i > 0 || !at_start {
                spelling.push_str(&self.prefix);
            }
            spelling.push(c);
            self.ids.contains_key(&spelling)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(pieces: &[&str]) -> WordPiece {
        let ids = pieces.iter().enumerate().map(|(id, piece)| ((*piece).to_owned(), id as u32)).collect();
        WordPiece { ids, prefix: "##".into(), max_chars: 6 }
    }

    fn chosen(model: &WordPiece, word: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        model.choose(word, |id| ids.push(id));
        ids
    }

    #[test]
    fn the_longest_piece_is_chosen_and_dead_ends_are_told() {
        let model = model(&["a", "ab", "##c", "##cd", "é", "##é"]);
        for (word, expected) in [
            ("abcd", &[1, 3][..]),
            ("abc", &[1, 2]),
            ("ac", &[0, 2]),
            ("abx", &[1]),
            ("x", &[]),
            ("éé", &[4, 5]),
            ("", &[]),
            ("aaaaaaa", &[]),
        ] {
            assert_eq!(chosen(&model, word), expected, "{word}");
        }
    }

    #[test]
    fn characters_and_spellable_pieces_are_known() {
        let model = model(&["a", "##b", "東", "ab", "ba", "##bb", "##ba", "#", "##"]);
        for (piece, character, spelled) in [
            ("a", true, true),
            ("##b", true, true),
            ("東", true, true),
            ("ab", false, true),
            ("ba", false, false),
            ("##bb", false, true),
            ("##ba", false, false),
            ("#", true, true),
        ] {
            assert_eq!((model.is_character(piece), model.is_spelled(piece)), (character, spelled), "{piece}");
        }
        assert!(!model.is_character("##"));
    }
}
