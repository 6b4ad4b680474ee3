//! An encoder in the width of a narrower one.
//!
//! What its layers hand on lies near few directions: those along which its hidden states of some texts extend furthest become
//! the coordinates of the narrow model, and every matrix that reads or writes hidden states is projected on them, as Ashkboos
//! et al. 2024 (SliceGPT) do where normalisations allow it exactly. Of attention heads those stay that move hidden states
//! furthest, and of the neurons between two layers those that carry most from one to the other.
//!
//! A normalisation takes the mean away, which is one direction of the narrow model: it is made the one that matters least. It
//! scales coordinates of the wide model, which are no coordinates of the narrow one: of its scales in the new ones only the
//! diagonal is kept. So the narrow model says only nearly what the wide one does, and has to be trained.

use super::directions::{Directions, gram, largest};
use super::head::Head;
use crate::error::explained;
use anyhow::{Result, ensure};
use ndarray::{Array1, Array2, ArrayView, ArrayView2, Axis, Dimension, concatenate, s};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use student::bert::{Bert, BertConfig};
use student::engine::{CpuEngine, Engine};
use student::weights::{Tensor, Weights};
use student::{Architecture, Arena, Asked, PackedBatch, Precision};

/// An encoder, whatever it lacks.
pub struct Wide {
    file: PathBuf,
    engine: CpuEngine<Bert>,
    missing: BTreeSet<String>,
}

/// An encoder in narrower widths.
pub struct Narrowed {
    /// Its weights, of the layers that were asked for, under the names of its family.
    pub weights: Weights,
    /// The share of its hidden states, by squares, that lies in the directions that were kept.
    pub kept: f64,
}

impl Wide {
    /// Makes the encoder that has `weights`. `threads`: with how many it computes.
    ///
    /// # Errors
    /// When the weights do not fit the configuration, or threads cannot be started.
    pub fn new(config: BertConfig, weights: &Weights, threads: usize) -> Result<Self> {
        let bert = Bert::new(config)?;
        let mut params = Arena::zeros(bert.layout());
        let missing = weights.load(bert.layout(), &mut params, None)?.missing;
        let file = weights.source().to_owned();
        if !params.data().iter().all(|number| number.is_finite()) {
            return Err(explained(
                format!("`{}` holds something that is no number", file.display()),
                "the file is damaged; copy or export the model again",
            ));
        }
        let engine = CpuEngine::new(bert, params, threads, Precision::F32)?;
        Ok(Wide { file, engine, missing: missing.into_iter().collect() })
    }

    fn config(&self) -> &BertConfig {
        self.engine.architecture().config()
    }

    /// Returns the encoder in the widths of `narrow`, in the coordinates along which its hidden states of `batches` extend
    /// furthest. `layers`: those that are needed of it, or all.
    ///
    /// # Errors
    /// When the hidden states grow beyond all numbers.
    pub fn narrowed(
        mut self,
        narrow: &BertConfig,
        layers: Option<&[usize]>,
        batches: impl IntoIterator<Item = PackedBatch>,
    ) -> Result<Narrowed> {
        let (width, num_layers) = (self.config().hidden_size, self.config().num_hidden_layers);
        let asked = Asked { hidden: (0..=num_layers).collect(), ..Asked::default() };
        let mut seen = Array2::zeros((width, width));
        for batch in batches {
            for hidden in self.engine.evaluate(&batch, &asked).hidden {
                seen += &gram(hidden.view());
            }
        }
        let file = self.file.display();
        ensure!(seen.iter().all(|number| number.is_finite()), "hidden states of `{file}` are no numbers");
        let directions = Directions::leading(&seen, narrow.hidden_size).spared(&seen);
        let all = seen.diag().sum();
        let kept = if all > 0.0 { directions.energies.sum() / all } else { 1.0 };
        let (bert, params) = self.engine.into_model();
        let source = Source { bert: &bert, params: &params, missing: &self.missing };
        let reach = reach(&directions.energies);
        let mut narrowing = Narrowing { source, narrow, directions, reach, tensors: BTreeMap::new() };
        narrowing.run(
            &layers.map_or_else(|| (0..num_layers).collect(), |layers| layers.iter().copied().collect()),
        );
        Ok(Narrowed { weights: Weights::new(self.file, narrowing.tensors), kept })
    }
}

