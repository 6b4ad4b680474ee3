//! `distill predict`: texts in, JSON lines out.

use super::Opener;
use crate::asking::ask;
use crate::cli::{Common, PredictArgs};
use crate::console::Console;
use crate::corpus::Subject;
use crate::measure::probabilities;
use crate::recipe::Recipe;
use crate::tokens::Tokenizer;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::io::BufRead;
use teacher::Teacher;

/// The texts that are asked about together when they come from standard input.
const CHUNK: usize = 256;

/// Classifies texts.
///
/// # Errors
/// When the model cannot be read, or standard input is no text.
pub fn run(args: &PredictArgs, common: &Common, console: &Console) -> Result<()> {
    let opener = Opener { common, console };
    let mut recipe = Recipe::default();
    recipe.data.max_length = Some(args.max_length);
    let mut model = opener.open(&args.model)?;
    let subject = Subject::of_model(&recipe.data, model.config(), model.num_classes())?;
    let tokenizer = opener.tokenizer(&model, &args.model, subject.max_length)?;
    if !args.texts.is_empty() {
        return predict(&args.texts, &mut model, &tokenizer, &subject, console);
    }
    let mut lines = std::io::stdin().lock().lines().peekable();
    while lines.peek().is_some() {
        let chunk: Vec<String> = lines
            .by_ref()
            .take(CHUNK)
            .collect::<Result<_, _>>()
            .context("standard input is not UTF-8 text")?;
        predict(&chunk, &mut model, &tokenizer, &subject, console)?;
    }
    Ok(())
}

fn predict(
    texts: &[String],
    model: &mut Teacher,
    tokenizer: &Tokenizer,
    subject: &Subject,
    console: &Console,
) -> Result<()> {
    let pairs: Vec<(&str, Option<&str>)> = texts
        .iter()
        .map(|text| text.split_once('\t').map_or((text.as_str(), None), |(text, pair)| (text, Some(pair))))
        .collect();
    let encodings = tokenizer.encode(&pairs, 0)?;
    let logits = ask(model, &encodings, 0..encodings.len(), &|_| {})?;
    for ((text, pair), logits) in pairs.iter().zip(logits.rows()) {
        let mut line = json!({ "text": text });
        if let Some(pair) = pair {
            line["text_pair"] = json!(pair);
        }
        match &subject.labels {
            None => line["value"] = json!(logits[0]),
            Some(labels) => {
                let probs = probabilities(logits);
                let best = (0..probs.len()).max_by(|&a, &b| probs[a].total_cmp(&probs[b])).unwrap_or(0);
                line["label"] = json!(labels.names()[best]);
                line["score"] = json!(probs[best]);
                let all = labels.names().iter().zip(&probs).map(|(name, prob)| (name.clone(), json!(prob)));
                line["probs"] = Value::Object(Map::from_iter(all));
            }
        }
        console.hand_out(line);
    }
    Ok(())
}
