//! An ONNX graph to walk through: who makes a value, who uses it, and which values are constants.

use crate::export::onnx::proto::{AttributeProto, GraphProto, NodeProto, TensorProto};
use std::collections::HashMap;

/// The steps that a constant may be away from where it is used.
const MAX_STEPS: usize = 8;

/// A graph with its values indexed by name.
pub struct Graph<'a> {
    /// The nodes in the order of the file, which is topological.
    pub nodes: &'a [NodeProto],
    constants: HashMap<&'a str, &'a TensorProto>,
    names: Vec<&'a str>,
    producers: HashMap<&'a str, usize>,
    consumers: HashMap<&'a str, Vec<usize>>,
}

/// A constant tensor as it arrives at the place where it is used.
#[derive(Clone, Copy)]
pub struct Constant<'a> {
    /// The name on the way that is a parameter's, or else the name of the tensor.
    pub name: &'a str,
    /// The tensor as it is stored.
    pub tensor: &'a TensorProto,
    /// Whether it arrives with its two dimensions exchanged.
    pub transposed: bool,
}

impl<'a> Graph<'a> {
    /// Indexes a graph.
    pub fn new(graph: &'a GraphProto) -> Self {
        let nodes = &graph.node;
        let (mut producers, mut consumers) = (HashMap::new(), HashMap::<_, Vec<_>>::new());
        for (i, node) in nodes.iter().enumerate() {
            producers.extend(node.output.iter().map(|value| (value.as_str(), i)));
            for value in node.input.iter().filter(|value| !value.is_empty()) {
                consumers.entry(value.as_str()).or_default().push(i);
            }
        }
        let stored = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor));
        let computed = nodes.iter().filter(|node| node.op_type == "Constant").filter_map(|node| {
            let tensor = attribute(node, "value")?.t.as_ref()?;
            Some((node.output.first()?.as_str(), tensor))
        });
        let constants: Vec<_> = stored.chain(computed).collect();
        let aliases = nodes.iter().filter(|node| matches!(&*node.op_type, "Identity" | "Cast"));
        let aliases = aliases.filter_map(|node| node.output.first()).map(String::as_str);
        let names = constants.iter().map(|&(name, _)| name).chain(aliases).collect();
        Graph { nodes, constants: constants.into_iter().collect(), names, producers, consumers }
    }

    /// Returns the values that may be constants, in the order of the file.
    pub fn names(&self) -> &[&'a str] {
        &self.names
    }

    /// Returns the node that computes `value`.
    pub fn producer(&self, value: &str) -> Option<&'a NodeProto> {
        self.producers.get(value).map(|&i| &self.nodes[i])
    }

    /// Returns the indices of the nodes that use `value`.
    pub fn consumers(&self, value: &str) -> &[usize] {
        self.consumers.get(value).map_or(&[], Vec::as_slice)
    }

    /// Returns the constant that arrives as `value`, possibly by way of conversions and transpositions.
    pub fn constant(&self, mut value: &'a str) -> Option<Constant<'a>> {
        let (mut name, mut transposed) = (value, false);
        for _ in 0..MAX_STEPS {
            if !is_parameter(name) {
                name = value;
            }
            if let Some(tensor) = self.constants.get(value) {
                return Some(Constant { name, tensor, transposed });
            }
            let node = self.producer(value)?;
            match node.op_type.as_str() {
                "Identity" | "Cast" => {}
                "Transpose" if exchanges_two(node) => transposed = !transposed,
                _ => return None,
            }
            value = node.input.first()?;
        }
        None
    }

    /// Returns the constant at input `i` of a node, when it has as many dimensions as asked for.
    pub fn constant_input(&self, node: &'a NodeProto, i: usize, rank: usize) -> Option<Constant<'a>> {
        self.constant(node.input.get(i)?).filter(|constant| constant.tensor.dims.len() == rank)
    }
}

impl Constant<'_> {
    /// Returns the constant with its two dimensions exchanged.
    pub fn t(self) -> Self {
        Constant { transposed: !self.transposed, ..self }
    }
}

/// Returns the attribute of a node by its name.
pub fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// Says whether a name ends as those of a model's parameters do.
pub fn is_parameter(name: &str) -> bool {
    [".weight", ".bias", ".gamma", ".beta", ".weight.T"].iter().any(|end| name.ends_with(end))
}

fn exchanges_two(node: &NodeProto) -> bool {
    attribute(node, "perm").is_none_or(|perm| perm.ints == [1, 0])
}
