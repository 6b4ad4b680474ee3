//! Text into token ids, once. The only folder that knows the `tokenizers` crate.
//!
//! The tokenizer is the model's own `tokenizer.json`; what that file says about padding and truncation is overridden:
//! nothing is padded, and texts are cut at a length of our choosing, the longer of a pair first.

mod bare;
mod encodings;
mod frame;
pub(crate) mod inventory;
mod parts;
mod pieces;
mod words;

pub use bare::Bare;
pub use encodings::Encodings;
pub use frame::Frame;
pub use inventory::Inventory;
pub use pieces::Located;

use crate::data::fingerprint;
use crate::error::explained;
use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, EncodeInput, TruncationParams, TruncationStrategy};

/// A model's tokenizer.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    source: PathBuf,
    fingerprint: String,
    pad_id: u32,
    max_length: usize,
}

const FILE: &str = "tokenizer.json";
const VOCABULARY: &str = "vocab.txt";
const SETTINGS: &str = "tokenizer_config.json";

/// The files that make up a tokenizer, beside `tokenizer.json`, in the layouts of Hugging Face's models.
const COMPANIONS: &[&str] = &[
    FILE,
    SETTINGS,
    "special_tokens_map.json",
    "added_tokens.json",
    VOCABULARY,
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
];

/// The shortest limit on tokens that leaves room for text.
pub const MIN_LENGTH: usize = 5;

/// What models of all families call the token that fills up shorter texts.
const PADS: &[&str] = &["[PAD]", "<pad>"];

impl Tokenizer {
    /// Opens the tokenizer in a directory, or a `tokenizer.json`. A directory that has only `vocab.txt` gets BERT's
    /// WordPiece tokenizer. Texts will be cut after `max_length` tokens, special ones included.
    ///
    /// # Errors
    /// When there is no tokenizer, or it cannot be read.
    pub fn open(path: &Path, max_length: usize) -> Result<Self> {
        let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
        let vocabulary = folder.join(VOCABULARY);
        let (mut inner, read) = if file.exists() {
            let bytes = std::fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
            let inner =
                tokenizers::Tokenizer::from_bytes(&bytes).map_err(|error| malformed(&file, &error))?;
            (inner, bytes)
        } else if path.is_dir() && vocabulary.exists() {
            let bytes = std::fs::read(&vocabulary)
                .with_context(|| format!("cannot read `{}`", vocabulary.display()))?;
            // What a word list alone does not say, such as whether case counts, is part of the tokenizer.
            let settings = std::fs::read(folder.join(SETTINGS)).unwrap_or_default();
            (word_piece(&vocabulary, &folder.join(SETTINGS))?, [bytes, settings].concat())
        } else {
            return Err(explained(
                format!(
                    "there is no tokenizer in `{}`: neither `{FILE}` nor `{VOCABULARY}`",
                    folder.display()
                ),
                "copy `tokenizer.json` from the model's directory into it",
            ));
        };
        inner.with_padding(None);
        truncate(&mut inner, max_length)?;
        let pad_id = PADS.iter().find_map(|pad| inner.token_to_id(pad)).unwrap_or(0);
        Ok(Tokenizer { inner, source: path.to_owned(), fingerprint: fingerprint(&read), pad_id, max_length })
    }

