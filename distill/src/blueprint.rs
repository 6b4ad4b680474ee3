//! The student before its first step: its shape, and the weights it starts with.

use crate::corpus::Subject;
use crate::error::explained;
use crate::narrowing::narrowed;
use crate::recipe::StudentSection;
use crate::tokens::Tokenizer;
use anyhow::{Context, Result};
use ndarray::ArrayView2;
use std::path::{Path, PathBuf};
use student::bert::{Bert, BertConfig, PRESETS, Preset, ProblemType};
use student::weights::{Tensor, Weights};
use student::{Architecture, Arena, checkpoint, import, init};

/// What a student must fit.
pub struct Purpose {
    /// V of its tokenizer.
    pub vocab_size: usize,
    /// The segments that its tokenizer tells apart.
    pub num_segments: usize,
    /// The id that fills up shorter texts.
    pub pad_token_id: u32,
    /// The names of the logits.
    pub labels: Vec<String>,
    /// Whether it predicts a number.
    pub regression: bool,
}

impl Purpose {
    /// Says what a student must fit that reads with `tokenizer` and predicts `subject`.
    ///
    /// # Errors
    /// When the tokenizer cannot encode a text.
    pub fn of(subject: &Subject, tokenizer: &Tokenizer) -> Result<Self> {
        Ok(Purpose {
            vocab_size: tokenizer.vocab_size(),
            num_segments: tokenizer.num_segments()?,
            pad_token_id: tokenizer.pad_id(),
            labels: subject.logit_names(),
            regression: subject.is_regression(),
        })
    }
}

/// A student that is ready to be trained.
pub struct Blueprint {
    /// The model.
    pub bert: Bert,
    /// The weights it starts with.
    pub params: Arena,
    /// How many of its tensors were copied.
    pub num_copied: usize,
    source: Option<Source>,
}

/// What a student's first weights are copied from.
#[derive(Clone)]
struct Source {
    model: PathBuf,
    layers: Option<Vec<usize>>,
}

/// The shape of a student of whom nothing is said.
const DEFAULT_SHAPE: &str = "tinybert-4l-312";

impl Blueprint {
    /// Builds the student that a recipe asks for.
    ///
    /// # Errors
    /// When the shape is unknown, or weights do not fit it.
    pub fn build(section: &StudentSection, purpose: &Purpose, seed: u64) -> Result<Self> {
        let mut config = shape(section, purpose)?;
        config.labels.clone_from(&purpose.labels);
        config.pad_token_id = purpose.pad_token_id;
        config.problem_type = Some(match purpose.regression {
            true => ProblemType::Regression,
            false => ProblemType::SingleLabelClassification,
        });
        config.architectures = vec![config.model_type.classifier().into()];
        if let Some(rate) = section.dropout {
            (config.hidden_dropout_prob, config.attention_probs_dropout_prob) = (rate, rate);
            config.classifier_dropout = None;
        }
        let range = config.initializer_range;
        let bert = Bert::new(config)?;
        let mut params = init::random(bert.layout(), range, seed);
        let model = section.init.clone().or_else(|| with_weights(section.shape.as_deref()));
        let source = model.map(|model| Source { model, layers: section.init_layers.clone() });
        let num_copied = source.as_ref().map_or(Ok(0), |source| source.copy(&bert, &mut params))?;
        Ok(Blueprint { bert, params, num_copied, source })
    }

    /// Returns the same student once more, at the same start.
    pub fn again(&self) -> Self {
        let config = self.bert.config().clone();
        let bert = Bert::new(config).expect("the configuration has made a model before");
        let (params, source) = (self.params.clone(), self.source.clone());
        Blueprint { bert, params, num_copied: self.num_copied, source }
    }

