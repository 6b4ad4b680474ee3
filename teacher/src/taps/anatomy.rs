//! The layers of a BERT-shaped graph, and where each says what.
//!
//! A layer is an attention and two normalised sums. The first sum has the layer's input as a term, the second the first
//! one's result, and its own result is the layer's: so one layer leads to the next, whatever lies inside.

use std::path::Path;

use super::attention::{self, Core};
use super::fused;
use super::graph::Graph;
use super::norms::{Norm, Norms};
use super::site::{Finding, Layout, Rows, Scores};
use super::topology::{Topology, Value};
use crate::Error;

/// What was found in a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Anatomy {
    /// H, where the graph stores it.
    pub hidden_size: Option<usize>,
    /// A, where the graph stores it.
    pub num_heads: Option<usize>,
    /// What the first layer reads: hidden state 0.
    pub embeddings: Finding<Rows>,
    /// The layers, the first of which is number 1.
    pub layers: Vec<Layer>,
    /// Why there are no more layers, where something else was found behind the last.
    pub ending: Option<String>,
}

/// Where one layer says what.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// What the layer gives out, [B, T, H].
    pub hidden: Finding<Rows>,
    /// What the softmax of attention reads, [B, A, T, T], before the mask is added.
    pub scores: Finding<Scores>,
    /// What it gives out: the name of the tensor.
    pub probabilities: Finding<String>,
    /// Queries, keys and values of all heads, [B, T, H] each.
    pub qkv: [Finding<Rows>; 3],
    /// A, where the graph stores it.
    pub num_heads: Option<usize>,
}

impl Anatomy {
    /// Reads the graph of an ONNX file and looks for its layers; `mask` is the input that tells tokens from padding.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::BrokenOnnx`] where it cannot be read or does not hang together.
    pub(crate) fn read(onnx: &Path, mask: &str) -> Result<Anatomy, Error> {
        Anatomy::of(&Topology::read(onnx)?, mask)
            .map_err(|reason| Error::BrokenOnnx { path: onnx.into(), reason })
    }

    /// Looks for the layers; `mask` is the input that tells tokens from padding.
    ///
    /// # Errors
    /// Where the graph does not hang together.
    pub(super) fn of(topology: &Topology, mask: &str) -> Result<Anatomy, String> {
        let graph = Graph::new(topology, mask)?;
        let norms = Norms::find(&graph);
        Ok(Spine { graph, norms }.layers())
    }

    /// Returns whether each tap is there, by kind: its name, and the layers that have it.
    pub fn taps(&self) -> Vec<(&'static str, Vec<usize>)> {
        let of_layers = |there: fn(&Layer) -> bool| {
            let numbered = self.layers.iter().zip(1..);
            numbered.filter(|(layer, _)| there(layer)).map(|(_, number)| number).collect::<Vec<_>>()
        };
        let embeddings = self.embeddings.missing().is_none().then_some(0);
        let hidden = embeddings.into_iter().chain(of_layers(|layer| layer.hidden.missing().is_none()));
        vec![
            ("hidden states", hidden.collect()),
            ("scores", of_layers(|layer| layer.scores.missing().is_none())),
            ("queries", of_layers(|layer| layer.qkv[0].missing().is_none())),
            ("keys", of_layers(|layer| layer.qkv[1].missing().is_none())),
            ("values", of_layers(|layer| layer.qkv[2].missing().is_none())),
        ]
    }
}

struct Spine<'a> {
    graph: Graph<'a>,
    norms: Norms,
}

/// What a layer was found to read.
struct Input {
    /// The hidden state before it.
    all: Value,
    /// What it adds its results to: the same, or a part of it.
    added_to: Value,
    /// Whether it is a part: the first token's row.
    is_part: bool,
}

const FIRST_ONLY: &str = "the last layer of this graph was computed for the first token only";

