//! The shape of a BERT, in the words of Hugging Face's `config.json`.

use super::Family;
use super::family::{read_distilbert, write_distilbert};
use crate::Error;
use crate::layers::{Dropout, EmbeddingSizes};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// What the logits mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemType {
    /// One class out of several: softmax over the logits.
    SingleLabelClassification,
    /// A number.
    Regression,
}

/// The shape of a BERT with a head for whole texts. Fields that a file lacks take BERT's defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BertConfig {
    /// The class in `transformers` that opens the model.
    pub architectures: Vec<String>,
    /// The body.
    pub model_type: Family,
    /// V.
    pub vocab_size: usize,
    /// H.
    pub hidden_size: usize,
    /// L.
    pub num_hidden_layers: usize,
    /// A.
    pub num_attention_heads: usize,
    /// I.
    pub intermediate_size: usize,
    /// The activation; `gelu` is the exact form.
    pub hidden_act: String,
    /// The longest sequence the model can take.
    pub max_position_embeddings: usize,
    /// The number of segments; 0 for a body that does not tell them apart.
    pub type_vocab_size: usize,
    /// ε of the normalisations.
    pub layer_norm_eps: f64,
    /// The dropout rate after embeddings, attention and feed-forward blocks.
    pub hidden_dropout_prob: f64,
    /// The dropout rate of attention probabilities.
    pub attention_probs_dropout_prob: f64,
    /// The dropout rate before the classifier; that of the hidden layers when absent.
    pub classifier_dropout: Option<f64>,
    /// The standard deviation with which matrices start.
    pub initializer_range: f64,
    /// The id that fills up shorter sequences of an exported graph.
    pub pad_token_id: u32,
    /// How positions are known; only learned `absolute` embeddings are built.
    pub position_embedding_type: String,
    /// The names of the classes, in the order of the logits. One name for regression.
    #[serde(rename = "id2label", serialize_with = "by_id", deserialize_with = "in_order")]
    pub labels: Vec<String>,
    /// What the logits mean.
    pub problem_type: Option<ProblemType>,
}

impl Default for BertConfig {
    fn default() -> Self {
        BertConfig {
            architectures: vec!["BertForSequenceClassification".into()],
            model_type: Family::Bert,
            vocab_size: 30_522,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".into(),
            max_position_embeddings: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            classifier_dropout: None,
            initializer_range: 0.02,
            pad_token_id: 0,
            position_embedding_type: "absolute".into(),
            labels: vec!["LABEL_0".into(), "LABEL_1".into()],
            problem_type: None,
        }
    }
}

