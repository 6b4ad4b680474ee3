//! Weights that were read from a file of any format, on their way into a model.

use crate::bert::name_in_bert;
use crate::{Arena, Error, Layout};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The numbers of one tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The shape; matrices of linear layers are `[out, in]`.
    pub shape: Vec<usize>,
    /// The numbers in row-major order, as many as the shape says.
    pub data: Vec<f32>,
}

/// The tensors of a file by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    source: PathBuf,
    tensors: BTreeMap<String, Tensor>,
}

/// What [`Weights::load`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The tensors of the model that now hold the file's numbers.
    pub loaded: Vec<String>,
    /// The tensors of the model that the file does not have; they are as they were.
    pub missing: Vec<String>,
    /// The tensors of the file, by their names there, that the model has no place for.
    pub unused: Vec<String>,
}

impl Weights {
    /// Takes over the tensors that the file `source` holds.
    pub fn new(source: impl Into<PathBuf>, tensors: BTreeMap<String, Tensor>) -> Self {
        for (name, Tensor { shape, data }) in &tensors {
            assert_eq!(
                shape.iter().product::<usize>(),
                data.len(),
                "`{name}` must be as long as its shape says"
            );
        }
        Weights { source: source.into(), tensors }
    }

    /// Returns the file that the tensors come from.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// Returns the tensor that is called `name` in the file.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Takes away the tensor that is called `name` in the file, so that it is not loaded.
    pub fn remove(&mut self, name: &str) -> Option<Tensor> {
        self.tensors.remove(name)
    }

    /// Returns the names of the tensors in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Returns the number of encoder layers that the tensors belong to.
    pub fn num_layers(&self) -> usize {
        layer_numbers(self.names()).len()
    }

    /// Copies into `params` what the file has of the model's tensors; layer `i` takes layer `layers[i]` of the file.
    ///
    /// Names are compared without what wrappers put before them (`model.`, `bert.`, `encoder.model.`, nothing), those of
    /// DistilBERT count as BERT's, and the old `gamma` and `beta` of a normalisation count as its `weight` and `bias`. Buffers of ids and the heads of
    /// pre-training (`cls.`) are not reported as unused.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when a tensor has another shape than the model's, when two tensors have one name, or when
    /// `layers` does not choose an existing layer for each of the model's. `params` may then be partly filled.
    pub fn load(
        &self,
        layout: &Layout,
        params: &mut Arena,
        layers: Option<&[usize]>,
    ) -> Result<Loaded, Error> {
        let sources = self.by_canonical_name()?;
        if let Some(layers) = layers {
            self.check_choice(layout, layers)?;
        }
        let (mut outcome, mut used) = (Loaded::default(), BTreeSet::new());
        for entry in layout.entries() {
            let wanted = match layers {
                Some(layers) => chosen(canonical(&entry.name), layers),
                None => canonical(&entry.name),
            };
            let Some(&name) = sources.get(&wanted) else {
                outcome.missing.push(entry.name.clone());
                continue;
            };
            let tensor = &self.tensors[name];
            if tensor.shape != entry.shape {
                let (found, expected) = (&tensor.shape, &entry.shape);
                return Err(
                    self.mismatch(format!("`{name}` has shape {found:?}, the model's has {expected:?}"))
                );
            }
            params.data_mut()[entry.range()].copy_from_slice(&tensor.data);
            outcome.loaded.push(entry.name.clone());
            used.insert(name);
        }
        let unused = self.names().filter(|name| !used.contains(name) && !is_expected_to_be_unused(name));
        outcome.unused = unused.map(str::to_owned).collect();
        Ok(outcome)
    }

    fn by_canonical_name(&self) -> Result<BTreeMap<String, &str>, Error> {
        let mut sources = BTreeMap::new();
        for name in self.names() {
            if let Some(other) = sources.insert(canonical(name), name) {
                return Err(
                    self.mismatch(format!("`{other}` and `{name}` are both `{}` of a BERT", canonical(name)))
                );
            }
        }
        Ok(sources)
    }

