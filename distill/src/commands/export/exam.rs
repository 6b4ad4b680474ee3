//! What the files are run on before they are shipped.

use crate::bundle::{self, Bundle};
use crate::cli::ExportArgs;
use crate::corpus::Subject;
use crate::recipe::Recipe;
use crate::task::Gold;
use crate::tokens::{Encodings, Tokenizer};
use anyhow::Result;
use std::path::{Path, PathBuf};
use teacher::ModelConfig;

/// Texts of many lengths and kinds, for when no others are given.
const SENTENCES: &[&str] = &[
    "Good.",
    "It works!",
    "Nobody expected the ending, and nobody liked it.",
    "A quick brown fox jumps over the lazy dog, again and again, until the dog moves.",
    "naïve café, 東京, Привет, 안녕하세요, 🙂",
    "http://example.org/?q=1&r=2 costs $3.50 (or 4,99 €) — 100 % more than in 2019",
    "unbelievably antidisestablishmentarian pseudopseudohypoparathyroidism",
    "The committee, which had met three times that week without agreeing on anything but the date of its next meeting, \
     at last adopted the report that its chair had written before the first session, thanked the interpreters, and went \
     to lunch; the minutes, two pages long, say only that the discussion was frank.",
];

/// The texts, their labels, and what is predicted.
pub struct Exam {
    /// The student's tokenizer.
    pub tokenizer: Tokenizer,
    /// What is predicted.
    pub subject: Subject,
    /// The texts in the student's tokens.
    pub texts: Encodings,
    /// The label of each.
    pub gold: Vec<Gold>,
    /// The file that they stand in; none for built-in sentences.
    pub file: Option<String>,
    /// SHA-256 of that file.
    pub fingerprint: Option<String>,
}

impl Exam {
    /// Reads the texts that the arguments name, or takes a few sentences, for a student that was made of the one that they
    /// name.
    ///
    /// # Errors
    /// When tokenizer or texts cannot be read, or do not belong to the student.
    pub fn of(args: &ExportArgs, student: &Bundle) -> Result<Self> {
        let max_length = student.bert.config().max_position_embeddings;
        let tokenizer = bundle::tokenizer(&student.folder, max_length)?;
        tokenizer
            .check_vocabulary(student.bert.config().vocab_size, &student.folder.display().to_string())?;
        let recipe = recipe(args);
        let config = ModelConfig::read(&args.student.join("config.json"))?;
        let subject = Subject::of_model(&recipe.data, &config, Some(student.bert.config().labels.len()))?;
        let own = args.data.as_ref().filter(|_| args.aware.qat_steps.is_none());
        Exam::read(tokenizer, subject, args.eval.as_ref().or(own).map(PathBuf::as_path))
    }

    /// Reads the texts of a file, or takes a few sentences.
    ///
    /// # Errors
    /// When they cannot be read, or a label is none of the model's.
    pub fn read(tokenizer: Tokenizer, subject: Subject, path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            let texts: Vec<_> = SENTENCES.iter().map(|text| (*text, None)).collect();
            let texts = tokenizer.encode(&texts, 0)?;
            let gold = vec![Gold::Missing; texts.len()];
            return Ok(Exam { gold, tokenizer, subject, texts, file: None, fingerprint: None });
        };
        let tokenizer = tokenizer.cut_at(subject.max_length)?;
        let corpus = subject.read(path)?;
        let texts = corpus.encode(&tokenizer, 0)?;
        let (file, fingerprint) = (Some(path.display().to_string()), Some(corpus.dataset.fingerprint));
        Ok(Exam { tokenizer, subject, texts, gold: corpus.gold, file, fingerprint })
    }

    /// Says in a sentence what was measured on.
    pub fn to_line(&self) -> String {
        match &self.fingerprint {
            Some(fingerprint) => format!("{} texts of a file (SHA-256 `{fingerprint}`).", self.texts.len()),
            None => format!("{} built-in sentences without labels.", self.texts.len()),
        }
    }
}

/// Returns the recipe by which the student was trained, with what the arguments say of data laid over it; the defaults
/// where there is none that this version reads.
fn recipe(args: &ExportArgs) -> Recipe {
    let mut recipe = Recipe::load(Some(&args.student.join("recipe.toml")), &[]).unwrap_or_default();
    args.columns.lay_over(&mut recipe);
    recipe
}