impl BertConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// [`Error::Config`] when it is no JSON object of the known fields, or describes another kind of model.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let object: serde_json::Map<_, _> = serde_json::from_str(json).map_err(not_a_config)?;
        let family = match object.get("model_type").and_then(|name| name.as_str()) {
            Some("distilbert") => Family::DistilBert,
            Some("bert") | None => Family::Bert,
            Some(other) => {
                let known = "only `bert` and `distilbert` can be built";
                return Err(Error::Config(format!("`model_type` is `{other}`, but {known}")));
            }
        };
        let config: BertConfig = match family {
            Family::Bert => serde_json::from_value(object.into()).map_err(not_a_config)?,
            Family::DistilBert => read_distilbert(object.into())?,
        };
        config.validate()?;
        Ok(config)
    }

    /// Writes the text of a `config.json`, with `label2id` beside `id2label`.
    pub fn to_json(&self) -> String {
        let mut json = match self.model_type {
            Family::Bert => {
                serde_json::to_value(self).expect("a configuration holds only strings and numbers")
            }
            Family::DistilBert => write_distilbert(self),
        };
        json["label2id"] = self.labels.iter().enumerate().map(|(id, name)| (name.clone(), id)).collect();
        serde_json::to_string_pretty(&json).expect("a JSON value can be written") + "\n"
    }

    /// Returns the dropout rate before the classifier.
    pub fn head_dropout(&self) -> f64 {
        self.classifier_dropout.unwrap_or(self.hidden_dropout_prob)
    }

    /// Returns the sizes of the tables of embeddings.
    pub(crate) fn embedding_sizes(&self) -> EmbeddingSizes {
        EmbeddingSizes {
            vocab_size: self.vocab_size,
            max_positions: self.max_position_embeddings,
            type_vocab_size: self.type_vocab_size,
            hidden_size: self.hidden_size,
            layer_norm_eps: self.layer_norm_eps,
            dropout: self.hidden_dropout_prob,
        }
    }

    /// Says whether the model predicts a number instead of a class.
    pub fn is_regression(&self) -> bool {
        match self.problem_type {
            Some(problem_type) => problem_type == ProblemType::Regression,
            None => self.labels.len() == 1,
        }
    }

    /// Returns the numbers in the embeddings and in the matrices of the layers, which are almost all. The sizes must be
    /// checked.
    fn weights(&self) -> u128 {
        let rows = self.vocab_size + self.max_position_embeddings + self.type_vocab_size;
        let [rows, hidden, layers, inner] =
            [rows, self.hidden_size, self.num_hidden_layers, self.intermediate_size].map(|size| size as u128);
        hidden * (rows + layers * (4 * hidden + 2 * inner))
    }

    /// Returns an error when the sizes do not make a model that can be built here.
    pub fn validate(&self) -> Result<(), Error> {
        let fail = |what: String| Err(Error::Config(what));
        for (name, size, most) in [
            ("vocab_size", self.vocab_size, MAX_SIZE),
            ("hidden_size", self.hidden_size, MAX_SIZE),
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", self.num_attention_heads, MAX_SIZE),
            ("intermediate_size", self.intermediate_size, MAX_SIZE),
            ("max_position_embeddings", self.max_position_embeddings, MAX_SIZE),
            ("number of labels", self.labels.len(), MAX_SIZE),
        ] {
            if size == 0 || size > most {
                return fail(format!("`{name}` is `{size}`, but must be between 1 and {most}"));
            }
        }
        let segments = self.type_vocab_size;
        if (segments > 0) != self.model_type.has_segments() || segments > MAX_SIZE {
            return fail(format!("`type_vocab_size` is `{segments}`, which is not the body's"));
        }
        let weights = self.weights();
        if weights > MAX_WEIGHTS {
            return fail(format!("its sizes make {weights} weights, but must make at most {MAX_WEIGHTS}"));
        }
        let (hidden, heads) = (self.hidden_size, self.num_attention_heads);
        if hidden % heads != 0 {
            return fail(format!(
                "`hidden_size` `{hidden}` is not a multiple of `num_attention_heads` `{heads}`"
            ));
        }
        for (name, found, known) in [
            ("hidden_act", &self.hidden_act, "gelu"),
            ("position_embedding_type", &self.position_embedding_type, "absolute"),
        ] {
            if found != known {
                return fail(format!("`{name}` is `{found}`, but only `{known}` can be built"));
            }
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return fail(format!(
                "`layer_norm_eps` is `{}`, but must lie between 0 and 1",
                self.layer_norm_eps
            ));
        }
        Dropout::check("hidden_dropout_prob", self.hidden_dropout_prob)?;
        Dropout::check("attention_probs_dropout_prob", self.attention_probs_dropout_prob)?;
        Dropout::check("classifier_dropout", self.head_dropout())
    }
}

pub(super) fn not_a_config(error: serde_json::Error) -> Error {
    Error::Config(error.to_string())
}

/// No real model of this kind comes near; a file that claims more is wrong, and would exhaust the memory.
const MAX_SIZE: usize = 4_000_000;
const MAX_LAYERS: usize = 1_000;
const MAX_WEIGHTS: u128 = 1 << 30;

fn by_id<S: Serializer>(labels: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().enumerate().map(|(id, name)| (id.to_string(), name)))
}

fn in_order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = BTreeMap::<String, String>::deserialize(deserializer)?;
    (0..names.len())
        .map(|id| {
            names.get(&id.to_string()).cloned().ok_or_else(|| {
                serde::de::Error::custom(format!(
                    "`id2label` has {} names, but none for id `{id}`",
                    names.len()
                ))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_survives_writing_and_reading() {
        let config = BertConfig {
            labels: (0..12).map(|i| format!("class {i}")).collect(),
            classifier_dropout: Some(0.25),
            problem_type: Some(ProblemType::SingleLabelClassification),
            ..BertConfig::default()
        };
        let json = config.to_json();
        assert!(json.contains("\"label2id\"") && json.contains("\"class 11\": 11"), "{json}");
        assert_eq!(BertConfig::from_json(&json).unwrap(), config);
    }

    #[test]
    fn a_configuration_that_makes_no_model_is_refused() {
        for (json, expected) in [
            (r#"{"hidden_size": 10}"#, "not a multiple"),
            (r#"{"num_hidden_layers": 0}"#, "`num_hidden_layers` is `0`"),
            (r#"{"vocab_size": 99999999999}"#, "`vocab_size` is `99999999999`"),
            (r#"{"num_hidden_layers": 1001, "hidden_size": 12}"#, "must be between 1 and 1000"),
            (r#"{"num_hidden_layers": 1000, "hidden_size": 3072}"#, "its sizes make 56"),
            (r#"{"hidden_act": "relu"}"#, "`hidden_act` is `relu`"),
            (r#"{"model_type": "gpt2"}"#, "`model_type` is `gpt2`"),
            (r#"{"hidden_dropout_prob": 1.0}"#, "`hidden_dropout_prob` is `1`"),
            (r#"{"id2label": {"0": "a", "2": "b"}}"#, "none for id `1`"),
            (r#"{"layer_norm_eps": 0}"#, "`layer_norm_eps`"),
            ("[]", "invalid type"),
            ("{", "EOF"),
        ] {
            let error = BertConfig::from_json(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