    /// Gives the student the word embeddings of another model, in its own width. `table`: [V, H of the other].
    ///
    /// # Errors
    /// When the other has another vocabulary, or is narrower.
    pub fn with_words(mut self, table: &Tensor) -> Result<Self> {
        let config = self.bert.config();
        let (theirs, ours) = (table.shape[0], config.vocab_size);
        if theirs != ours {
            return Err(explained(
                format!("the teacher has embeddings of {theirs} words, the student of {ours}"),
                "give the student its teacher's tokenizer, or leave `--init-embeddings` out",
            ));
        }
        let words = ArrayView2::from_shape((theirs, table.shape[1]), &table.data)?;
        let words = narrowed(words, config.hidden_size)?;
        self.params.matrix_mut(self.bert.word_embeddings()).assign(&words);
        Ok(self)
    }

    /// Gives the student a head that says which word stands where, for as long as it is trained: that of the model whose
    /// weights it starts with, or one at random where that has none.
    ///
    /// # Errors
    /// When that model cannot be read once more.
    pub fn predicting_words(self, seed: u64) -> Result<Self> {
        let own = self.params.data().len();
        let mut student = self.given(seed, Bert::predicting_words);
        if let Some(source) = &student.source {
            let mut copied = student.params.clone();
            source.weights(&student.bert)?.load(
                student.bert.layout(),
                &mut copied,
                source.layers.as_deref(),
            )?;
            student.params.data_mut()[own..].copy_from_slice(&copied.data()[own..]);
        }
        Ok(student)
    }

    /// Gives the student a map to the width of its teacher, at random, for as long as it is trained.
    pub fn projecting(self, width: usize, seed: u64) -> Self {
        self.given(seed, |bert| bert.projecting(width))
    }

    /// Gives the student parameters more, which come after its own.
    fn given(self, seed: u64, more: impl FnOnce(Bert) -> Bert) -> Self {
        let range = self.bert.config().initializer_range;
        let bert = more(self.bert);
        let mut params = init::random(bert.layout(), range, seed);
        params.data_mut()[..self.params.data().len()].copy_from_slice(self.params.data());
        Blueprint { bert, params, num_copied: self.num_copied, source: self.source }
    }
}

/// Returns the configuration of the asked shape, with a vocabulary that fits the tokenizer.
fn shape(section: &StudentSection, purpose: &Purpose) -> Result<BertConfig> {
    let mut config = match (section.shape.as_deref(), &section.init) {
        (Some(shape), _) => named_shape(shape, purpose)?,
        (None, Some(init)) => read_config(&config_of(init)?)?,
        (None, None) => named_shape(DEFAULT_SHAPE, purpose)?,
    };
    if section.shape.is_none()
        && let Some(layers) = &section.init_layers
    {
        config.num_hidden_layers = layers.len();
    }
    // A body without segments reads a pair as one text with a separator in it, whatever its tokenizer tells apart.
    let segments = if config.model_type.has_segments() { purpose.num_segments } else { 0 };
    for (what, has, needs) in
        [("word", config.vocab_size, purpose.vocab_size), ("segment", config.type_vocab_size, segments)]
    {
        if has < needs {
            return Err(explained(
                format!("the student has {has} {what} embeddings, but its tokenizer {needs} {what}s"),
                "use a shape made for this tokenizer, or give the shape's own with `--set student.tokenizer=DIR`",
            ));
        }
    }
    Ok(config)
}

fn named_shape(shape: &str, purpose: &Purpose) -> Result<BertConfig> {
    let path = Path::new(shape);
    if let Some(preset) = Preset::named(shape) {
        let config = preset.config(purpose.vocab_size, purpose.labels.clone());
        let segments = if preset.family.has_segments() { purpose.num_segments } else { 0 };
        Ok(BertConfig { type_vocab_size: segments, ..config })
    } else if path.exists() {
        read_config(&config_of(path)?)
    } else {
        let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        let hint = match crate::names::nearest(shape, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "the presets are {}; or give a config.json, or a directory with one",
                names.join(", ")
            ),
        };
        Err(explained(format!("there is no student shape `{shape}`"), hint))
    }
}

/// Reads the `config.json` of a BERT, keeping its own vocabulary.
pub fn read_config(path: &Path) -> Result<BertConfig> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    BertConfig::from_json(&text).with_context(|| format!("`{}` cannot be used for a student", path.display()))
}

