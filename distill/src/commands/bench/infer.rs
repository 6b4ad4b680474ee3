//! `distill bench infer`: how fast ONNX Runtime answers with a model, one text and many at a time.

use super::Settings;
use super::sentences::sentences;
use super::table::Row;
use crate::commands::Opener;
use crate::console::Progress;
use crate::cost::clock::{SHORT, median, repeated, timed};
use crate::tokens::MIN_LENGTH;
use anyhow::Result;
use std::path::Path;
use teacher::Tokens;

const WHAT: &str = "infer";

/// The batches that are timed: texts, for each worker where there is more than one, and tokens of a text.
const BATCHES: [[usize; 2]; 3] = [[1, 16], [1, 128], [16, 32]];

/// The rows that there will be.
pub const COUNT: usize = BATCHES.len();

/// Times batches; of a model that takes no text as long, shorter ones.
///
/// # Errors
/// When the model cannot be opened, or fails.
pub fn rows(
    settings: &Settings,
    model: &Path,
    opener: &Opener<'_>,
    progress: &mut Progress,
) -> Result<Vec<Row>> {
    let mut onnx = opener.open(model)?;
    let longest = BATCHES.iter().map(|[_, length]| *length).max().unwrap_or(MIN_LENGTH);
    let tokenizer = opener.tokenizer(&onnx, model, longest)?;
    let text = sentences(&tokenizer, longest).join(" ");
    let encodings = tokenizer.encode(&[(text.as_str(), None)], 1)?;
    let (ids, type_ids) = encodings.get(0);
    let mut rows = Vec::new();
    for [texts, length] in BATCHES {
        let length = length.min(ids.len());
        let texts = if texts > 1 { texts * settings.threads.count() } else { texts };
        let batch = vec![Tokens { ids: &ids[..length], type_ids: &type_ids[..length] }; texts];
        let costs = repeated(SHORT, || {
            let (logits, cost) = timed(|| onnx.logits(&batch, &|_| {}));
            logits.map(|_| cost)
        })?;
        let name = format!("{texts}x{length}, p50");
        rows.push(Row::new(WHAT, name, median(&costs)).with_texts(texts * length, texts));
        progress.advance(1, || WHAT.to_owned());
    }
    Ok(rows)
}
