//! A graph under construction: values, places with names, initializers, and the finished model.

use super::proto::{
    AttributeProto, DataType, Dimension, DimensionProto, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};
use ndarray::ArrayView;
use std::collections::{BTreeMap, BTreeSet};

/// The operator set that graphs are written in: the first with `LayerNormalization`.
const OPSET: i64 = 17;
/// The version of the file format that came with the operator set; older runtimes refuse newer ones.
const IR_VERSION: i64 = 8;

/// A tensor of a graph, known by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(pub(super) String);

/// One size in the shape of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A size that is part of the model.
    Fixed(usize),
    /// A size that is known when the model runs.
    Named(&'static str),
}

/// An ONNX graph under construction.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    graph: GraphProto,
    initializers: BTreeSet<String>,
    nodes_by_name: BTreeMap<String, usize>,
}

/// A place in the tree of names, where nodes are added.
#[derive(Debug)]
pub struct Nodes<'a> {
    graph: &'a mut GraphBuilder,
    prefix: String,
}

impl GraphBuilder {
    /// Declares an input of whole numbers.
    pub fn int64_input(&mut self, name: &str, shape: &[Dim]) -> Value {
        self.graph.input.push(value_info(name, DataType::Int64, shape));
        Value(name.to_owned())
    }

    /// Declares that the graph gives out `value`, which a node computes, under the name `name`.
    pub fn float_output(&mut self, name: &str, value: &Value, shape: &[Dim]) {
        self.graph.output.push(value_info(name, DataType::Float, shape));
        for node in &mut self.graph.node {
            let uses = node.input.iter_mut().chain(&mut node.output).filter(|used| **used == value.0);
            uses.for_each(|used| name.clone_into(used));
        }
    }

    /// Returns the tensor of the model called `name`; it is stored once, however often it is asked for.
    pub fn initializer<D: ndarray::Dimension>(&mut self, name: &str, data: ArrayView<'_, f32, D>) -> Value {
        let bytes = || data.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.store(name, data.shape(), DataType::Float, bytes)
    }

    /// Returns the number `value` as a tensor without dimensions.
    pub fn float(&mut self, value: f32) -> Value {
        self.store(&format!("constant/{value:?}"), &[], DataType::Float, || value.to_le_bytes().to_vec())
    }

    /// Returns the whole number `value` as a tensor without dimensions.
    pub fn int(&mut self, value: i64) -> Value {
        self.store(&format!("constant/{value}"), &[], DataType::Int64, || value.to_le_bytes().to_vec())
    }

    /// Returns the whole numbers `values` as a vector.
    pub fn ints(&mut self, values: &[i64]) -> Value {
        let bytes = || values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.store(&format!("constant/{values:?}"), &[values.len()], DataType::Int64, bytes)
    }

    /// Returns the place called `name`, where nodes can be added.
    pub fn at(&mut self, name: &str) -> Nodes<'_> {
        Nodes { graph: self, prefix: name.to_owned() }
    }

    /// Returns the model, ready to be written.
    pub(crate) fn finish(self, metadata: &BTreeMap<String, String>) -> ModelProto {
        let entry = |(key, value): (&String, &String)| StringStringEntryProto {
            key: key.clone(),
            value: value.clone(),
        };
        ModelProto {
            ir_version: IR_VERSION,
            producer_name: "distill".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(GraphProto { name: "main".into(), ..self.graph }),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            metadata_props: metadata.iter().map(entry).collect(),
            ..ModelProto::default()
        }
    }

    fn store(
        &mut self,
        name: &str,
        shape: &[usize],
        data_type: DataType,
        bytes: impl FnOnce() -> Vec<u8>,
    ) -> Value {
        if self.initializers.insert(name.to_owned()) {
            self.graph.initializer.push(TensorProto {
                name: name.to_owned(),
                dims: shape.iter().map(|&size| size as i64).collect(),
                data_type: data_type.into(),
                raw_data: bytes().into(),
                ..TensorProto::default()
            });
        }
        Value(name.to_owned())
    }
}

impl Nodes<'_> {
    /// Enters the part of the tree below `name`.
    pub fn at(&mut self, name: &str) -> Nodes<'_> {
        Nodes { prefix: format!("{}/{name}", self.prefix), graph: self.graph }
    }

    /// Returns the graph that the nodes belong to, for its constants.
    pub fn graph(&mut self) -> &mut GraphBuilder {
        self.graph
    }

    /// Adds a node with one output, which has the node's name: its place, its operator, and a number if need be.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
    ) -> Value {
        let place = format!("{}/{operator}", self.prefix);
        let count = self.graph.nodes_by_name.entry(place.clone()).or_default();
        let name = if *count == 0 { place } else { format!("{place}_{count}") };
        *count += 1;
        self.graph.graph.node.push(NodeProto {
            input: inputs.iter().map(|input| input.0.clone()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: operator.to_owned(),
            attribute: attributes,
            ..NodeProto::default()
        });
        Value(name)
    }
}

fn value_info(name: &str, data_type: DataType, shape: &[Dim]) -> ValueInfoProto {
    let dimension = |dim: &Dim| match *dim {
        Dim::Fixed(size) => Dimension::Value(size as i64),
        Dim::Named(name) => Dimension::Param(name.to_owned()),
    };
    let dim = shape.iter().map(|dim| DimensionProto { value: Some(dimension(dim)) }).collect();
    let tensor = TensorTypeProto { elem_type: data_type.into(), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;
    use prost::Message;

    fn tiny() -> ModelProto {
        let mut graph = GraphBuilder::default();
        let x = graph.int64_input("x", &[Dim::Named("rows"), Dim::Fixed(2)]);
        let (a, again) = (arr2(&[[1.0, 2.0]]), arr2(&[[9.0]]));
        let mut nodes = graph.at("root");
        let x = nodes.cast_to_float(&x);
        for _ in 0..2 {
            let weight = nodes.graph().initializer("weight", a.view());
            nodes.at("inner").add(&x, &weight);
        }
        let weight = nodes.graph().initializer("weight", again.view());
        let y = nodes.mul(&x, &weight);
        graph.float_output("y", &y, &[Dim::Named("rows"), Dim::Fixed(2)]);
        graph.finish(&BTreeMap::from([("key".to_owned(), "value".to_owned())]))
    }

    #[test]
    fn nodes_are_named_by_place_and_a_tensor_is_stored_once() {
        let graph = tiny().graph.unwrap();
        let names: Vec<_> = graph.node.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["root/Cast", "root/inner/Add", "root/inner/Add_1", "root/Mul"]);
        assert_eq!(graph.initializer.len(), 1);
        assert_eq!(graph.initializer[0].raw_data.len(), 8);
        assert_eq!((&*graph.node[3].output[0], &*graph.output[0].name), ("y", "y"));
    }

    #[test]
    fn a_model_survives_encoding_and_decoding() {
        let model = tiny();
        assert_eq!(ModelProto::decode(&*model.encode_to_vec()).unwrap(), model);
        assert_eq!((model.ir_version, model.opset_import[0].version), (8, 17));
    }
}
