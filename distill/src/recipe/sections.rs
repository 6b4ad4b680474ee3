//! The sections of a recipe, their settings and their defaults.

use super::Precision;
use crate::error::explained;
use crate::objective::{LayerMap, Loss, Objective, Term};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use student::export::Format;
use student::export::onnx::Storage;
use student::quant::Range;

/// The teacher, and how it is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TeacherSection {
    /// The directory or ONNX file.
    pub path: Option<PathBuf>,
    /// Where its logits are kept; `labels.safetensors` in the output directory when not given.
    pub cache: Option<PathBuf>,
    /// The padded tokens of one batch.
    pub batch_tokens: usize,
    /// The name of its input for token ids, when it is an unusual one.
    pub input_ids: Option<String>,
    /// The name of its input for the mask.
    pub attention_mask: Option<String>,
    /// The name of its input for segments.
    pub token_type_ids: Option<String>,
    /// The name of its output.
    pub logits: Option<String>,
    /// Whether each example is given the logits of another: a control, which shows what the right ones are worth.
    #[serde(skip_serializing_if = "is_not")]
    pub shuffled: bool,
}

/// The text, and what to read of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSection {
    /// The file to train on.
    pub train: Option<PathBuf>,
    /// The file to evaluate on; part of the training file when not given.
    pub eval: Option<PathBuf>,
    /// The share of the training file that is held out when there is no file to evaluate on.
    pub holdout: f64,
    /// The preset that says how the file looks and how it is measured.
    pub task: String,
    /// The format, when the file name does not tell.
    pub format: Option<String>,
    /// The column with the text.
    pub text: Option<String>,
    /// The column with the second text.
    pub text_pair: Option<String>,
    /// The column with the label.
    pub label: Option<String>,
    /// The names of the classes, in the order of the teacher's logits.
    pub labels: Option<Vec<String>>,
    /// The tokens at which texts are cut.
    pub max_length: Option<usize>,
}

/// The model that is trained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StudentSection {
    /// A preset, a `config.json`, or a directory with one.
    pub shape: Option<String>,
    /// A model whose weights the student starts with.
    pub init: Option<PathBuf>,
    /// Which of its layers are copied, one for each layer of the student.
    pub init_layers: Option<Vec<usize>>,
    /// The directory or file of the student's own tokenizer, when it is not the teacher's.
    pub tokenizer: Option<PathBuf>,
    /// The dropout rate of every dropout layer; that of the shape when not given.
    pub dropout: Option<f64>,
}

/// What the student is trained for: the weight of each term.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveSection {
    /// The share of the teacher in an objective whose weights are left open; the gold labels have the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// The weight of the divergence from the teacher.
    pub kl: Option<f64>,
    /// The temperature T of that divergence.
    pub temperature: f64,
    /// The weight of the likelihood of the gold labels.
    pub cross_entropy: Option<f64>,
    /// The weight of the squared distance from the teacher's logits.
    pub logit_mse: Option<f64>,
    /// The weight of the squared distance from gold values.
    pub label_mse: Option<f64>,
    /// The weight of the squared distance of what comes out of the embeddings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_mse: Option<f64>,
    /// The weight of the squared distance of hidden states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden_mse: Option<f64>,
    /// The weight of how far hidden states point apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden_cosine: Option<f64>,
    /// The weight of the squared distance of attention scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_mse: Option<f64>,
    /// The weight of the divergence of attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_kl: Option<f64>,
    /// The weight of the divergence of the relations of queries, of keys and of values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relation_kl: Option<f64>,
    /// The heads into which queries, keys and values are cut for that.
    pub relation_heads: usize,
    /// Which layers are compared: `uniform`, `top`, `bottom`, `last`, or pairs of the student's layer and the teacher's,
    /// which count from 1.
    pub layers: LayerMap,
}

/// How the student is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSection {
    /// Makes every random choice reproducible.
    pub seed: u64,
    /// The threads to use, 0 for all cores; it changes no result.
    pub threads: usize,
    /// The precision of matrix products.
    pub precision: Precision,
    /// The format of export whose rounded weights the student computes with while it is trained: `int8`,
    /// `int8-embeddings` or `int4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounding: Option<String>,
    /// Whether eight bits are used for 129 whole numbers only, as for processors without VNNI.
    #[serde(skip_serializing_if = "is_not")]
    pub reduce_range: bool,
    /// The matrices and tables that are not rounded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// How often each example is seen.
    pub epochs: u32,
    /// The updates to make; decides instead of `epochs` when given.
    pub max_steps: Option<u64>,
    /// The examples of a batch.
    pub batch_size: usize,
    /// The tokens of a batch; decides instead of `batch_size` when given.
    pub batch_tokens: Option<usize>,
    /// The batches that make one update.
    pub accumulate: usize,
    /// The highest learning rate.
    pub learning_rate: Option<f64>,
    /// The share of the updates over which the learning rate rises.
    pub warmup: f64,
    /// The weight decay of matrices.
    pub weight_decay: f64,
    /// The norm to which longer gradients are shortened; 0 for no clipping.
    pub max_grad_norm: f64,
    /// The memory of Adam's first moment.
    pub beta1: f64,
    /// The memory of Adam's second moment.
    pub beta2: f64,
    /// The constant in Adam's denominator.
    pub epsilon: f64,
    /// The updates between two evaluations; about eight evaluations a run when not given.
    pub eval_every: Option<u64>,
    /// The evaluations without a better result after which training stops; 0 for never.
    pub patience: u32,
}

impl Default for TeacherSection {
    fn default() -> Self {
        TeacherSection {
            path: None,
            cache: None,
            batch_tokens: 512,
            input_ids: None,
            attention_mask: None,
            token_type_ids: None,
            logits: None,
            shuffled: false,
        }
    }
}

