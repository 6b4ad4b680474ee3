//! Reads `config.json` the way the Hugging Face libraries write it: every field may be absent, none is trusted.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::Error;

/// Families whose position table starts after the padding id, so that `pad_token_id + 1` of its rows are never used.
const OFFSET_POSITIONS: [&str; 7] =
    ["camembert", "longformer", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"];

/// The parts of a Hugging Face `config.json` that a teacher or its student needs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelConfig {
    /// The model's family, e.g. `bert`.
    pub model_type: Option<String>,
    /// Class names, e.g. `BertForSequenceClassification`.
    pub architectures: Vec<String>,
    /// Label names in the order of the logits' columns; empty where the file names none.
    pub id2label: Vec<String>,
    /// Number of logits for each sequence, C; the length of `id2label` where the file does not say.
    pub num_labels: Option<usize>,
    /// Id that fills up short sequences.
    pub pad_token_id: Option<u32>,
    /// Rows of the position table; [`ModelConfig::max_tokens`] is what a sequence may use.
    pub max_position_embeddings: Option<usize>,
    /// Rows of the token table, V.
    pub vocab_size: Option<usize>,
    /// `single_label_classification`, `multi_label_classification` or `regression`.
    pub problem_type: Option<String>,
    /// Width, H (`dim` in a DistilBERT file).
    pub hidden_size: Option<usize>,
    /// Depth, L (`n_layers` in a DistilBERT file).
    pub num_hidden_layers: Option<usize>,
}

impl ModelConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// [`Error::Read`] where the file cannot be read; [`Error::BadConfig`] where it is not a JSON object, a field has
    /// the wrong type, or the ids of `id2label` are not 0, 1, 2, …
    pub fn read(path: &Path) -> Result<ModelConfig, Error> {
        let text = fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
        parse(&text).map_err(|reason| Error::BadConfig { path: path.into(), reason })
    }

    /// Returns the longest sequence the model takes, in tokens, special ones included.
    pub fn max_tokens(&self) -> Option<usize> {
        self.max_position_embeddings?.checked_sub(self.first_position() as usize)
    }

    /// Returns the position of the first token: 0, or the one after the padding id in the families around RoBERTa.
    pub fn first_position(&self) -> u32 {
        let offset = self.model_type.as_deref().is_some_and(|family| OFFSET_POSITIONS.contains(&family));
        if offset { self.pad_token_id.unwrap_or(1).saturating_add(1) } else { 0 }
    }
}

fn parse(text: &[u8]) -> Result<ModelConfig, String> {
    let json: Value = serde_json::from_slice(text).map_err(|error| format!("not JSON: {error}"))?;
    let json = json.as_object().ok_or("not a JSON object")?;
    let id2label = labels(json)?;
    let num_labels = match (size(json, "num_labels")?, id2label.len()) {
        (Some(num), named) if named != 0 && named != num => {
            return Err(format!("`num_labels` is {num}, but `id2label` has {named} entries"));
        }
        (Some(num), _) => Some(num),
        (None, named) => (named != 0).then_some(named),
    };
    Ok(ModelConfig {
        model_type: string(json, "model_type")?,
        architectures: strings(json, "architectures")?,
        id2label,
        num_labels,
        pad_token_id: size(json, "pad_token_id")?.and_then(|id| u32::try_from(id).ok()),
        max_position_embeddings: size(json, "max_position_embeddings")?,
        vocab_size: size(json, "vocab_size")?,
        problem_type: string(json, "problem_type")?,
        hidden_size: size(json, "hidden_size")?.or(size(json, "dim")?),
        num_hidden_layers: size(json, "num_hidden_layers")?.or(size(json, "n_layers")?),
    })
}

/// Returns the field unless it is absent or null.
fn field<'a>(json: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    json.get(name).filter(|value| !value.is_null())
}

fn string(json: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    field(json, name)
        .map(|value| value.as_str().map(str::to_owned).ok_or(format!("`{name}` is `{value}`, not a string")))
        .transpose()
}

