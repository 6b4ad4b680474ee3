//! The weights of a BERT out of an ONNX graph.
//!
//! Exporters keep the names of biases, normalisations and tables, but most store the matrix of a linear layer
//! transposed and under a number. Its name comes back from what is around it: see `names`. Where nothing has a name,
//! the wiring itself tells the layers apart: see `topology`.

pub(crate) mod external;
pub(crate) mod graph;
mod names;
pub(crate) mod numbers;
mod parts;
mod summary;
mod topology;
mod trim;
mod words;

pub use summary::{Stored, Summary, summary};
pub use words::words;

use crate::Error;
use crate::export::onnx::proto::{GraphProto, ModelProto, NodeProto};
use crate::files::map;
use crate::weights::Weights;
use graph::Graph;
use prost::Message;
use prost::bytes::Bytes;
use std::path::Path;

/// Reads the weights of a BERT as `f32`, named and laid out as in its Hugging Face checkpoint.
///
/// Understands what PyTorch's exporters, optimum and [`crate::export::onnx`] write, in single, half or double
/// precision, with external data beside the file.
///
/// # Errors
/// [`Error::Read`]; [`Error::Malformed`] when the file is no ONNX model or a tensor in it is not what it claims;
/// [`Error::Unusable`] when its weights are quantised or packed by an optimiser, or when the graph is no BERT.
pub fn read(path: &Path) -> Result<Weights, Error> {
    weights(&decode(path, Bytes::from_owner(map(path)?))?, path)
}

fn weights(model: &ModelProto, path: &Path) -> Result<Weights, Error> {
    let graph = graph_of(model, path)?;
    let unusable = |reason| Error::Unusable { path: path.to_owned(), reason };
    refuse_unusable(&graph.node).map_err(unusable)?;
    let constants = names::recognise(&Graph::new(graph)).map_err(unusable)?;
    Ok(Weights::new(path, numbers::read_all(path, &constants)?))
}

pub(crate) fn decode(path: &Path, bytes: Bytes) -> Result<ModelProto, Error> {
    ModelProto::decode(bytes).map_err(|error| malformed(path, error.to_string()))
}

pub(crate) fn graph_of<'a>(model: &'a ModelProto, path: &Path) -> Result<&'a GraphProto, Error> {
    model.graph.as_ref().ok_or_else(|| malformed(path, "it holds no graph".into()))
}

pub(crate) fn malformed(path: &Path, reason: String) -> Error {
    Error::Malformed { path: path.to_owned(), format: "ONNX", reason }
}

/// Returns an error when an operator shows that the weights are not there as they were trained.
fn refuse_unusable(nodes: &[NodeProto]) -> Result<(), String> {
    for NodeProto { name, op_type, domain, .. } in nodes {
        if is_quantised(op_type) {
            return Err(format!(
                "its weights are quantised (node `{name}` is a `{op_type}`); training starts from the model before \
                 quantisation"
            ));
        }
        if op_type == "Attention" && !domain.is_empty() {
            return Err(format!(
                "an optimiser has packed its weights (node `{name}` is a `{op_type}` of `{domain}`); export it \
                 without optimisation"
            ));
        }
    }
    Ok(())
}

fn is_quantised(operator: &str) -> bool {
    let operator = operator.to_ascii_lowercase();
    let marks = ["quantize", "integer", "qlinear", "nbits", "qattention", "qgemm"];
    marks.iter().any(|mark| operator.contains(mark))
}

#[cfg(test)]
mod tests;
