//! The model whose weights a student starts with.

use super::shape::{config_of, read_config};
use crate::error::explained;
use crate::narrowing::{Wide, check};
use crate::recipe::StudentSection;
use anyhow::Result;
use std::path::{Path, PathBuf};
use student::bert::{Bert, BertConfig};
use student::weights::{Loaded, Weights};
use student::{Architecture, Arena, checkpoint, import};

/// What a student's first weights are copied from.
#[derive(Clone)]
pub(super) struct Source {
    model: PathBuf,
    /// Which of its layers are taken, one for each of the student's.
    pub layers: Option<Vec<usize>>,
}

/// Returns the shape's directory when it holds weights.
fn with_weights(shape: Option<&str>) -> Option<PathBuf> {
    let folder = Path::new(shape?);
    find_weights(folder).map(|_| folder.to_owned())
}

/// Returns the flags with which a student would start as layers of a model; nothing where it cannot.
pub fn start_with(model: &Path, student: &BertConfig) -> Option<String> {
    find_weights(model)?;
    let config = read_config(&config_of(model).ok()?).ok()?;
    check(model, &config, student).ok()?;
    let (has, wants) = (config.num_hidden_layers, student.num_hidden_layers);
    let name = model.display().to_string();
    let name = if name.contains(char::is_whitespace) { format!("\"{name}\"") } else { name };
    (has >= wants).then(|| format!("--init {name} --init-layers {}", spread(has, wants)))
}

/// Returns which layers lie evenly among some, the last of them included.
fn spread(has: usize, wants: usize) -> String {
    let layers: Vec<String> = (1..=wants).map(|i| (i * has / wants).saturating_sub(1).to_string()).collect();
    layers.join(",")
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
    /// Returns the model that a recipe names, if it names one.
    pub fn of(section: &StudentSection) -> Option<Self> {
        let model = section.init.clone().or_else(|| with_weights(section.shape.as_deref()))?;
        Some(Source { model, layers: section.init_layers.clone() })
    }

    /// Reads the weights, without a head for other classes than the student's.
    pub fn weights(&self, bert: &Bert) -> Result<Weights> {
        let mut weights = read_weights(&self.model)?;
        let classes = bert.config().labels.len();
        if weights.get("classifier.weight").is_some_and(|tensor| tensor.shape.first() != Some(&classes)) {
            weights.remove("classifier.weight");
            weights.remove("classifier.bias");
        }
        Ok(weights)
    }

    /// Reads the model where it has other widths than the student.
    ///
    /// # Errors
    /// When it cannot be brought to the student's.
    pub fn wide(&self, narrow: &Bert, threads: usize) -> Result<Option<Wide>> {
        // Weights that lie alone can only be copied as they are.
        let Ok(config) = config_of(&self.model) else { return Ok(None) };
        let (wide, narrow_config) = (read_config(&config)?, narrow.config());
        let widths = |of: &BertConfig| (of.hidden_size, of.intermediate_size, of.num_attention_heads);
        if widths(&wide) == widths(narrow_config) {
            return Ok(None);
        }
        check(&self.model, &wide, narrow_config)?;
        self.check_layers(wide.num_hidden_layers, narrow)?;
        let weights = self.weights(narrow)?;
        self.check_claims(&weights, &wide)?;
        self.layers.iter().try_for_each(|layers| weights.check_choice(narrow.layout(), layers))?;
        let config = BertConfig { labels: narrow_config.labels.clone(), ..wide };
        Ok(Some(Wide::new(config, &weights, threads)?))
    }

    /// Refuses weights that are fewer than their configuration says, before room is made for as many as it says.
    fn check_claims(&self, weights: &Weights, config: &BertConfig) -> Result<()> {
        let (has, claimed) = (weights.num_layers(), config.num_hidden_layers);
        let held: usize = weights.names().filter_map(|name| weights.get(name)).map(|it| it.data.len()).sum();
        let is_held = || -> Result<bool> {
            let bert = Bert::new(config.clone())?;
            let body = bert.layout().entries().iter().filter(|entry| !is_of_head(&entry.name));
            Ok(body.map(|entry| entry.range().len()).sum::<usize>() <= held)
        };
        if has == claimed && is_held()? {
            return Ok(());
        }
        Err(explained(
            format!(
                "`{}` has {has} layers and {held} numbers, fewer than its `config.json` says",
                self.model.display()
            ),
            "the configuration belongs to another model, or the file is damaged; copy or export both again",
        ))
    }

    /// Refuses a model of another number of layers of which none were chosen.
    fn check_layers(&self, has: usize, bert: &Bert) -> Result<()> {
        let wants = bert.config().num_hidden_layers;
        if self.layers.is_some() || has == wants {
            return Ok(());
        }
        Err(explained(
            format!("`{}` has {has} layers, but the student {wants}", self.model.display()),
            format!("choose which to copy, e.g. evenly with `--init-layers {}`", spread(has, wants)),
        ))
    }

    /// Copies the weights; returns which tensors were copied. Those of a head are missing where there is none, or one for
    /// other classes.
    pub fn copy(&self, weights: &Weights, bert: &Bert, params: &mut Arena) -> Result<Loaded> {
        self.check_layers(weights.num_layers(), bert)?;
        let loaded = weights.load(bert.layout(), params, self.layers.as_deref())?;
        let missing: Vec<&String> = loaded.missing.iter().filter(|name| !is_of_head(name)).collect();
        if let Some(first) = missing.first() {
            return Err(explained(
                format!(
                    "`{}` lacks {} tensors of the student, e.g. `{first}`",
                    self.model.display(),
                    missing.len()
                ),
                "choose which of its layers to copy with `--init-layers`, one for each layer of the student",
            ));
        }
        Ok(loaded)
    }
}