impl Default for DataSection {
    fn default() -> Self {
        DataSection {
            train: None,
            eval: None,
            holdout: 0.05,
            task: "text".into(),
            format: None,
            text: None,
            text_pair: None,
            label: None,
            labels: None,
            max_length: None,
        }
    }
}

impl Default for ObjectiveSection {
    fn default() -> Self {
        ObjectiveSection {
            alpha: None,
            kl: None,
            temperature: 2.0,
            cross_entropy: None,
            logit_mse: None,
            label_mse: None,
            embedding_mse: None,
            hidden_mse: None,
            hidden_cosine: None,
            score_mse: None,
            attention_kl: None,
            relation_kl: None,
            relation_heads: 12,
            layers: LayerMap::default(),
        }
    }
}

impl Default for TrainSection {
    fn default() -> Self {
        TrainSection {
            seed: 42,
            threads: 0,
            precision: Precision::Auto,
            rounding: None,
            reduce_range: false,
            exclude: Vec::new(),
            epochs: 3,
            max_steps: None,
            batch_size: 32,
            batch_tokens: None,
            accumulate: 1,
            learning_rate: None,
            warmup: 0.1,
            weight_decay: 0.01,
            max_grad_norm: 1.0,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            eval_every: None,
            patience: 0,
        }
    }
}

impl StudentSection {
    /// Starts with the student that lies in a folder: its shape, its tokenizer, all its layers.
    pub fn start_from(&mut self, folder: &Path) {
        let (init, dropout) = (Some(folder.to_owned()), self.dropout);
        *self = StudentSection { init, dropout, ..StudentSection::default() };
    }
}

impl TrainSection {
    /// Returns how the weights are stored that the student computes with while it is trained; nothing when they are not
    /// rounded.
    ///
    /// # Errors
    /// When there is no such format, or it rounds nothing.
    pub fn storage(&self) -> Result<Option<Storage<'_>>> {
        let Some(name) = &self.rounding else { return Ok(None) };
        let hint = "`train.rounding` is `int8`, `int8-embeddings` or `int4`";
        let format = name.parse::<Format>().map_err(|error| explained(error, hint))?;
        let range = if self.reduce_range { Range::Reduced } else { Range::Full };
        match format.matrices(range) {
            Some(_) => Ok(Some(Storage { format, range, exclude: &self.exclude })),
            None => Err(explained(format!("`{format}` rounds nothing that could be trained for"), hint)),
        }
    }
}

fn is_not(setting: &bool) -> bool {
    !setting
}

impl ObjectiveSection {
    /// Decides the weights that were left open, once it is known what the data supplies.
    ///
    /// A classification is distilled with 0.9 on the teacher and 0.1 on the gold labels, a regression with the same
    /// shares of squared distances; without labels only the teacher counts, without a teacher only the labels.
    ///
    /// # Errors
    /// When both the share of the teacher and a weight are given: then one of them would do nothing.
    pub fn resolve(&mut self, has_teacher: bool, has_labels: bool, regression: bool) -> Result<()> {
        let undecided = self.weights().iter().all(|(weight, _)| weight.is_none());
        let (soft, hard) = match (self.alpha.take(), has_teacher, has_labels) {
            (Some(_), ..) if !undecided => {
                let hint = "give `--alpha`, or the weight of each term with `--set objective.…`";
                return Err(explained(
                    "the objective has both a share of the teacher and weights of its own",
                    hint,
                ));
            }
            // Rounded, since a person who says 0.9 means 0.1 for the rest.
            (Some(alpha), ..) => (alpha, ((1.0 - alpha) * 1e12).round() / 1e12),
            (None, true, true) => (0.9, 0.1),
            (None, true, false) => (1.0, 0.0),
            (None, false, _) => (0.0, 1.0),
        };
        let default = |applies: bool, weight: f64| if undecided && applies { weight } else { 0.0 };
        self.kl.get_or_insert(default(!regression, soft));
        self.cross_entropy.get_or_insert(default(!regression, hard));
        self.logit_mse.get_or_insert(default(regression, soft));
        self.label_mse.get_or_insert(default(regression, hard));
        Ok(())
    }

    /// Returns the objective of the weights.
    ///
    /// # Errors
    /// As [`Objective::new`].
    pub fn objective(&self) -> Result<Objective> {
        let terms = self.weights().map(|(weight, loss)| Term { weight: weight.unwrap_or(0.0), loss });
        Objective::new(terms)
    }

    /// Returns the terms in a few words.
    pub fn describe(&self) -> String {
        let given = self.weights().into_iter().filter_map(|(weight, loss)| Some((weight?, loss)));
        let terms: Vec<String> = given
            .filter(|(weight, _)| *weight != 0.0)
            .map(|(weight, loss)| format!("{weight} {}", loss.name()))
            .collect();
        if terms.is_empty() { "as the data allows".to_owned() } else { terms.join(" + ") }
    }

    /// Returns every loss with its weight, if one is given.
    fn weights(&self) -> [(Option<f64>, Loss); 10] {
        [
            (self.kl, Loss::Kl { temperature: self.temperature }),
            (self.cross_entropy, Loss::CrossEntropy),
            (self.logit_mse, Loss::LogitMse),
            (self.label_mse, Loss::LabelMse),
            (self.embedding_mse, Loss::EmbeddingMse),
            (self.hidden_mse, Loss::HiddenMse),
            (self.hidden_cosine, Loss::HiddenCosine),
            (self.score_mse, Loss::ScoreMse),
            (self.attention_kl, Loss::AttentionKl),
            (self.relation_kl, Loss::RelationKl { heads: self.relation_heads }),
        ]
    }
}