    /// Returns the number of ids, counted to the highest.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab(true).into_values().max().map_or(0, |highest| highest as usize + 1)
    }

    /// Returns the number of segments that the tokenizer tells apart in a pair of texts: BERT's two, RoBERTa's one.
    ///
    /// # Errors
    /// When it cannot encode a pair.
    pub fn num_segments(&self) -> Result<usize> {
        let pair = self.encode_here(&[("a", Some("a"))])?;
        Ok(pair.get(0).1.iter().max().map_or(1, |highest| *highest as usize + 1))
    }

    /// Cuts texts at `tokens`, too, if that is shorter.
    ///
    /// # Errors
    /// When nothing but special tokens would be left.
    pub fn cut_at(mut self, tokens: usize) -> Result<Self> {
        if tokens < self.max_length {
            self.max_length = tokens;
            truncate(&mut self.inner, tokens)?;
        }
        Ok(self)
    }

    /// Returns the id that fills up shorter texts.
    pub fn pad_id(&self) -> u32 {
        self.pad_id
    }

    /// Returns the SHA-256 of the file that the tokenizer was read from, or of the word list and its settings.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Says whether another makes the same tokens of the same texts.
    pub fn encodes_like(&self, other: &Tokenizer) -> bool {
        (&self.fingerprint, self.max_length) == (&other.fingerprint, other.max_length)
    }

    /// Returns the number of tokens after which texts are cut.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Returns the directory or file that was opened.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// Refuses a model that has no embedding for some of the ids.
    ///
    /// # Errors
    /// When `model_vocab`, the words of the model `who`, is smaller than the vocabulary.
    pub fn check_vocabulary(&self, model_vocab: usize, who: &str) -> Result<()> {
        let own = self.vocab_size();
        if own <= model_vocab {
            return Ok(());
        }
        Err(explained(
            format!(
                "the tokenizer in `{}` has {own} words, but the model `{who}` knows {model_vocab}",
                self.source.display()
            ),
            "use the tokenizer that the model was trained with",
        ))
    }

    /// Encodes texts, or pairs of texts, on `threads` threads (0: all cores); the order does not depend on them.
    ///
    /// # Errors
    /// When the tokenizer has no way to encode a text.
    pub fn encode(&self, texts: &[(&str, Option<&str>)], threads: usize) -> Result<Encodings> {
        let mut all = Encodings::default();
        for part in parts::in_parts(texts, threads, |texts| self.encode_here(texts)) {
            all.append(part?);
        }
        Ok(all)
    }

    fn encode_here(&self, texts: &[(&str, Option<&str>)]) -> Result<Encodings> {
        let mut encodings = Encodings::default();
        for (text, pair) in texts {
            let input: EncodeInput<'_> = match pair {
                Some(pair) => (*text, *pair).into(),
                None => (*text).into(),
            };
            let encoding = self
                .inner
                .encode_fast(input, true)
                .map_err(|error| anyhow!("cannot tokenize `{text}`: {error}"))?;
            if encoding.get_ids().is_empty() {
                return Err(explained(
                    format!("the tokenizer in `{}` makes no token of `{text}`", self.source.display()),
                    "use a tokenizer that puts special tokens around texts, as BERT's does",
                ));
            }
            encodings.push(encoding.get_ids().iter().copied(), encoding.get_type_ids().iter().copied());
        }
        Ok(encodings)
    }
}

/// Returns the files of the tokenizer at `source` that exist: those that a copy of the model needs.
pub fn companions(source: &Path) -> Vec<PathBuf> {
    let folder = if source.is_dir() { source } else { source.parent().unwrap_or(Path::new(".")) };
    COMPANIONS.iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect()
}

fn truncate(tokenizer: &mut tokenizers::Tokenizer, max_length: usize) -> Result<()> {
    let too_short = |reason: String| {
        explained(
            format!("texts cannot be cut after {max_length} tokens: {reason}"),
            "use a model that takes longer texts, or a larger `--max-length`",
        )
    };
    // The library takes the special tokens of a pair, up to four, off this number without looking.
    if max_length < MIN_LENGTH {
        return Err(too_short(format!("special tokens alone may take {}", MIN_LENGTH - 1)));
    }
    let strategy = TruncationStrategy::LongestFirst;
    let cut = TruncationParams { max_length, strategy, ..TruncationParams::default() };
    tokenizer.with_truncation(Some(cut)).map(|_| ()).map_err(|error| too_short(error.to_string()))
}

/// Builds BERT's WordPiece tokenizer out of a list of words (Devlin et al. 2019; Wu et al. 2016).
fn word_piece(vocabulary: &Path, settings: &Path) -> Result<tokenizers::Tokenizer> {
    let model = WordPiece::from_file(&vocabulary.to_string_lossy())
        .unk_token("[UNK]".into())
        .build()
        .map_err(|error| malformed(vocabulary, &error))?;
    let settings: Value = match std::fs::read(settings) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| format!("`{}` is not JSON", settings.display()))?
        }
        Err(_) => Value::Null,
    };
    let chinese = settings["tokenize_chinese_chars"].as_bool().unwrap_or(true);
    let lowercase = settings["do_lower_case"].as_bool().unwrap_or(true);
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    let id = |token: &str| -> Result<(String, u32)> {
        let missing = || {
            let hint = "BERT's vocabularies have it; give the model's `tokenizer.json` instead";
            explained(format!("`{}` has no word `{token}`", vocabulary.display()), hint)
        };
        Ok((token.to_owned(), tokenizer.token_to_id(token).ok_or_else(missing)?))
    };
    let processing = BertProcessing::new(id("[SEP]")?, id("[CLS]")?);
    let normalizer = BertNormalizer::new(true, chinese, settings["strip_accents"].as_bool(), lowercase);
    tokenizer.with_normalizer(Some(normalizer)).map_err(|error| malformed(vocabulary, &error))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(processing));
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(|token| AddedToken::from(token, true));
    let _ = tokenizer.add_special_tokens(special);
    Ok(tokenizer)
}