    /// Says whether `layers` chooses an existing layer for each layer of the model.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when it does not.
    pub fn check_choice(&self, layout: &Layout, layers: &[usize]) -> Result<(), Error> {
        let (found, expected) =
            (layers.len(), layer_numbers(layout.entries().iter().map(|entry| &*entry.name)).len());
        if found != expected {
            return Err(
                self.mismatch(format!("`{found}` layers are chosen for the `{expected}` of the model"))
            );
        }
        let available = layer_numbers(self.names());
        match layers.iter().find(|layer| !available.contains(layer)) {
            Some(layer) => {
                let found = available.len();
                Err(self.mismatch(format!(
                    "it has `{found}` encoder layers, counted from 0, and no layer `{layer}`"
                )))
            }
            None => Ok(()),
        }
    }

    fn mismatch(&self, reason: String) -> Error {
        Error::Mismatch { path: self.source.clone(), reason }
    }
}

/// The table of word embeddings, in Hugging Face's BERT.
pub(crate) const WORDS: &str = "bert.embeddings.word_embeddings.weight";
const LAYERS: &str = "bert.encoder.layer.";

/// Returns the name that a tensor has in Hugging Face's BERT, whatever a wrapper put before it.
pub(crate) fn canonical(name: &str) -> String {
    if name.starts_with("cls.") {
        return name.to_owned();
    }
    // It stands where BERT has its pooler, but what follows a pooler is the tangent: neither starts as the other.
    if let Some(rest) = at_component(name, "pre_classifier.") {
        return rest.to_owned();
    }
    let name = &name_in_bert(name);
    let name = match name.rsplit_once('.') {
        Some((norm, "gamma")) => format!("{norm}.weight"),
        Some((norm, "beta")) => format!("{norm}.bias"),
        _ => name.to_owned(),
    };
    let below_bert =
        ["embeddings.", "encoder.layer.", "pooler."].iter().find_map(|root| at_component(&name, root));
    match (below_bert, at_component(&name, "classifier.")) {
        (Some(rest), _) => format!("bert.{rest}"),
        (None, Some(rest)) => rest.to_owned(),
        (None, None) => name,
    }
}

/// Returns the end of a dotted name that begins with the component `root`.
fn at_component<'a>(name: &'a str, root: &str) -> Option<&'a str> {
    let starts = name.match_indices(root).map(|(start, _)| start);
    starts.into_iter().find(|&start| start == 0 || name[..start].ends_with('.')).map(|start| &name[start..])
}

/// Returns the numbers of the encoder layers that tensors of these names belong to.
pub(crate) fn layer_numbers<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<usize> {
    names.filter_map(|name| layer_number(&canonical(name))).collect()
}

/// Returns the number of the encoder layer in a canonical name.
fn layer_number(name: &str) -> Option<usize> {
    name.strip_prefix(LAYERS)?.split_once('.')?.0.parse().ok()
}

/// Returns the name of the tensor that takes the place of `name` in the chosen layer.
fn chosen(name: String, layers: &[usize]) -> String {
    let parts = name.strip_prefix(LAYERS).and_then(|rest| rest.split_once('.'));
    match (layer_number(&name), parts) {
        (Some(number), Some((_, rest))) => format!("{LAYERS}{}.{rest}", layers[number]),
        _ => name,
    }
}