fn strings(json: &Map<String, Value>, name: &str) -> Result<Vec<String>, String> {
    let Some(value) = field(json, name) else { return Ok(Vec::new()) };
    let wrong = || format!("`{name}` is `{value}`, not a list of strings");
    let items = value.as_array().ok_or_else(wrong)?;
    items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

/// Reads a count. Some families write -1 for "none"; that is absent too.
fn size(json: &Map<String, Value>, name: &str) -> Result<Option<usize>, String> {
    let Some(value) = field(json, name) else { return Ok(None) };
    let number = value.as_i64().ok_or(format!("`{name}` is `{value}`, not a whole number"))?;
    Ok(usize::try_from(number).ok())
}

fn labels(json: &Map<String, Value>) -> Result<Vec<String>, String> {
    let Some(value) = field(json, "id2label") else { return Ok(Vec::new()) };
    let entries = value.as_object().ok_or("`id2label` is not an object")?;
    let mut labels = vec![None; entries.len()];
    for (key, label) in entries {
        let id = key.parse::<usize>().ok().filter(|id| *id < labels.len());
        let id = id.ok_or(format!("`id2label` has {} entries, but one has the id `{key}`", labels.len()))?;
        labels[id] = Some(label.as_str().map_or_else(|| label.to_string(), str::to_owned));
    }
    // Two keys may parse to one id (`1` and `01`); then another id is missing.
    labels.into_iter().collect::<Option<_>>().ok_or("`id2label` names an id twice".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> ModelConfig {
        parse(text.as_bytes()).expect(text)
    }

    #[test]
    fn every_field_may_be_absent_or_null() {
        assert_eq!(config("{}"), ModelConfig::default());
        let nulls = r#"{"model_type": null, "id2label": null, "vocab_size": null, "architectures": null}"#;
        assert_eq!(config(nulls), ModelConfig::default());
    }

    #[test]
    fn a_usual_file_is_read() {
        let bert = config(
            r#"{"model_type": "bert", "architectures": ["BertForSequenceClassification"], "vocab_size": 30522,
                "id2label": {"1": "positive", "0": "negative"}, "pad_token_id": 0, "hidden_size": 384,
                "max_position_embeddings": 512, "num_hidden_layers": 6, "problem_type": "regression",
                "something_else": [1, {"a": 2}]}"#,
        );
        assert_eq!(bert.id2label, ["negative", "positive"]);
        assert_eq!((bert.num_labels, bert.vocab_size, bert.pad_token_id), (Some(2), Some(30522), Some(0)));
        assert_eq!((bert.hidden_size, bert.num_hidden_layers), (Some(384), Some(6)));
        assert_eq!((bert.max_tokens(), bert.first_position()), (Some(512), 0));
        assert_eq!(bert.problem_type.as_deref(), Some("regression"));
        assert_eq!(bert.architectures, ["BertForSequenceClassification"]);
    }

    #[test]
    fn distilbert_says_dim_and_n_layers() {
        let config = config(r#"{"model_type": "distilbert", "dim": 768, "n_layers": 6}"#);
        assert_eq!((config.hidden_size, config.num_hidden_layers), (Some(768), Some(6)));
    }

    #[test]
    fn roberta_like_models_lose_the_positions_up_to_the_padding_id() {
        for (family, pad, rows, usable) in [
            ("roberta", "1", "514", Some(512)),
            ("xlm-roberta", "1", "514", Some(512)),
            ("camembert", "1", "514", Some(512)),
            ("mpnet", "1", "514", Some(512)),
            ("roberta", "null", "514", Some(512)),
            ("bert", "1", "512", Some(512)),
            ("xlnet", "5", "-1", None),
            ("roberta", "9", "5", None),
        ] {
            let text = format!(
                r#"{{"model_type": "{family}", "pad_token_id": {pad}, "max_position_embeddings": {rows}}}"#
            );
            assert_eq!(config(&text).max_tokens(), usable, "{text}");
        }
    }

    #[test]
    fn labels_are_ordered_by_number_and_must_be_contiguous() {
        let twelve = (0..12).rev().map(|id| format!(r#""{id}": "label {id}""#)).collect::<Vec<_>>().join(",");
        let labels = config(&format!(r#"{{"id2label": {{{twelve}}}}}"#)).id2label;
        assert_eq!(labels[2], "label 2");
        assert_eq!(labels[11], "label 11");
        assert_eq!(config(r#"{"id2label": {"0": 5}}"#).id2label, ["5"]);
    }

    #[test]
    fn contradictions_and_wrong_types_are_named() {
        for (text, reason) in [
            ("[]", "not a JSON object"),
            ("{", "not JSON"),
            (r#"{"vocab_size": "many"}"#, "`vocab_size`"),
            (r#"{"vocab_size": 1e300}"#, "`vocab_size`"),
            (r#"{"model_type": 3}"#, "`model_type`"),
            (r#"{"architectures": "Bert"}"#, "`architectures`"),
            (r#"{"id2label": ["a"]}"#, "`id2label` is not an object"),
            (r#"{"id2label": {"0": "a", "2": "b"}}"#, "the id `2`"),
            (r#"{"id2label": {"a": "b"}}"#, "the id `a`"),
            (r#"{"id2label": {"1": "a", "01": "b"}}"#, "twice"),
            (r#"{"id2label": {"0": "a"}, "num_labels": 3}"#, "`num_labels` is 3"),
        ] {
            let error = parse(text.as_bytes()).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
