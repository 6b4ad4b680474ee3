//! What can be said about an ONNX model without running it.

use super::graph::Graph;
use super::numbers::num_elements;
use super::{decode, graph_of, is_quantised, names};
use crate::Error;
use crate::export::onnx::proto::{DataType, GraphProto, ModelProto, TensorProto};
use crate::files::map;
use crate::weights::layer_numbers;
use prost::bytes::Bytes;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// What an ONNX model is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The version of the file format.
    pub ir_version: i64,
    /// The program that wrote the file, and its version.
    pub producer: String,
    /// The version of each set of operators, by domain; ONNX's own domain is called `ai.onnx`.
    pub opsets: BTreeMap<String, i64>,
    /// How many nodes of each operator there are.
    pub operators: BTreeMap<String, usize>,
    /// What is stored as initializers, by the type of the numbers, such as `float`.
    pub stored: BTreeMap<String, Stored>,
    /// The notes that the writer left.
    pub metadata: BTreeMap<String, String>,
    /// The names of the inputs.
    pub inputs: Vec<String>,
    /// The names of the outputs.
    pub outputs: Vec<String>,
    /// The number of encoder layers, when the graph is recognised as a BERT.
    pub num_layers: Option<usize>,
}

/// How much is stored in one type of number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The number of numbers.
    pub numbers: usize,
    /// The bytes they take, in the model file or beside it.
    pub bytes: usize,
}

impl Summary {
    /// Returns the number of nodes.
    pub fn num_nodes(&self) -> usize {
        self.operators.values().sum()
    }

    /// Returns an operator that shows that weights are stored in fewer bits than they were trained in.
    pub fn quantised_by(&self) -> Option<&str> {
        self.operators.keys().map(String::as_str).find(|operator| is_quantised(operator))
    }

    /// Returns the number of numbers stored as initializers.
    pub fn num_parameters(&self) -> usize {
        self.stored.values().fold(0, |sum, stored| sum.saturating_add(stored.numbers))
    }
}

/// Says what the ONNX model at `path` is made of.
///
/// # Errors
/// [`Error::Read`], or [`Error::Malformed`] when the file is no ONNX model.
pub fn summary(path: &Path) -> Result<Summary, Error> {
    describe(&decode(path, Bytes::from_owner(map(path)?))?, path)
}

/// Says what a decoded model is made of.
pub(super) fn describe(model: &ModelProto, path: &Path) -> Result<Summary, Error> {
    let graph = graph_of(model, path)?;
    let domain = |domain: &str| if domain.is_empty() { "ai.onnx" } else { domain }.to_owned();
    let opsets = model.opset_import.iter().map(|set| (domain(&set.domain), set.version)).collect();
    // Inputs of old files repeat the initializers.
    let initializers: HashSet<_> = graph.initializer.iter().map(|tensor| &tensor.name).collect();
    let inputs = graph.input.iter().map(|input| &input.name).filter(|name| !initializers.contains(name));
    Ok(Summary {
        ir_version: model.ir_version,
        producer: format!("{} {}", model.producer_name, model.producer_version).trim().to_owned(),
        opsets,
        operators: operators(graph),
        stored: stored(&graph.initializer),
        metadata: model.metadata_props.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect(),
        inputs: inputs.cloned().collect(),
        outputs: graph.output.iter().map(|output| output.name.clone()).collect(),
        num_layers: num_layers(graph),
    })
}

fn operators(graph: &GraphProto) -> BTreeMap<String, usize> {
    let mut operators = BTreeMap::new();
    for node in &graph.node {
        *operators.entry(node.op_type.clone()).or_default() += 1;
    }
    operators
}

fn stored(tensors: &[TensorProto]) -> BTreeMap<String, Stored> {
    let mut all = BTreeMap::<_, Stored>::new();
    for tensor in tensors {
        let numbers = num_elements(tensor).unwrap_or(0);
        let stored = all.entry(type_name(tensor)).or_default();
        stored.numbers = stored.numbers.saturating_add(numbers);
        stored.bytes =
            stored.bytes.saturating_add(numbers.saturating_mul(bits(tensor.data_type())).div_ceil(8));
    }
    all
}

fn type_name(tensor: &TensorProto) -> String {
    match DataType::try_from(tensor.data_type) {
        Ok(known) => format!("{known:?}").to_lowercase(),
        Err(_) => format!("type {}", tensor.data_type),
    }
}

/// Returns the size of an element; strings and unknown types count as nothing.
fn bits(data_type: DataType) -> usize {
    match data_type {
        DataType::Uint4 | DataType::Int4 => 4,
        DataType::Uint8 | DataType::Int8 | DataType::Bool => 8,
        DataType::Uint16 | DataType::Int16 | DataType::Float16 | DataType::Bfloat16 => 16,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 32,
        DataType::Double | DataType::Int64 | DataType::Uint64 => 64,
        DataType::Undefined | DataType::String => 0,
    }
}

fn num_layers(graph: &GraphProto) -> Option<usize> {
    let named = names::recognise(&Graph::new(graph)).ok()?;
    let layers = layer_numbers(named.keys().map(String::as_str)).len();
    (layers > 0).then_some(layers)
}
