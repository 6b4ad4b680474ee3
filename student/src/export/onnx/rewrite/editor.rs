//! A graph while it is rewritten: new nodes in order, new tensors, names that are not taken, and nothing left over.

use super::stored;
use crate::export::onnx::proto::{AttributeProto, DataType, GraphProto, NodeProto, TensorProto};
use ndarray::Array2;
use std::collections::{HashMap, HashSet};

/// A graph that is being written anew.
pub(super) struct Editor {
    /// The nodes so far.
    pub nodes: Vec<NodeProto>,
    tensors: Vec<TensorProto>,
    places: HashMap<String, usize>,
    taken: HashSet<String>,
}

impl Editor {
    /// Takes the tensors out of a graph; its nodes are the caller's to go through.
    pub(super) fn new(graph: &mut GraphProto) -> Self {
        let tensors = std::mem::take(&mut graph.initializer);
        let places = tensors.iter().enumerate().map(|(i, tensor)| (tensor.name.clone(), i)).collect();
        let values = graph.node.iter().flat_map(|node| node.output.iter().chain([&node.name])).cloned();
        let stored = tensors.iter().map(|tensor| tensor.name.clone());
        let taken = values.chain(stored).chain(graph.input.iter().map(|input| input.name.clone())).collect();
        Editor { nodes: Vec::with_capacity(graph.node.len()), tensors, places, taken }
    }

    /// Returns a stored tensor by its name.
    pub(super) fn tensor(&self, name: &str) -> Option<&TensorProto> {
        self.places.get(name).map(|&i| &self.tensors[i])
    }

    /// Returns the numbers of a stored matrix, in the shape that is stored.
    pub(super) fn matrix(&self, name: &str) -> Result<Array2<f32>, String> {
        stored::matrix(self.tensor(name).ok_or_else(|| format!("the tensor `{name}` is computed"))?)
    }

    /// Stores a tensor and returns its name, which begins with `name`.
    pub(super) fn store(
        &mut self,
        name: &str,
        dims: &[usize],
        data_type: DataType,
        bytes: Vec<u8>,
    ) -> String {
        let name = self.unused(name);
        self.places.insert(name.clone(), self.tensors.len());
        self.tensors.push(TensorProto {
            name: name.clone(),
            dims: dims.iter().map(|&size| size as i64).collect(),
            data_type: data_type.into(),
            raw_data: bytes.into(),
            ..TensorProto::default()
        });
        name
    }

    /// Stores numbers and returns their name.
    pub(super) fn store_floats(&mut self, name: &str, dims: &[usize], numbers: &[f32]) -> String {
        self.store(name, dims, DataType::Float, numbers.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    /// Adds a node; its outputs are given, and its name is that of the first.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(ToString::to_string).collect(),
            output: outputs.iter().map(ToString::to_string).collect(),
            name: outputs[0].to_owned(),
            op_type: operator.to_owned(),
            attribute,
            ..NodeProto::default()
        });
    }

    /// Adds a node with one new output, whose name begins with `name`, and returns that.
    pub(super) fn value(
        &mut self,
        operator: &str,
        inputs: &[&str],
        name: &str,
        attribute: Vec<AttributeProto>,
    ) -> String {
        let output = self.unused(name);
        self.node(operator, inputs, &[&output], attribute);
        output
    }

    /// Returns a name that nothing has yet, and takes it.
    pub(super) fn unused(&mut self, name: &str) -> String {
        let numbered = (1..).map(|i| format!("{name}_{i}"));
        let name = std::iter::once(name.to_owned()).chain(numbered).find(|name| !self.taken.contains(name));
        let name = name.expect("there are more numbers than names");
        self.taken.insert(name.clone());
        name
    }

    /// Puts nodes and tensors into the graph, less those that nothing uses any more.
    pub(super) fn finish(self, graph: &mut GraphProto) {
        let mut used: HashSet<String> = graph.output.iter().map(|output| output.name.clone()).collect();
        let mut nodes: Vec<NodeProto> = Vec::with_capacity(self.nodes.len());
        for node in self.nodes.into_iter().rev() {
            if node.output.iter().any(|value| used.contains(value)) {
                used.extend(node.input.iter().cloned());
                nodes.push(node);
            }
        }
        nodes.reverse();
        let stored: HashSet<String> = self.tensors.iter().map(|tensor| tensor.name.clone()).collect();
        let made: HashSet<&String> = nodes.iter().flat_map(|node| &node.output).collect();
        graph.value_info.retain(|value| made.contains(&value.name));
        graph.node = nodes;
        graph.initializer = self.tensors.into_iter().filter(|tensor| used.contains(&tensor.name)).collect();
        // Files of old versions list the tensors among the inputs.
        graph.input.retain(|input| !stored.contains(&input.name) || used.contains(&input.name));
    }
}
