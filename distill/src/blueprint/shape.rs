//! The shape of a student: a preset, a file, or that of the model whose weights it starts with.

use super::Purpose;
use crate::error::explained;
use crate::recipe::StudentSection;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use student::bert::{BertConfig, PRESETS, Preset};

/// The shape of a student of whom nothing is said.
const DEFAULT_SHAPE: &str = "tinybert-4l-312";

/// Returns the configuration of the asked shape, with a vocabulary that fits the tokenizer.
pub(super) fn of(section: &StudentSection, purpose: &Purpose) -> Result<BertConfig> {
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
pub(super) fn config_of(model: &Path) -> Result<PathBuf> {
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
