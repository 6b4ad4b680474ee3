//! `distill inspect`: what is in a model.

mod layers;

use super::Opener;
use crate::cli::{Common, InspectArgs};
use crate::console::Console;
use crate::cost::file_bytes;
use crate::names::list;
use crate::report::{aligned, count};
use anyhow::Result;
use serde_json::json;
use student::import::onnx::{Summary, summary};
use teacher::{Anatomy, Teacher, TensorInfo};

/// Shows a model.
///
/// # Errors
/// When it cannot be opened as an encoder of token sequences.
pub fn run(args: &InspectArgs, common: &Common, console: &Console) -> Result<()> {
    let model = Opener { common, console }.body(&args.model)?;
    let facts = summary(model.path())?;
    if console.json {
        console.hand_out(as_json(&model, &facts)?);
    } else {
        console.hand_out(as_table(&model, &facts)?);
    }
    Ok(())
}

fn inputs(model: &Teacher) -> Vec<&TensorInfo> {
    let signature = model.signature();
    let required = [&signature.input_ids, &signature.attention_mask];
    required.into_iter().chain(&signature.token_type_ids).chain(&signature.position_ids).collect()
}

fn as_table(model: &Teacher, facts: &Summary) -> Result<String> {
    let config = model.config();
    let mut rows = vec![vec!["file".to_owned(), model.path().display().to_string()]];
    let mut row = |title: &str, text: String| rows.push(vec![title.to_owned(), text]);
    row("size", format!("{:.1} MB", file_bytes(model.path())? as f64 / 1e6));
    row("parameters", format!("{} ({})", count(facts.num_parameters()), types(facts)));
    row("opset", opsets(facts));
    row("producer", facts.producer.clone());
    row("nodes", facts.num_nodes().to_string());
    for input in inputs(model) {
        row("input", input.to_string());
    }
    match &model.signature().logits {
        Some(logits) => row("output", logits.to_string()),
        None => row("output", "none of a classifier".to_owned()),
    }
    let anatomy = model.anatomy()?;
    if let Some(layers) = num_layers(model, facts, anatomy) {
        let width = anatomy.hidden_size.or(config.hidden_size);
        let width = width.map_or_else(String::new, |width| format!(" x {width}"));
        let heads = anatomy.num_heads.map_or_else(String::new, |heads| format!(", {heads} heads"));
        row("layers", format!("{layers}{width}{heads}"));
    }
    if let Some(family) = &config.model_type {
        row("family", family.clone());
    }
    if !config.id2label.is_empty() {
        row("labels", list(config.id2label.iter().map(String::as_str)));
    }
    for (name, value) in model.metadata().iter().filter(|(name, _)| name.as_str() != "recipe") {
        row(name, value.clone());
    }
    let facts = rows.iter().map(|row| aligned_left(row)).collect::<Vec<_>>().join("\n");
    Ok(format!("{facts}\n\n{}", layers::table(anatomy)))
}

/// Returns how many layers the weights have, or the wiring, or else those that `config.json` speaks of.
fn num_layers(model: &Teacher, facts: &Summary, anatomy: &Anatomy) -> Option<usize> {
    let wired = Some(anatomy.layers.len()).filter(|&layers| layers > 0);
    facts.num_layers.or(wired).or(model.config().num_hidden_layers)
}

/// Sets a title and a text in two columns, both to the left.
fn aligned_left(row: &[String]) -> String {
    aligned(&[vec![format!("{:<14}", row[0]), row[1].clone()]])
}

fn as_json(model: &Teacher, facts: &Summary) -> Result<String> {
    let (config, anatomy) = (model.config(), model.anatomy()?);
    let names = |tensors: Vec<&TensorInfo>| tensors.iter().map(ToString::to_string).collect::<Vec<_>>();
    Ok(serde_json::to_string_pretty(&json!({
        "file": model.path(),
        "sha256": model.fingerprint()?,
        "file_bytes": file_bytes(model.path())?,
        "parameters": facts.num_parameters(),
        "opset": opsets(facts),
        "producer": facts.producer,
        "nodes": facts.num_nodes(),
        "operators": facts.operators,
        "inputs": names(inputs(model)),
        "outputs": names(model.signature().logits.iter().collect()),
        "layers": num_layers(model, facts, anatomy),
        "hidden_size": anatomy.hidden_size.or(config.hidden_size),
        "anatomy": layers::as_json(anatomy),
        "family": config.model_type,
        "labels": config.id2label,
        "metadata": model.metadata(),
    }))?)
}

fn opsets(facts: &Summary) -> String {
    let named = |(domain, version): (&String, &i64)| format!("{domain} {version}");
    facts.opsets.iter().map(named).collect::<Vec<_>>().join(", ")
}

fn types(facts: &Summary) -> String {
    facts
        .stored
        .iter()
        .map(|(name, stored)| format!("{} {name}", count(stored.numbers)))
        .collect::<Vec<_>>()
        .join(", ")
}