fn is_expected_to_be_unused(name: &str) -> bool {
    name.ends_with("_ids") || name.starts_with("cls.") || name.starts_with("vocab_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(num_layers: usize) -> Layout {
        let mut layout = Layout::default();
        let mut scope = layout.scope("bert");
        scope.at("embeddings.LayerNorm").scale("weight", 2);
        for i in 0..num_layers {
            scope.at("encoder.layer").at(i).matrix("weight", 2, 1);
        }
        layout.scope("classifier").bias("bias", 1);
        layout
    }

    fn weights(tensors: &[(&str, &[usize], &[f32])]) -> Weights {
        let tensor = |shape: &[usize], data: &[f32]| Tensor { shape: shape.to_vec(), data: data.to_vec() };
        let tensors = tensors.iter().map(|&(name, shape, data)| (name.to_owned(), tensor(shape, data)));
        Weights::new("file", tensors.collect())
    }

    fn load(
        weights: &Weights,
        num_layers: usize,
        layers: Option<&[usize]>,
    ) -> Result<(Loaded, Vec<f32>), Error> {
        let layout = layout(num_layers);
        let mut params = Arena::zeros(&layout);
        let loaded = weights.load(&layout, &mut params, layers)?;
        Ok((loaded, params.data().to_vec()))
    }

    #[test]
    fn tensors_are_found_under_the_names_that_wrappers_give_them() {
        for (prefix, head) in
            [("bert.", ""), ("", ""), ("model.", "model."), ("encoder.model.", ""), ("0.auto_model.", "")]
        {
            let names = [
                format!("{prefix}embeddings.LayerNorm.gamma"),
                format!("{prefix}encoder.layer.0.weight"),
                format!("{head}classifier.bias"),
            ];
            let file = weights(&[
                (&names[0], &[2], &[1.0, 2.0]),
                (&names[1], &[2, 1], &[3.0, 4.0]),
                (&names[2], &[1], &[5.0]),
                ("bert.embeddings.position_ids", &[1], &[0.0]),
                ("cls.predictions.bias", &[1], &[0.0]),
            ]);
            let (loaded, params) = load(&file, 1, None).unwrap();
            assert_eq!(params, [1.0, 2.0, 3.0, 4.0, 5.0], "{prefix}");
            assert_eq!((loaded.missing.len(), loaded.unused.len()), (0, 0), "{prefix}");
        }
    }

    #[test]
    fn a_pooler_and_the_map_of_distilbert_before_its_classifier_are_not_taken_for_each_other() {
        let of = |name: &str| {
            let mut layout = Layout::default();
            layout.scope(name).bias("bias", 1);
            layout
        };
        for (file, model, is_the_same) in [
            ("model.pre_classifier.bias", "pre_classifier", true),
            ("bert.pooler.dense.bias", "pre_classifier", false),
            ("pre_classifier.bias", "bert.pooler.dense", false),
        ] {
            let layout = of(model);
            let mut params = Arena::zeros(&layout);
            let loaded = weights(&[(file, &[1], &[1.0])]).load(&layout, &mut params, None).unwrap();
            assert_eq!(loaded.loaded.len() == 1, is_the_same, "{file} for {model}");
        }
    }

    #[test]
    fn chosen_layers_are_copied_and_the_rest_is_reported() {
        let file = weights(&[
            ("bert.encoder.layer.0.weight", &[2, 1], &[0.0, 1.0]),
            ("bert.encoder.layer.1.weight", &[2, 1], &[10.0, 11.0]),
            ("bert.encoder.layer.10.weight", &[2, 1], &[20.0, 21.0]),
        ]);
        let (loaded, params) = load(&file, 2, Some(&[10, 1])).unwrap();
        assert_eq!(params, [0.0, 0.0, 20.0, 21.0, 10.0, 11.0, 0.0]);
        assert_eq!(loaded.loaded, ["bert.encoder.layer.0.weight", "bert.encoder.layer.1.weight"]);
        assert_eq!(loaded.missing, ["bert.embeddings.LayerNorm.weight", "classifier.bias"]);
        assert_eq!(loaded.unused, ["bert.encoder.layer.0.weight"]);
    }

    #[test]
    fn weights_that_do_not_fit_are_refused_with_both_facts() {
        let layer: (&str, &[usize], &[f32]) = ("bert.encoder.layer.0.weight", &[2, 1], &[0.0, 1.0]);
        for (tensors, layers, expected) in [
            (
                vec![("classifier.bias", &[3][..], &[0.0; 3][..])],
                None,
                "`classifier.bias` has shape [3], the model's has [1]",
            ),
            (
                vec![layer, ("encoder.layer.0.weight", &[2, 1], &[0.0; 2])],
                None,
                "are both `bert.encoder.layer.0.weight`",
            ),
            (vec![layer], Some(&[0, 0][..]), "`2` layers are chosen for the `1` of the model"),
            (vec![layer], Some(&[4]), "it has `1` encoder layers, counted from 0, and no layer `4`"),
        ] {
            let error = load(&weights(&tensors), 1, layers).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