impl Spine<'_> {
    /// Follows the attentions in the order of their work for as long as one layer leads to the next.
    fn layers(&self) -> Anatomy {
        let mut anatomy = Anatomy {
            hidden_size: None,
            num_heads: None,
            embeddings: Finding(Err(self.nothing())),
            layers: Vec::new(),
            ending: None,
        };
        let mut hidden = None;
        for core in self.cores() {
            let (input, norm, layer) = match self.layer(core, hidden) {
                Ok(found) => found,
                Err(reason) => {
                    if hidden.is_none() {
                        anatomy.embeddings = Finding(Err(reason.clone()));
                    }
                    anatomy.ending = Some(reason);
                    break;
                }
            };
            if hidden.is_none() {
                anatomy.embeddings = Finding(Ok(self.rows(input.all)));
            }
            anatomy.hidden_size = anatomy.hidden_size.or(norm.width);
            anatomy.num_heads = anatomy.num_heads.or(layer.num_heads);
            anatomy.layers.push(layer);
            hidden = Some(norm.output);
            if input.is_part {
                break;
            }
        }
        anatomy
    }

    fn cores(&self) -> impl Iterator<Item = Core> {
        let nodes = self.graph.order.iter();
        nodes.filter_map(|&i| {
            let softmax = attention::core(&self.graph, &self.graph.topology.nodes[i]);
            softmax.or_else(|| fused::core(&self.graph, i))
        })
    }

    /// Finds the two sums of a layer; `hidden` is what the layer before it gives out.
    fn layer(&self, core: Core, hidden: Option<Value>) -> Result<(Input, &Norm, Layer), String> {
        let input = self.input(&core, hidden)?;
        let sum = |term: Value| {
            self.norms.of_sum_with(term).ok_or_else(|| {
                let name = self.graph.name(term);
                format!("`{name}` is not added to what is made of it and normalised, as in BERT's layers")
            })
        };
        let norm = sum(sum(input.added_to)?.output)?;
        let is_part = input.is_part;
        let [query, key, value] = core.qkv;
        let layer = Layer {
            hidden: of_all(is_part, Ok(self.rows(norm.output))),
            scores: of_all(is_part, core.scores),
            probabilities: of_all(is_part, core.probabilities),
            qkv: [of_all(is_part, query), Finding(key), Finding(value)],
            num_heads: core.heads,
        };
        Ok((input, norm, layer))
    }

    /// Finds what a layer reads: the nearest value before its queries that is added to something and normalised.
    fn input(&self, core: &Core, hidden: Option<Value>) -> Result<Input, String> {
        let is_term = |value| self.norms.of_sum_with(value).is_some();
        // Nothing of this layer lies before the normalisation of the one before it.
        let inside = |value| self.norms.with_output(value).is_none();
        let added_to = self.graph.nearest(core.root, is_term, inside).ok_or_else(|| {
            let root = self.graph.name(core.root);
            format!("what the attention around `{root}` reads is not added to its result and normalised")
        })?;
        let mut is_part = false;
        let all = self.graph.walk(added_to, |node| {
            is_part |= node.is(&["Gather", "Slice"]);
            let same = node.is(&["Gather", "Slice", "Squeeze", "Reshape"]) || node.is_plain();
            node.input(0).filter(|&before| same && self.graph.flow(before).is_activation())
        });
        match hidden {
            Some(hidden) if hidden != all => Err(format!(
                "the attention around `{}` does not read what the layer before it gives out, `{}`",
                self.graph.name(core.root),
                self.graph.name(hidden),
            )),
            _ => Ok(Input { all, added_to, is_part }),
        }
    }

    fn nothing(&self) -> String {
        let (nodes, norms) = (self.graph.topology.nodes.len(), self.norms.len());
        format!("no attention and {norms} layer normalisations were recognised among {nodes} nodes")
    }

    fn rows(&self, value: Value) -> Rows {
        Rows::Tensor { name: self.graph.name(value).to_owned(), layout: Layout::WHOLE }
    }
}

/// Returns what was found if it speaks of all tokens.
fn of_all<S>(is_part: bool, found: Result<S, String>) -> Finding<S> {
    Finding(if is_part { Err(FIRST_ONLY.to_owned()) } else { found })
}
