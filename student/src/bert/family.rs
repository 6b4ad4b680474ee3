//! Bodies that are wired as BERT is, under other names: BERT itself, and DistilBERT.

use super::config::not_a_config;
use super::{BertConfig, ProblemType};
use crate::Error;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A body, by the `model_type` of its `config.json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Devlin et al. 2019: word, position and segment embeddings; a pooler with the hyperbolic tangent.
    #[default]
    Bert,
    /// Sanh et al. 2019: no segments, and before the classifier a map with the positive part.
    DistilBert,
}

/// What BERT calls the parts of its body, and what DistilBERT calls them.
const NAMES: [(&str, &str); 14] = [
    ("bert.embeddings.", "distilbert.embeddings."),
    ("bert.encoder.layer.", "distilbert.transformer.layer."),
    (".attention.self.query.", ".attention.q_lin."),
    (".attention.self.key.", ".attention.k_lin."),
    (".attention.self.value.", ".attention.v_lin."),
    (".attention.output.dense.", ".attention.out_lin."),
    (".attention.output.LayerNorm.", ".sa_layer_norm."),
    (".intermediate.dense.", ".ffn.lin1."),
    (".output.dense.", ".ffn.lin2."),
    (".output.LayerNorm.", ".output_layer_norm."),
    ("bert.pooler.dense.", "pre_classifier."),
    ("cls.predictions.transform.dense.", "vocab_transform."),
    ("cls.predictions.transform.LayerNorm.", "vocab_layer_norm."),
    ("cls.predictions.bias", "vocab_projector.bias"),
];

impl Family {
    /// Returns the class of `transformers` that opens a classifier.
    pub fn classifier(self) -> &'static str {
        match self {
            Family::Bert => "BertForSequenceClassification",
            Family::DistilBert => "DistilBertForSequenceClassification",
        }
    }

    /// Says whether the model tells segments apart.
    pub fn has_segments(self) -> bool {
        self == Family::Bert
    }

    /// Returns what the family calls the tensor that BERT calls `name`.
    pub fn name(self, name: &str) -> String {
        match self {
            Family::Bert => name.to_owned(),
            Family::DistilBert => {
                NAMES.iter().fold(name.to_owned(), |name, (bert, own)| name.replacen(bert, own, 1))
            }
        }
    }
}

/// Returns what BERT calls a tensor that DistilBERT calls `name`; the name itself where it has no other.
pub(crate) fn name_in_bert(name: &str) -> String {
    let is_distilbert = NAMES.iter().any(|(_, own)| !own.starts_with('.') && name.contains(own))
        || name.contains("transformer.layer.");
    if !is_distilbert {
        return name.to_owned();
    }
    let name = name.replacen("transformer.layer.", "encoder.layer.", 1).replacen("distilbert.", "bert.", 1);
    NAMES.iter().fold(name, |name, (bert, own)| name.replacen(own, bert, 1))
}

/// DistilBERT's `config.json`. Fields that a file lacks take its defaults.
#[derive(Serialize, Deserialize)]
#[serde(default)]
struct DistilBertFile {
    architectures: Vec<String>,
    model_type: String,
    vocab_size: usize,
    dim: usize,
    n_layers: usize,
    n_heads: usize,
    hidden_dim: usize,
    activation: String,
    max_position_embeddings: usize,
    sinusoidal_pos_embds: bool,
    dropout: f64,
    attention_dropout: f64,
    seq_classif_dropout: f64,
    initializer_range: f64,
    pad_token_id: u32,
    tie_weights_: bool,
    problem_type: Option<ProblemType>,
}

impl Default for DistilBertFile {
    fn default() -> Self {
        DistilBertFile {
            architectures: vec![Family::DistilBert.classifier().into()],
            model_type: "distilbert".into(),
            vocab_size: 30_522,
            dim: 768,
            n_layers: 6,
            n_heads: 12,
            hidden_dim: 3072,
            activation: "gelu".into(),
            max_position_embeddings: 512,
            sinusoidal_pos_embds: false,
            dropout: 0.1,
            attention_dropout: 0.1,
            seq_classif_dropout: 0.2,
            initializer_range: 0.02,
            pad_token_id: 0,
            tie_weights_: true,
            problem_type: None,
        }
    }
}

/// Reads a configuration in DistilBERT's words.
pub(super) fn read_distilbert(json: serde_json::Value) -> Result<BertConfig, Error> {
    let labels = json.get("id2label").cloned();
    let file: DistilBertFile = serde_json::from_value(json).map_err(not_a_config)?;
    // Their table of positions is learnt, too, once it has been filled.
    let named = labels.map(|id2label| serde_json::json!({ "id2label": id2label }));
    let named: BertConfig =
        named.map_or_else(|| Ok(BertConfig::default()), serde_json::from_value).map_err(not_a_config)?;
    Ok(BertConfig {
        architectures: file.architectures,
        model_type: Family::DistilBert,
        vocab_size: file.vocab_size,
        hidden_size: file.dim,
        num_hidden_layers: file.n_layers,
        num_attention_heads: file.n_heads,
        intermediate_size: file.hidden_dim,
        hidden_act: file.activation,
        max_position_embeddings: file.max_position_embeddings,
        type_vocab_size: 0,
        layer_norm_eps: 1e-12,
        hidden_dropout_prob: file.dropout,
        attention_probs_dropout_prob: file.attention_dropout,
        classifier_dropout: Some(file.seq_classif_dropout),
        initializer_range: file.initializer_range,
        pad_token_id: file.pad_token_id,
        position_embedding_type: "absolute".into(),
        labels: named.labels,
        problem_type: file.problem_type,
    })
}

/// Writes a configuration in DistilBERT's words.
pub(super) fn write_distilbert(config: &BertConfig) -> serde_json::Value {
    let file = DistilBertFile {
        architectures: config.architectures.clone(),
        vocab_size: config.vocab_size,
        dim: config.hidden_size,
        n_layers: config.num_hidden_layers,
        n_heads: config.num_attention_heads,
        hidden_dim: config.intermediate_size,
        activation: config.hidden_act.clone(),
        max_position_embeddings: config.max_position_embeddings,
        dropout: config.hidden_dropout_prob,
        attention_dropout: config.attention_probs_dropout_prob,
        seq_classif_dropout: config.head_dropout(),
        initializer_range: config.initializer_range,
        pad_token_id: config.pad_token_id,
        problem_type: config.problem_type,
        ..DistilBertFile::default()
    };
    let mut json = serde_json::to_value(file).expect("a configuration holds only strings and numbers");
    let names: BTreeMap<String, &String> =
        config.labels.iter().enumerate().map(|(id, name)| (id.to_string(), name)).collect();
    json["id2label"] = serde_json::json!(names);
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Architecture;
    use crate::bert::Bert;

    fn distilbert() -> BertConfig {
        BertConfig::from_json(r#"{"model_type": "distilbert", "id2label": {"0": "a", "1": "b", "2": "c"}}"#)
            .unwrap()
    }

    #[test]
    fn distilbert_has_its_published_size_and_its_own_names() {
        let bert = Bert::new(distilbert()).unwrap();
        let head = 768 * 768 + 768 + 3 * 768 + 3;
        assert_eq!(bert.layout().num_parameters() - head, 66_362_880);
        let names: Vec<&str> = bert.layout().entries().iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(
            &names[..4],
            [
                "distilbert.embeddings.word_embeddings.weight",
                "distilbert.embeddings.position_embeddings.weight",
                "distilbert.embeddings.LayerNorm.weight",
                "distilbert.embeddings.LayerNorm.bias",
            ]
        );
        let layer: Vec<&str> =
            names.iter().filter_map(|name| name.strip_prefix("distilbert.transformer.layer.5.")).collect();
        assert_eq!(
            layer,
            [
                "attention.q_lin.weight",
                "attention.q_lin.bias",
                "attention.k_lin.weight",
                "attention.k_lin.bias",
                "attention.v_lin.weight",
                "attention.v_lin.bias",
                "attention.out_lin.weight",
                "attention.out_lin.bias",
                "sa_layer_norm.weight",
                "sa_layer_norm.bias",
                "ffn.lin1.weight",
                "ffn.lin1.bias",
                "ffn.lin2.weight",
                "ffn.lin2.bias",
                "output_layer_norm.weight",
                "output_layer_norm.bias",
            ]
        );
        assert_eq!(
            &names[names.len() - 4..],
            ["pre_classifier.weight", "pre_classifier.bias", "classifier.weight", "classifier.bias",]
        );
    }

    #[test]
    fn every_name_of_distilbert_leads_back_to_berts() {
        let plain = Bert::new(BertConfig { num_hidden_layers: 2, ..BertConfig::default() }).unwrap();
        for entry in plain.layout().entries().iter().filter(|entry| !entry.name.contains("token_type")) {
            let own = Family::DistilBert.name(&entry.name);
            assert_eq!(name_in_bert(&own), entry.name, "{own}");
            assert_eq!(name_in_bert(&entry.name), entry.name);
        }
    }

    #[test]
    fn a_configuration_of_distilbert_survives_writing_and_reading() {
        let config =
            BertConfig { problem_type: Some(ProblemType::Regression), vocab_size: 99, ..distilbert() };
        let json = config.to_json();
        assert!(
            json.contains("\"n_heads\": 12")
                && json.contains("\"label2id\"")
                && !json.contains("hidden_size"),
            "{json}"
        );
        assert_eq!(BertConfig::from_json(&json).unwrap(), config);
        let error =
            BertConfig::from_json(r#"{"model_type": "distilbert", "activation": "relu"}"#).unwrap_err();
        assert!(error.to_string().contains("`relu`"), "{error}");
    }
}
