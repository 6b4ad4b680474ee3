//! Texts into the tokens that are their own: whole, and without special ones around them.

use super::parts::in_parts;
use super::{Encodings, Tokenizer};
use anyhow::{Result, anyhow};

/// A tokenizer that neither cuts texts nor adds to them.
pub struct Bare {
    pub(super) inner: tokenizers::Tokenizer,
}

impl Tokenizer {
    /// Returns what makes the same tokens of a text, but all of them, and only them.
    ///
    /// # Errors
    /// When the tokenizer cannot be told so.
    pub fn bare(&self) -> Result<Bare> {
        let mut inner = self.inner.clone();
        inner.with_truncation(None).map_err(|error| anyhow!("{error}"))?;
        Ok(Bare { inner })
    }
}

impl Bare {
    /// Encodes texts on `threads` threads (0: all cores); the order does not depend on them. A text may have no token.
    ///
    /// # Errors
    /// When the tokenizer has no way to encode a text.
    pub fn encode(&self, texts: &[&str], threads: usize) -> Result<Encodings> {
        let mut all = Encodings::default();
        for part in in_parts(texts, threads, |texts| self.encode_here(texts)) {
            all.append(part?);
        }
        Ok(all)
    }

    fn encode_here(&self, texts: &[&str]) -> Result<Encodings> {
        let mut encodings = Encodings::default();
        for text in texts {
            let encoding = self.inner.encode_fast(*text, false).map_err(|error| {
                let start: String = text.chars().take(60).collect();
                anyhow!("cannot tokenize the text that begins with `{start}`: {error}")
            })?;
            encodings.push(encoding.get_ids().iter().copied(), encoding.get_type_ids().iter().copied());
        }
        Ok(encodings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_texts_are_whole_and_have_no_special_tokens_around_them() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"].join("\n");
        std::fs::write(folder.path().join("vocab.txt"), words).unwrap();
        let bare = Tokenizer::open(folder.path(), 5).unwrap().bare().unwrap();
        let long = "b ".repeat(1000);
        let encodings = bare.encode(&["a", "", &long, " a b"], 2).unwrap();
        assert_eq!(encodings.lengths(), [1, 0, 1000, 2]);
        assert_eq!(encodings.get(3).0, [5, 6]);
    }
}