fn malformed(path: &Path, error: &tokenizers::Error) -> anyhow::Error {
    explained(
        format!("`{}` is not a tokenizer that can be read: {error}", path.display()),
        "copy it from the model's directory again; only the `tokenizer.json` of fast tokenizers can be read",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;

    const WORDS: [&str; 12] =
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "film", "##s", "good", ",", "é", "b"];

    /// A directory with `vocab.txt` alone.
    fn folder(settings: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(VOCABULARY), WORDS.join("\n")).unwrap();
        std::fs::write(folder.path().join(SETTINGS), settings).unwrap();
        folder
    }

    fn ids(tokenizer: &Tokenizer, text: &str, pair: Option<&str>) -> (Vec<u32>, Vec<u32>) {
        let encodings = tokenizer.encode(&[(text, pair)], 1).unwrap();
        let (ids, type_ids) = encodings.get(0);
        (ids.to_vec(), type_ids.to_vec())
    }

    #[test]
    fn a_vocabulary_makes_a_word_piece_tokenizer() {
        let folder = folder("{}");
        let tokenizer = Tokenizer::open(folder.path(), 10).unwrap();
        assert_eq!(ids(&tokenizer, "A good, unknown FILMS[SEP]", None).0, [2, 5, 8, 9, 1, 6, 7, 3, 3]);
        assert_eq!(ids(&tokenizer, "a", Some("film")), (vec![2, 5, 3, 6, 3], vec![0, 0, 0, 1, 1]));
        assert_eq!((tokenizer.vocab_size(), tokenizer.pad_id()), (12, 0));
    }

    #[test]
    fn cased_vocabularies_keep_case() {
        let folder = folder("{\"do_lower_case\": false}");
        assert_eq!(ids(&Tokenizer::open(folder.path(), 10).unwrap(), "Film film", None).0, [2, 1, 6, 3]);
    }

    #[test]
    fn long_texts_are_cut_the_longer_of_a_pair_first() {
        let folder = folder("{}");
        let tokenizer = Tokenizer::open(folder.path(), 7).unwrap();
        assert_eq!(ids(&tokenizer, &"a ".repeat(50), None).0, [2, 5, 5, 5, 5, 5, 3]);
        assert_eq!(ids(&tokenizer, "b", Some(&"a ".repeat(50))).0, [2, 11, 3, 5, 5, 5, 3]);
        let shorter = tokenizer.cut_at(9).unwrap().cut_at(5).unwrap();
        assert_eq!(ids(&shorter, &"a ".repeat(50), None).0, [2, 5, 5, 5, 3]);
        assert_eq!(ids(&shorter, &"a ".repeat(50), Some("b b b")).0.len(), 5);
        assert_eq!(shorter.num_segments().unwrap(), 2);
        for tokens in 0..5 {
            assert!(Tokenizer::open(folder.path(), tokens).is_err(), "{tokens}");
        }
    }

    #[test]
    fn padding_and_truncation_of_the_file_are_overridden() {
        let folder = folder("{}");
        let mut inner = Tokenizer::open(folder.path(), 10).unwrap().inner;
        inner.with_padding(Some(tokenizers::PaddingParams {
            strategy: tokenizers::PaddingStrategy::Fixed(30),
            ..Default::default()
        }));
        inner.with_truncation(Some(TruncationParams { max_length: 3, ..Default::default() })).unwrap();
        inner.save(folder.path().join(FILE), false).unwrap();
        let tokenizer = Tokenizer::open(folder.path(), 10).unwrap();
        assert_eq!(ids(&tokenizer, "a good film", None).0, [2, 5, 8, 6, 3]);
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let folder = folder("{}");
        let tokenizer = Tokenizer::open(folder.path(), 10).unwrap();
        let texts: Vec<(&str, Option<&str>)> =
            (0..97).map(|i| if i % 3 == 0 { ("a film", None) } else { ("good", Some("films")) }).collect();
        let one = tokenizer.encode(&texts, 1).unwrap();
        assert_eq!(one.len(), 97);
        for threads in [2, 5, 200] {
            assert_eq!(tokenizer.encode(&texts, threads).unwrap(), one);
        }
        assert!(tokenizer.encode(&[], 4).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_tokenizer_is_explained() {
        let empty = tempfile::tempdir().unwrap();
        let broken = tempfile::tempdir().unwrap();
        std::fs::write(broken.path().join(FILE), "{\"model\": {}}").unwrap();
        let folder = folder("{}");
        for (path, max_length, expected) in [
            (empty.path(), 10, "there is no tokenizer"),
            (broken.path(), 10, "is not a tokenizer that can be read"),
        ] {
            let error = Tokenizer::open(path, max_length).err().unwrap();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(hint_of(&error).is_some());
        }
        let error = Tokenizer::open(folder.path(), 10).unwrap().check_vocabulary(11, "bert").unwrap_err();
        assert!(error.to_string().contains("has 12 words, but the model `bert` knows 11"), "{error}");
    }
}
