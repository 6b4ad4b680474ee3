//! Layer normalisations, and the sums of a layer's input and output that they normalise.
//!
//! The sums are the spine of a BERT: what is added to what a sub-layer made of it is that sub-layer's input, whatever
//! the sub-layer is written with.

use std::collections::HashMap;

use super::graph::Graph;
use super::topology::{Node, Value};

/// A layer normalisation: one node, or the nodes that older exports write it with.
#[derive(Debug, Clone)]
pub(super) struct Norm {
    /// The normalised, scaled and shifted value.
    pub output: Value,
    /// The values whose sum is normalised; none where it is not a sum.
    pub terms: Vec<Value>,
    /// Its width, where the scale is stored in the graph.
    pub width: Option<usize>,
}

/// The layer normalisations of a graph.
pub(super) struct Norms {
    norms: Vec<Norm>,
    by_term: HashMap<Value, usize>,
    by_output: HashMap<Value, usize>,
}

impl Norms {
    /// Finds all of them.
    pub fn find(graph: &Graph<'_>) -> Norms {
        let norms: Vec<_> = graph
            .order
            .iter()
            .filter_map(|&i| {
                let node = &graph.topology.nodes[i];
                match node.op.as_str() {
                    "LayerNormalization" => one_node(graph, node, 1),
                    "SkipLayerNormalization" => skipping(graph, node),
                    "Add" => spelled_out(graph, node),
                    _ => None,
                }
            })
            .collect();
        let (mut by_term, mut by_output) = (HashMap::new(), HashMap::new());
        for (i, norm) in norms.iter().enumerate() {
            norm.terms.iter().for_each(|&term| _ = by_term.entry(term).or_insert(i));
            by_output.insert(norm.output, i);
        }
        Norms { norms, by_term, by_output }
    }

    /// Returns the first normalisation of a sum with this term.
    pub fn of_sum_with(&self, term: Value) -> Option<&Norm> {
        self.by_term.get(&term).map(|&i| &self.norms[i])
    }

    /// Returns the normalisation whose result this is.
    pub fn with_output(&self, value: Value) -> Option<&Norm> {
        self.by_output.get(&value).map(|&i| &self.norms[i])
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.norms.len()
    }
}

fn one_node(graph: &Graph<'_>, node: &Node, scale: usize) -> Option<Norm> {
    let sum = node.input(0)?;
    Some(Norm { output: node.output(0)?, terms: terms(graph, sum), width: width(graph, node.input(scale)) })
}

/// Recognises the fused sum and normalisation.
fn skipping(graph: &Graph<'_>, node: &Node) -> Option<Norm> {
    let terms = node.pair()?.map(|term| graph.plain(term)).to_vec();
    Some(Norm { output: node.output(0)?, terms, width: width(graph, node.input(2)) })
}

/// Recognises `(x − mean x) / σ · scale + shift` by its last node.
fn spelled_out(graph: &Graph<'_>, add: &Node) -> Option<Norm> {
    let (scaled, _) = with_vector(graph, add)?;
    let (normalised, scale) = with_vector(graph, graph.producer(scaled).filter(|node| node.is(&["Mul"]))?)?;
    let ratio = graph.producer(graph.plain(normalised)).filter(|node| node.is(&["Div", "Mul"]))?;
    let centred = graph.producer(graph.plain(ratio.input(0)?)).filter(|node| node.is(&["Sub"]))?;
    let [x, mean] = centred.pair()?.map(|value| graph.plain(value));
    let mean = graph.producer(mean).filter(|node| node.is(&["ReduceMean"]))?;
    let same = graph.plain(mean.input(0)?) == x;
    same.then_some(Norm { output: add.output(0)?, terms: terms(graph, x), width: Some(scale) })
}

/// Returns the operand of a node whose other operand is a stored vector, and the vector's length.
fn with_vector(graph: &Graph<'_>, node: &Node) -> Option<(Value, usize)> {
    let [a, b] = node.pair()?;
    let vector = |value| width(graph, Some(value)).filter(|&width| width > 1);
    vector(b).map(|width| (graph.plain(a), width)).or_else(|| Some((graph.plain(b), vector(a)?)))
}

fn terms(graph: &Graph<'_>, sum: Value) -> Vec<Value> {
    let add = graph.producer(graph.plain(sum)).filter(|node| node.is(&["Add"]));
    add.and_then(Node::pair).map_or(Vec::new(), |pair| pair.map(|term| graph.plain(term)).to_vec())
}

/// Returns the length of a stored vector.
fn width(graph: &Graph<'_>, vector: Option<Value>) -> Option<usize> {
    match graph.constant(vector?)?.dims.as_slice() {
        [width] => usize::try_from(*width).ok(),
        _ => None,
    }
}
