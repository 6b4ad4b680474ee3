//! `--trim-vocab`: what `export` and `slim` do to a model before anything else.

use super::Opener;
use crate::corpus::Subject;
use crate::tokens::Tokenizer;
use crate::vocabulary::{Model, Staged, Texts, stage};
use anyhow::Result;
use std::path::Path;

/// Makes the model with the pieces that a corpus needs, proves it, and says what was done.
///
/// # Errors
/// As [`stage`].
pub fn trim(
    model: &Model<'_>,
    tokenizer: &Tokenizer,
    corpus: &Path,
    subject: &Subject,
    opener: &Opener<'_>,
) -> Result<Staged> {
    let console = *opener.console;
    let notify = move |line: &str| console.say(line);
    let texts = Texts { path: corpus, subject, threads: opener.threads() };
    let staged = stage(model, tokenizer, &texts, &opener.options(&notify), &console)?;
    console.say(staged.trimmed.to_line());
    Ok(staged)
}