/// The tensors of the wide model, under the names of BERT.
struct Source<'a> {
    bert: &'a Bert,
    params: &'a Arena,
    missing: &'a BTreeSet<String>,
}

impl Source<'_> {
    fn name(&self, name: &str) -> String {
        self.bert.config().model_type.name(name)
    }

    /// Returns a tensor as a matrix, a vector as one of one row; nothing when the model has none of this name.
    fn get(&self, name: &str) -> Option<Array2<f64>> {
        let entry = self.bert.layout().entry(&self.name(name))?;
        if self.missing.contains(&entry.name) {
            return None;
        }
        let columns = *entry.shape.last()?;
        let numbers: Vec<f64> =
            self.params.data()[entry.range()].iter().map(|&number| f64::from(number)).collect();
        Array2::from_shape_vec((numbers.len() / columns, columns), numbers).ok()
    }
}

/// The narrow model in the making.
struct Narrowing<'a> {
    source: Source<'a>,
    narrow: &'a BertConfig,
    directions: Directions,
    /// How far an input of an affine map reaches along each coordinate, and that of its bias, which is always one.
    reach: Array1<f64>,
    tensors: BTreeMap<String, Tensor>,
}

impl Narrowing<'_> {
    fn run(&mut self, layers: &BTreeSet<usize>) {
        for table in ["word", "position", "token_type"] {
            self.written(&format!("bert.embeddings.{table}_embeddings.weight"));
        }
        self.norm("bert.embeddings.LayerNorm");
        for layer in layers {
            let layer = format!("bert.encoder.layer.{layer}");
            self.heads(&format!("{layer}.attention"));
            self.norm(&format!("{layer}.attention.output.LayerNorm"));
            self.neurons(&layer);
            self.norm(&format!("{layer}.output.LayerNorm"));
        }
        self.head();
    }

    fn put<D: Dimension>(&mut self, name: &str, tensor: ArrayView<'_, f64, D>) {
        let data = tensor.iter().map(|&number| number as f32).collect();
        self.tensors.insert(self.source.name(name), Tensor { shape: tensor.shape().to_vec(), data });
    }

    /// Projects the rows of what is added to hidden states: a table, or a bias.
    fn written(&mut self, name: &str) {
        let Some(rows) = self.source.get(name) else { return };
        let rows = rows.dot(&self.directions.axes);
        match name.ends_with("bias") {
            true => self.put(name, rows.row(0)),
            false => self.put(name, rows.view()),
        }
    }

    /// Keeps the diagonal of a normalisation in the new coordinates: fewer of them share the same length.
    fn norm(&mut self, name: &str) {
        self.written(&format!("{name}.bias"));
        let name = format!("{name}.weight");
        let Some(scale) = self.source.get(&name) else { return };
        let longer = (scale.len() as f64 / self.narrow.hidden_size as f64).sqrt();
        let scale = scale.dot(&self.directions.axes.mapv(|x| x * x)) * longer;
        self.put(&name, scale.row(0));
    }

    /// Returns an affine map of hidden states in the new coordinates, its bias as a last column, [out, narrow + 1].
    fn reading(&self, name: &str) -> Option<Array2<f64>> {
        let weight = self.source.get(&format!("{name}.weight"))?.dot(&self.directions.axes);
        let bias = self.source.get(&format!("{name}.bias"))?;
        Some(concatenate![Axis(1), weight, bias.t()])
    }

    fn put_affine(&mut self, name: &str, affine: ArrayView2<'_, f64>) {
        let inputs = affine.ncols() - 1;
        self.put(&format!("{name}.weight"), affine.slice(s![.., ..inputs]));
        self.put(&format!("{name}.bias"), affine.column(inputs));
    }

    /// Keeps the heads of one layer that move hidden states furthest, and brings them to their new width.
    fn heads(&mut self, name: &str) {
        let parts = ["self.query", "self.key", "self.value"].map(|part| format!("{name}.{part}"));
        let output = format!("{name}.output.dense");
        let [query, key, value] = parts.each_ref().map(|part| self.reading(part));
        let (Some(query), Some(key), Some(value), Some((writing, mut bias))) =
            (query, key, value, self.writing(&output))
        else {
            return;
        };
        let heads = self.source.bert.config().num_attention_heads;
        let wide = query.nrows() / heads;
        let heads: Vec<Head> = (0..heads)
            .map(|head| {
                let of = |map: &Array2<f64>| map.slice(s![head * wide..(head + 1) * wide, ..]).to_owned();
                Head { query: of(&query), key: of(&key), value: of(&value), writing: of(&writing) }
            })
            .collect();
        let strengths = heads.iter().map(|head| head.strength(&self.reach)).collect();
        let chosen = kept(&strengths, self.narrow.num_attention_heads);
        let mut narrow: [Vec<Array2<f64>>; 4] = Default::default();
        for (place, head) in heads.into_iter().enumerate() {
            if !chosen.contains(&place) {
                bias += &head.constant();
                continue;
            }
            let width = self.narrow.hidden_size / self.narrow.num_attention_heads;
            for (parts, part) in narrow.iter_mut().zip(head.narrowed(&self.reach, width)) {
                parts.push(part);
            }
        }
        let [q, k, v, o] = narrow.map(|heads| stacked(&heads));
        for (part, affine) in parts.iter().zip([q, k, v]) {
            self.put_affine(part, affine.view());
        }
        self.put(&format!("{output}.weight"), o.t());
        self.put(&format!("{output}.bias"), bias.view());
    }

    /// Returns what an affine map adds to hidden states, in the new coordinates: for each of its inputs, [in, narrow], and
    /// always.
    fn writing(&self, name: &str) -> Option<(Array2<f64>, Array1<f64>)> {
        let weight = self.source.get(&format!("{name}.weight"))?.t().dot(&self.directions.axes);
        let bias = self.source.get(&format!("{name}.bias"))?.dot(&self.directions.axes);
        Some((weight, bias.row(0).to_owned()))
    }

    /// Keeps the neurons of one layer that carry most of hidden states to hidden states.
    fn neurons(&mut self, layer: &str) {
        let (inner, output) = (format!("{layer}.intermediate.dense"), format!("{layer}.output.dense"));
        let (Some(reading), Some((writing, bias))) = (self.reading(&inner), self.writing(&output)) else {
            return;
        };
        let read = lengths((&reading * &self.reach).view());
        let chosen = kept(&(read * lengths(writing.view())), self.narrow.intermediate_size);
        self.put_affine(&inner, reading.select(Axis(0), &chosen).view());
        self.put(&format!("{output}.weight"), writing.select(Axis(0), &chosen).t());
        self.put(&format!("{output}.bias"), bias.view());
    }

    /// Keeps the outputs of the map before the classifier on which the classes depend most. Each goes through a function of
    /// its own, so that they cannot be mixed.
    fn head(&mut self) {
        let before = "bert.pooler.dense";
        let Some(reading) = self.reading(before) else { return };
        let classifier = self.source.get("classifier.weight");
        let matter = match &classifier {
            Some(classes) => lengths(classes.t()),
            None => lengths(reading.view()),
        };
        let chosen = kept(&matter, self.narrow.hidden_size);
        self.put_affine(before, reading.select(Axis(0), &chosen).view());
        if let Some(classes) = classifier {
            self.put("classifier.weight", classes.select(Axis(1), &chosen).view());
            if let Some(bias) = self.source.get("classifier.bias") {
                self.put("classifier.bias", bias.row(0));
            }
        }
    }
}

/// How far a coordinate is taken to reach at least, of the mean: what is divided by it stays a number.
const LEAST_REACH: f64 = 1e-3;

fn reach(energies: &Array1<f64>) -> Array1<f64> {
    let mean = (energies.sum() / energies.len() as f64).max(f64::MIN_POSITIVE);
    let reach = energies.mapv(|energy| (energy / mean).sqrt().max(LEAST_REACH));
    concatenate![Axis(0), reach, Array1::ones(1)]
}

fn stacked(parts: &[Array2<f64>]) -> Array2<f64> {
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    concatenate(Axis(0), &views).expect("all heads have one width")
}

/// Returns the length of each row.
fn lengths(rows: ArrayView2<'_, f64>) -> Array1<f64> {
    rows.map_axis(Axis(1), |row| row.dot(&row).sqrt())
}

/// Returns the places of the `count` largest numbers, ascending.
fn kept(numbers: &Array1<f64>, count: usize) -> Vec<usize> {
    let mut places = largest(numbers, count);
    places.sort_unstable();
    places
}
