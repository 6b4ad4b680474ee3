//! The words that a tokenizer's model is given: what is left of texts once they are normalised and split.

use super::parts::in_parts;
use super::{FILE, Tokenizer};
use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use std::collections::HashSet;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizer};

impl Tokenizer {
    /// Adds the distinct words of `texts` to `words`, on `threads` threads (0: all cores): normalised, split, and
    /// without the added tokens in them, which the model never sees.
    ///
    /// # Errors
    /// When a text cannot be split.
    pub fn add_words(&self, texts: &[&str], threads: usize, words: &mut HashSet<String>) -> Result<()> {
        for part in in_parts(texts, threads, |texts| self.words_of(texts)) {
            words.extend(part?);
        }
        Ok(())
    }

    /// Returns what the tokenizer is defined by, in the form of a `tokenizer.json`.
    ///
    /// # Errors
    /// When the file cannot be read any more, or is not JSON.
    pub fn definition(&self) -> Result<Value> {
        let file = if self.source.is_dir() { self.source.join(FILE) } else { self.source.clone() };
        if file.exists() {
            let bytes = std::fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
            return serde_json::from_slice(&bytes)
                .with_context(|| format!("`{}` is not JSON", file.display()));
        }
        let mut inner = self.inner.clone();
        let untruncated = inner.with_truncation(None).map_err(|error| anyhow!("{error}"))?;
        let json = untruncated.to_string(false).map_err(|error| anyhow!("{error}"))?;
        serde_json::from_str(&json).context("the tokenizer made no JSON of itself")
    }

    /// Returns the id of a piece or added token.
    pub fn id_of(&self, piece: &str) -> Option<u32> {
        self.inner.token_to_id(piece)
    }

    fn words_of(&self, texts: &[&str]) -> Result<HashSet<String>> {
        let mut words = HashSet::new();
        let added = self.inner.get_added_vocabulary();
        for text in texts {
            let mut splits = added.extract_and_normalize(self.inner.get_normalizer(), text);
            if let Some(splitter) = self.inner.get_pre_tokenizer() {
                splitter
                    .pre_tokenize(&mut splits)
                    .map_err(|error| anyhow!("cannot split `{text}`: {error}"))?;
            }
            for (word, _, tokens) in splits.get_splits(OffsetReferential::Original, OffsetType::None) {
                if tokens.is_none() && !words.contains(word) {
                    words.insert(word.to_owned());
                }
            }
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_normalised_and_split_and_leave_out_added_tokens() {
        let folder = tempfile::tempdir().unwrap();
        let pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"].join("\n");
        std::fs::write(folder.path().join("vocab.txt"), pieces).unwrap();
        let tokenizer = Tokenizer::open(folder.path(), 10).unwrap();
        let texts = ["A Café, [MASK] 東京!", "cafe a", ""];
        let mut one = HashSet::new();
        tokenizer.add_words(&texts, 1, &mut one).unwrap();
        let mut sorted: Vec<_> = one.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        assert_eq!(sorted, ["!", ",", "a", "cafe", "京", "東"]);
        let mut many = HashSet::new();
        tokenizer.add_words(&texts, 3, &mut many).unwrap();
        assert_eq!(one, many);
        assert_eq!(tokenizer.definition().unwrap()["model"]["vocab"]["a"], 5);
    }
}
