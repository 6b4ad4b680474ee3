//! Which pieces a corpus needs.

use super::definition::Definition;
use super::files::ids_of_config;
use super::numbering::Numbering;
use crate::corpus::Subject;
use crate::data::Row;
use crate::error::explained;
use crate::tokens::Tokenizer;
use anyhow::Result;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// The rows that are split at a time.
const CHUNK: usize = 4096;

/// Texts, and how their file is read.
#[derive(Clone, Copy)]
pub struct Texts<'a> {
    /// The file.
    pub path: &'a Path,
    /// How it is read.
    pub subject: &'a Subject,
    /// The threads to use, 0 for all cores.
    pub threads: usize,
}

/// What is kept of a vocabulary, and why.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The tokenizer's definition.
    pub definition: Definition,
    /// The ids that are kept.
    pub numbering: Numbering,
    /// SHA-256 of the corpus.
    pub fingerprint: String,
    /// The texts of the corpus; a pair counts as one.
    pub texts: usize,
    /// The distinct words of the corpus.
    pub words: usize,
    /// The pieces that these words are made of.
    pub used: usize,
}

impl Texts<'_> {
    /// Hands on the rows of the file, many at a time, and returns its fingerprint.
    ///
    /// # Errors
    /// When the file cannot be read, and whatever `sink` fails with.
    pub fn chunks(&self, sink: &mut dyn FnMut(&[Row]) -> Result<()>) -> Result<String> {
        let mut rows = Vec::with_capacity(CHUNK);
        let fingerprint = self.subject.each_row(self.path, &mut |row| {
            rows.push(row);
            if rows.len() == CHUNK {
                sink(&rows)?;
                rows.clear();
            }
            Ok(())
        })?;
        if !rows.is_empty() {
            sink(&rows)?;
        }
        Ok(fingerprint)
    }
}

impl Plan {
    /// Decides what is kept: the pieces that the longest match chooses for the words of the corpus, each single
    /// character, each piece whose characters are not pieces themselves, added tokens, and what `config`, the contents
    /// of a `config.json`, names.
    ///
    /// # Errors
    /// When the tokenizer is none of the WordPiece kind or damaged, or the corpus cannot be read.
    pub fn of(tokenizer: &Tokenizer, config: &Value, corpus: &Texts<'_>) -> Result<Self> {
        let who = tokenizer.source().display().to_string();
        let definition = Definition::read(tokenizer.definition()?, &who)?;
        check_ids(&definition, tokenizer)?;
        let (mut words, mut texts) = (HashSet::new(), 0);
        let fingerprint = corpus.chunks(&mut |rows| {
            texts += rows.len();
            let both = rows.iter().flat_map(|row| std::iter::once(&row.text).chain(&row.text_pair));
            let both: Vec<&str> = both.map(String::as_str).collect();
            tokenizer.add_words(&both, corpus.threads, &mut words)
        })?;
        let mut kept = BTreeSet::new();
        for word in &words {
            definition.model.choose(word, |id| {
                kept.insert(id);
            });
        }
        let used = kept.len();
        kept.extend(definition.required()?);
        kept.extend(ids_of_config(config)?);
        let model = &definition.model;
        let is_indispensable = |piece: &str| model.is_character(piece) || !model.is_spelled(piece);
        kept.extend(model.ids.iter().filter(|(piece, _)| is_indispensable(piece)).map(|(_, id)| id));
        let numbering = Numbering::of(kept);
        Ok(Plan { definition, numbering, fingerprint, texts, words: words.len(), used })
    }
}

/// Refuses a file whose added tokens get other ids when the tokenizer is made than it says.
fn check_ids(definition: &Definition, tokenizer: &Tokenizer) -> Result<()> {
    let differs = |&(token, &id): &(&String, &u32)| tokenizer.id_of(token) != Some(id);
    match definition.added.iter().find(differs) {
        None => Ok(()),
        Some((token, id)) => Err(explained(
            format!(
                "the added token `{token}` has the id `{id}` in `tokenizer.json`, but gets another when it is read"
            ),
            "number the added tokens without gaps after the vocabulary, or save the tokenizer again",
        )),
    }
}
