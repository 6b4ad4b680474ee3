//! What there is to know of each id of a vocabulary, for those who replace tokens by others.

use super::Tokenizer;
use std::collections::HashMap;
use tokenizers::models::ModelWrapper;

/// What the ids of a tokenizer mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// The number of ids, counted to the highest, V.
    pub size: usize,
    /// The id that hides another: `[MASK]`, `<mask>`.
    pub mask_id: Option<u32>,
    /// The id of what the vocabulary has no piece for: `[UNK]`, `<unk>`.
    pub unknown_id: Option<u32>,
    /// Whether an id is one of the tokenizer's special tokens, the unknown one among them, `[V]`.
    pub special: Vec<bool>,
    /// Whether an id goes on with the word of the token before it, `[V]`; nothing where the pieces do not say.
    pub continues: Option<Vec<bool>>,
}

/// What models of all families call the token that hides another.
pub(super) const MASKS: &[&str] = &["[MASK]", "<mask>"];
/// What they call the token for what they do not know.
pub(super) const UNKNOWNS: &[&str] = &["[UNK]", "<unk>"];
/// What special tokens of all families are called, should a file not mark them as such.
const SPECIALS: &[&str] =
    &["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<pad>", "<unk>", "<s>", "</s>", "<mask>"];
/// What stands for the space before a word, in vocabularies of bytes (Radford et al. 2019) and of SentencePiece.
const SPACES: [char; 2] = ['Ġ', '▁'];

impl Tokenizer {
    /// Says what there is to know of each id.
    ///
    /// In a WordPiece vocabulary a piece with `##` goes on with a word; in one that marks spaces, of bytes or of
    /// SentencePiece, a piece that does not begin with the mark, punctuation among them.
    pub fn inventory(&self) -> Inventory {
        let size = self.vocab_size();
        let vocabulary = self.inner.get_vocab(true);
        let mut special = vec![false; size];
        let added = self.inner.get_added_tokens_decoder();
        let marked = added.iter().filter(|(_, token)| token.special).map(|(&id, _)| id);
        let named = SPECIALS.iter().filter_map(|name| vocabulary.get(*name).copied());
        marked.chain(named).for_each(|id| special[id as usize] = true);
        let find = |names: &[&str]| names.iter().find_map(|name| vocabulary.get(*name).copied());
        Inventory {
            size,
            mask_id: find(MASKS),
            unknown_id: find(UNKNOWNS),
            continues: self.continues(&vocabulary, &special),
            special,
        }
    }

    fn continues(&self, vocabulary: &HashMap<String, u32>, special: &[bool]) -> Option<Vec<bool>> {
        let begins: Box<dyn Fn(&str) -> bool> = match self.inner.get_model() {
            ModelWrapper::WordPiece(model) => {
                let prefix = &model.continuing_subword_prefix;
                Box::new(move |piece| piece.strip_prefix(prefix.as_str()).is_none_or(str::is_empty))
            }
            ModelWrapper::WordLevel(_) => Box::new(|_| true),
            ModelWrapper::BPE(_) | ModelWrapper::Unigram(_) => {
                let count = |mark: char| vocabulary.keys().filter(|piece| piece.starts_with(mark)).count();
                let mark =
                    SPACES.into_iter().max_by_key(|&mark| count(mark)).filter(|&mark| count(mark) > 0)?;
                Box::new(move |piece| piece.starts_with(mark))
            }
        };
        let mut continues = vec![false; special.len()];
        for (piece, &id) in vocabulary {
            continues[id as usize] = !special[id as usize] && !begins(piece);
        }
        Some(continues)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tokens::FILE;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    type Opened = (TempDir, Tokenizer);

    fn opened(definition: &Value) -> Opened {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), definition.to_string()).unwrap();
        let tokenizer = Tokenizer::open(folder.path(), 64).unwrap();
        (folder, tokenizer)
    }

    fn added(tokens: &[&str]) -> Vec<Value> {
        let token = |(id, content): (usize, &&str)| {
            json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false})
        };
        tokens.iter().enumerate().map(token).collect()
    }

    fn numbered(pieces: &[&str]) -> Value {
        pieces.iter().enumerate().map(|(id, piece)| ((*piece).to_owned(), json!(id))).collect()
    }

    pub(crate) fn word_piece() -> Opened {
        let folder = tempfile::tempdir().unwrap();
        let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##a", "##b", "##"].join("\n");
        std::fs::write(folder.path().join("vocab.txt"), words).unwrap();
        let tokenizer = Tokenizer::open(folder.path(), 64).unwrap();
        (folder, tokenizer)
    }

    pub(crate) fn byte_bpe() -> Opened {
        let pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "b", "Ġ", "Ġa", "Ġb", "ba"];
        opened(&json!({
            "version": "1.0", "added_tokens": added(&pieces[..5]), "normalizer": null, "decoder": null,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0],
                               "trim_offsets": true, "add_prefix_space": false},
            "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
                      "end_of_word_suffix": null, "fuse_unk": false, "vocab": numbered(&pieces),
                      "merges": [["Ġ", "a"], ["Ġ", "b"], ["b", "a"]]},
        }))
    }

    pub(crate) fn sentence_piece() -> Opened {
        let pieces = ["[CLS]", "[SEP]", "<pad>", "<unk>", "[MASK]", "▁a", "▁b", "a", "b", "▁"];
        let scored: Vec<Value> = pieces.iter().map(|piece| json!([piece, -1.0])).collect();
        let template = |text: &str, segment: usize| json!({"Sequence": {"id": text, "type_id": segment}});
        let token = |name: &str, segment: usize| json!({"SpecialToken": {"id": name, "type_id": segment}});
        opened(&json!({
            "version": "1.0", "added_tokens": added(&pieces[..5]), "normalizer": null, "decoder": null,
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
            "post_processor": {"type": "TemplateProcessing",
                "single": [token("[CLS]", 0), template("A", 0), token("[SEP]", 0)],
                "pair": [token("[CLS]", 0), template("A", 0), token("[SEP]", 0), template("B", 1), token("[SEP]", 1)],
                "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [0], "tokens": ["[CLS]"]},
                                   "[SEP]": {"id": "[SEP]", "ids": [1], "tokens": ["[SEP]"]}}},
            "model": {"type": "Unigram", "unk_id": 3, "vocab": scored, "byte_fallback": false},
        }))
    }

    #[test]
    fn every_family_of_vocabularies_says_where_words_go_on() {
        for ((_folder, tokenizer), mask, unknown, goes_on) in [
            (word_piece(), 4, 1, &[7, 8][..]),
            (byte_bpe(), 4, 3, &[5, 6, 10]),
            (sentence_piece(), 4, 3, &[7, 8]),
        ] {
            let inventory = tokenizer.inventory();
            assert_eq!((inventory.mask_id, inventory.unknown_id), (Some(mask), Some(unknown)));
            let ids = |flags: &[bool]| (0..flags.len()).filter(|&id| flags[id]).collect::<Vec<_>>();
            assert_eq!(ids(&inventory.special), [0, 1, 2, 3, 4]);
            assert_eq!(ids(&inventory.continues.unwrap()), goes_on);
            assert_eq!(inventory.size, tokenizer.vocab_size());
        }
    }
}
