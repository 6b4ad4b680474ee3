//! What the files are run on before they are shipped.

use crate::bundle::{self, Bundle};
use crate::cli::ExportArgs;
use crate::corpus::Subject;
use crate::recipe::Recipe;
use crate::task::Gold;
use crate::tokens::{Encodings, Tokenizer};
use anyhow::Result;
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
}

impl Exam {
    /// Reads the texts that the arguments name, or takes a few sentences.
    ///
    /// # Errors
    /// When tokenizer or texts cannot be read, or do not belong to the student.
    pub fn of(args: &ExportArgs, student: &Bundle) -> Result<Self> {
        let max_length = student.bert.config().max_position_embeddings;
        let tokenizer = bundle::tokenizer(&args.student, max_length)?;
        tokenizer.check_vocabulary(student.bert.config().vocab_size, &args.student.display().to_string())?;
        let recipe = recipe(args);
        let config = ModelConfig::read(&args.student.join("config.json"))?;
        let subject = Subject::of_model(&recipe.data, &config, Some(student.bert.config().labels.len()))?;
        let own = args.data.as_ref().filter(|_| args.aware.qat_steps.is_none());
        let Some(path) = args.eval.as_ref().or(own) else {
            let texts: Vec<_> = SENTENCES.iter().map(|text| (*text, None)).collect();
            let texts = tokenizer.encode(&texts, 0)?;
            return Ok(Exam {
                gold: vec![Gold::Missing; texts.len()],
                tokenizer,
                subject,
                texts,
                file: None,
            });
        };
        let tokenizer = tokenizer.cut_at(subject.max_length.min(max_length))?;
        let corpus = subject.read(path)?;
        let texts = corpus.encode(&tokenizer, 0)?;
        let file = Some(path.display().to_string());
        Ok(Exam { tokenizer, subject, texts, gold: corpus.gold, file })
    }
}

/// Returns the recipe by which the student was trained, with what the arguments say of data laid over it; the defaults
/// where there is none that this version reads.
fn recipe(args: &ExportArgs) -> Recipe {
    let mut recipe = Recipe::load(Some(&args.student.join("recipe.toml")), &[]).unwrap_or_default();
    args.columns.lay_over(&mut recipe);
    recipe
}
