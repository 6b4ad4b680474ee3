//! The table of word embeddings of any ONNX model: what token ids are looked up in.

use super::graph::{Constant, Graph, attribute};
use super::numbers::{read_all, width};
use super::{decode, graph_of, is_quantised, malformed};
use crate::Error;
use crate::export::onnx::proto::{NodeProto, TensorProto};
use crate::files::map;
use crate::weights::Tensor;
use prost::bytes::Bytes;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// Reads the table of word embeddings, [V, H], of a model of any kind, and nothing else of it. `input`: the graph's
/// input for token ids.
///
/// # Errors
/// [`Error::Read`]; [`Error::Malformed`] when the file is no ONNX model or the table is not what it claims to be;
/// [`Error::Unusable`] when the table is not found, or is quantised.
pub fn words(path: &Path, input: &str) -> Result<Tensor, Error> {
    let model = decode(path, Bytes::from_owner(map(path)?))?;
    let graph = Graph::new(graph_of(&model, path)?);
    let table = table(&graph, input).map_err(|reason| Error::Unusable { path: path.to_owned(), reason })?;
    let mut read = read_all(path, &BTreeMap::from([(TABLE.to_owned(), table)]))?;
    read.remove(TABLE).ok_or_else(|| malformed(path, "its word table is gone".into()))
}

/// What the table is called between being found and being read.
const TABLE: &str = "words";

/// Returns the constant that the ids are looked up in.
pub fn table<'a>(graph: &Graph<'a>, input: &str) -> Result<Constant<'a>, String> {
    let (mut values, mut seen) = (vec![input.to_owned()], HashSet::new());
    let (mut found, mut quantised) = (Vec::<Constant<'a>>::new(), None);
    while let Some(value) = values.pop() {
        for &i in graph.consumers(&value).iter().filter(|&&i| seen.insert(i)) {
            let node: &'a NodeProto = &graph.nodes[i];
            let place = match node.op_type.as_str() {
                "Cast" | "Identity" | "Reshape" | "Flatten" | "Unsqueeze" | "Squeeze" => {
                    values.extend(node.output.iter().cloned());
                    continue;
                }
                "Gather" if node.input.get(1) == Some(&value) && is_by_row(node) => 0,
                "EmbedLayerNormalization" if node.input.first() == Some(&value) => 2,
                _ => continue,
            };
            match graph.constant_input(node, place, 2) {
                Some(table) if is_float(table.tensor) => found.push(table),
                _ => quantised = Some(describe(graph, node, place)),
            }
        }
    }
    let first = *found.first().ok_or_else(|| match quantised {
        Some(how) => how,
        None => format!("no table of word embeddings is looked up with the input `{input}`"),
    })?;
    if found.iter().any(|other| !std::ptr::eq(other.tensor, first.tensor)) {
        return Err(format!("more than one table is looked up with the input `{input}`"));
    }
    Ok(first)
}

/// Says what ids are looked up in, when it is no table of floating-point numbers.
fn describe(graph: &Graph<'_>, node: &NodeProto, place: usize) -> String {
    let stored = node.input.get(place).and_then(|value| graph.constant(value));
    let maker = node.input.get(place).and_then(|value| graph.producer(value));
    let is_small = stored.is_some_and(|stored| !is_float(stored.tensor));
    if is_small || maker.is_some_and(|maker| is_quantised(&maker.op_type)) {
        let name = &node.name;
        return format!(
            "its word embeddings are quantised (node `{name}`); start from the model before quantisation"
        );
    }
    format!("node `{}` looks ids up in what is no constant table", node.name)
}

fn is_by_row(node: &NodeProto) -> bool {
    attribute(node, "axis").is_none_or(|axis| axis.i == 0)
}

fn is_float(tensor: &TensorProto) -> bool {
    width(tensor.data_type()).is_some()
}
