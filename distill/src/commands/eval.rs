//! `distill eval`: how good an ONNX classifier is on labelled text.

use super::Opener;
use crate::asking::ask;
use crate::cli::{Common, EvalArgs};
use crate::console::{Console, SharedProgress};
use crate::corpus::Subject;
use crate::error::explained;
use crate::measure;
use crate::recipe::Recipe;
use crate::report::aligned;
use anyhow::Result;
use serde_json::json;

/// Measures a model.
///
/// # Errors
/// When model or data cannot be read, or the data has no labels.
pub fn run(args: &EvalArgs, common: &Common, console: &Console) -> Result<()> {
    let mut recipe = Recipe::default();
    args.columns.lay_over(&mut recipe);
    let opener = Opener { common, console };
    let mut model = opener.open(&args.model)?;
    let subject = Subject::of_model(&recipe.data, model.config(), model.num_classes())?;
    let corpus = subject.read(&args.data)?;
    if corpus.num_labelled() == 0 {
        return Err(explained(
            format!("`{}` has no labels to measure with", args.data.display()),
            "name the column with the labels with `--label`",
        ));
    }
    let encodings = corpus.encode(&opener.tokenizer(&model, &args.model, subject.max_length)?, 0)?;
    let progress = SharedProgress::new(console.progress("eval", corpus.len()), "texts");
    let logits = ask(&mut model, &encodings, 0..encodings.len(), &|more| progress.advance(more))?;
    progress.finish();
    let figures = measure::figures(&subject, logits.view(), &corpus.gold);
    if console.json {
        let (examples, labelled) = (corpus.len(), corpus.num_labelled());
        let data = corpus.dataset.path.display().to_string();
        console.hand_out(
            json!({ "data": data, "examples": examples, "labelled": labelled, "quality": figures }),
        );
    } else {
        let value = |value: &serde_json::Value| {
            value.as_f64().map_or_else(|| "–".into(), |value| format!("{value:.4}"))
        };
        let rows: Vec<_> = figures.iter().map(|(name, figure)| vec![name.clone(), value(figure)]).collect();
        console.hand_out(format_args!("{}\n({} texts)", aligned(&rows), corpus.num_labelled()));
    }
    Ok(())
}