/// Returns the configuration that belongs to a model: beside its weights, or above the folder `onnx`.
fn config_of(model: &Path) -> Result<PathBuf> {
    if model.extension().is_some_and(|extension| extension == "json") {
        return Ok(model.to_owned());
    }
    let folder = if model.is_dir() { Some(model) } else { model.parent() };
    let folders = folder.into_iter().chain(folder.and_then(Path::parent));
    folders.map(|folder| folder.join("config.json")).find(|path| path.exists()).ok_or_else(|| {
        explained(
            format!("there is no `config.json` beside `{}`", model.display()),
            "name the student's shape with `--student`",
        )
    })
}

/// Returns the shape's directory when it holds weights.
fn with_weights(shape: Option<&str>) -> Option<PathBuf> {
    let folder = Path::new(shape?);
    find_weights(folder).map(|_| folder.to_owned())
}

/// Says whether a tensor stands above the layers: what a file lacks there starts at random.
fn is_of_head(name: &str) -> bool {
    ["pooler", "classifier"].iter().any(|part| name.contains(part))
}

/// Returns the file with the weights of a model: safetensors where there is one, else the ONNX graph.
fn find_weights(model: &Path) -> Option<PathBuf> {
    if model.is_file() {
        return model.extension().is_some_and(|extension| extension != "json").then(|| model.to_owned());
    }
    let names = ["model.safetensors", "onnx/model.onnx", "model.onnx"];
    names.into_iter().map(|name| model.join(name)).find(|path| path.is_file())
}

/// Reads the weights of a model, from safetensors or out of an ONNX graph.
///
/// # Errors
/// When there are none, or they cannot be read.
pub fn read_weights(model: &Path) -> Result<Weights> {
    let path = find_weights(model).ok_or_else(|| {
        explained(
            format!("there are no weights in `{}`", model.display()),
            "give a directory with `model.safetensors` or `model.onnx`, or one of these files",
        )
    })?;
    let is_onnx = path.extension().is_some_and(|extension| extension == "onnx");
    Ok(if is_onnx { import::onnx::read(&path)? } else { checkpoint::read_weights(&path)? })
}

impl Source {
    /// Reads the weights, without a head for other classes than the student's.
    fn weights(&self, bert: &Bert) -> Result<Weights> {
        let mut weights = read_weights(&self.model)?;
        let classifier = bert.layout().entry("classifier.weight").map(|entry| entry.shape.as_slice());
        if weights.get("classifier.weight").map(|tensor| tensor.shape.as_slice()) != classifier {
            weights.remove("classifier.weight");
            weights.remove("classifier.bias");
        }
        Ok(weights)
    }

    /// Copies the weights; returns how many tensors were copied. The head stays as it is when there is none, or one for other
    /// classes.
    fn copy(&self, bert: &Bert, params: &mut Arena) -> Result<usize> {
        let (weights, source) = (self.weights(bert)?, self.model.display());
        let (has, wants) = (weights.num_layers(), bert.config().num_hidden_layers);
        if self.layers.is_none() && has != wants {
            let spread: Vec<String> =
                (1..=wants).map(|i| (i * has / wants).saturating_sub(1).to_string()).collect();
            return Err(explained(
                format!("`{source}` has {has} layers, but the student {wants}"),
                format!("choose which to copy, e.g. evenly with `--init-layers {}`", spread.join(",")),
            ));
        }
        let loaded = weights.load(bert.layout(), params, self.layers.as_deref())?;
        let missing: Vec<&String> = loaded.missing.iter().filter(|name| !is_of_head(name)).collect();
        if let Some(first) = missing.first() {
            return Err(explained(
                format!("`{source}` lacks {} tensors of the student, e.g. `{first}`", missing.len()),
                "choose which of its layers to copy with `--init-layers`, one for each layer of the student",
            ));
        }
        Ok(loaded.loaded.len())
    }
}
