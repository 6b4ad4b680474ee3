//! The sections of a recipe, their settings and their defaults.

use super::Precision;
use crate::error::explained;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use student::export::Format;
use student::export::onnx::Storage;
use student::quant::{Range, TableBits};

/// The teacher, and how it is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TeacherSection {
    /// The directory or ONNX file.
    pub path: Option<PathBuf>,
    /// Where its logits are kept; `labels.safetensors` in the output directory when not given.
    pub cache: Option<PathBuf>,
    /// Whether what goes on inside it is computed once, before training, and kept beside the tokens.
    #[serde(skip_serializing_if = "is_not")]
    pub cache_inside: bool,
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

/// How word embeddings start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InitEmbeddings {
    /// As the teacher's, projected on their leading singular vectors.
    Svd,
}

impl std::str::FromStr for InitEmbeddings {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        if name == "svd" { Ok(InitEmbeddings::Svd) } else { Err("the only way is `svd`".into()) }
    }
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
    /// How the student's word embeddings start: `svd` for the teacher's, projected on their leading singular vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_embeddings: Option<InitEmbeddings>,
    /// The directory or file of the student's own tokenizer, when it is not the teacher's.
    pub tokenizer: Option<PathBuf>,
    /// The dropout rate of every dropout layer; that of the shape when not given.
    pub dropout: Option<f64>,
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
    /// The bits of embeddings, 8 or 4, where the format rounds them.
    #[serde(skip_serializing_if = "is_eight")]
    pub embedding_bits: u8,
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
            cache_inside: false,
            batch_tokens: 512,
            input_ids: None,
            attention_mask: None,
            token_type_ids: None,
            logits: None,
            shuffled: false,
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
            embedding_bits: TableBits::default().bits(),
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
        let tables = TableBits::of(self.embedding_bits).ok_or_else(|| {
            explained(
                format!("embeddings of {} bits", self.embedding_bits),
                "`train.embedding_bits` is 8 or 4",
            )
        })?;
        let Some(name) = &self.rounding else { return Ok(None) };
        let hint = ROUNDING;
        let format = name.parse::<Format>().map_err(|error| explained(error, hint))?;
        let range = if self.reduce_range { Range::Reduced } else { Range::Full };
        match format.matrices(range) {
            Some(_) => Ok(Some(Storage { format, range, tables, exclude: &self.exclude })),
            None => Err(explained(format!("`{format}` rounds nothing that could be trained for"), hint)),
        }
    }

    /// Refuses settings that say how to round where nothing is rounded.
    pub(super) fn check_needed(&self) -> Result<()> {
        let details = [
            ("embedding_bits", !is_eight(&self.embedding_bits)),
            ("reduce_range", self.reduce_range),
            ("exclude", !self.exclude.is_empty()),
        ];
        match details.into_iter().find(|(_, is_set)| *is_set && self.rounding.is_none()) {
            Some((key, _)) => {
                Err(explained(format!("`train.{key}` changes nothing without `train.rounding`"), ROUNDING))
            }
            None => Ok(()),
        }
    }
}

const ROUNDING: &str = "`train.rounding` is `int8`, `int8-embeddings` or `int4`";

pub(super) fn is_not(setting: &bool) -> bool {
    !setting
}

fn is_eight(bits: &u8) -> bool {
    *bits == TableBits::default().bits()
}
