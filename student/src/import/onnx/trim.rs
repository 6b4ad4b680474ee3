//! Somebody's graph with fewer words: the rows of its table of word embeddings that are kept, and nothing else changed.
//!
//! The table is what token ids are looked up in. A masked language model has as many columns in its last matrix, which
//! is the same table or another, and as many biases; they go with the rows.

use super::graph::Graph;
use super::numbers::{num_elements, width};
use super::parts::linears;
use super::words::table;
use crate::Error;
use crate::export::onnx::Model;
use crate::export::onnx::proto::{
    DataType, Dimension, DimensionProto, GraphProto, TensorProto, ValueInfoProto,
};
use prost::bytes::Bytes;
use std::collections::BTreeMap;

impl Model {
    /// Keeps the rows `kept` of the word table alone, in this order. `input`: the graph's input for token ids.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] when the table is not found, is quantised, lacks a row, or is not what it claims to be; the
    /// model may then be partly cut.
    pub fn keep_words(&mut self, input: &str, kept: &[u32]) -> Result<(), Error> {
        let Some(graph) = &mut self.proto.graph else { return Ok(()) };
        let cuts = cuts(graph, input, kept).map_err(Error::Vocabulary)?;
        cut(graph, &cuts, kept).map_err(Error::Vocabulary)
    }
}

/// What is cut: dimensions of tensors by their names, from one size.
struct Cuts {
    dimensions: BTreeMap<String, usize>,
    rows: usize,
}

/// Finds the table, and what has to be cut with it.
fn cuts(graph: &GraphProto, input: &str, kept: &[u32]) -> Result<Cuts, String> {
    let walk = Graph::new(graph);
    let table = table(&walk, input)?;
    if table.transposed {
        return Err(format!("its word table `{}` is stored transposed", table.tensor.name));
    }
    let rows = usize::try_from(table.tensor.dims[0]).unwrap_or(0);
    if let Some(id) = kept.iter().find(|&&id| id as usize >= rows) {
        return Err(format!(
            "its word table `{}` has {rows} rows, and none for the id `{id}`",
            table.tensor.name
        ));
    }
    let mut dimensions = BTreeMap::from([(table.tensor.name.clone(), 0)]);
    for linear in linears(&walk) {
        let [out, inner] = if linear.weight.transposed { [1, 0] } else { [0, 1] };
        if (linear.weight.tensor.dims[out], linear.weight.tensor.dims[inner])
            != (rows as i64, table.tensor.dims[1])
        {
            continue;
        }
        dimensions.insert(linear.weight.tensor.name.clone(), out);
        if let Some(bias) = linear.bias {
            dimensions.insert(bias.tensor.name.clone(), 0);
        }
    }
    Ok(Cuts { dimensions, rows })
}

/// Cuts the tensors, and the outputs of the graph that are as long as the table.
fn cut(graph: &mut GraphProto, cuts: &Cuts, kept: &[u32]) -> Result<(), String> {
    for tensor in &mut graph.initializer {
        if let Some(&dimension) = cuts.dimensions.get(&tensor.name) {
            *tensor = select(tensor, dimension, kept)?;
        }
    }
    let whole = Some(Dimension::Value(cuts.rows as i64));
    // What is said of inner values that are as long as the table is true no more; types of other kinds are not read here.
    graph
        .value_info
        .retain(|value| sizes(value).is_some_and(|sizes| sizes.iter().all(|size| size.value != whole)));
    if cuts.dimensions.len() > 1 {
        let types = graph.output.iter_mut().filter_map(|output| output.r#type.as_mut()?.tensor_type.as_mut());
        let shapes = types.filter_map(|tensor| tensor.shape.as_mut());
        for size in shapes.flat_map(|shape| &mut shape.dim).filter(|size| size.value == whole) {
            size.value = Some(Dimension::Value(kept.len() as i64));
        }
    }
    Ok(())
}

/// Returns the sizes of a tensor, as far as they are told; nothing for a value that is no tensor.
fn sizes(value: &ValueInfoProto) -> Option<&[DimensionProto]> {
    let tensor = value.r#type.as_ref()?.tensor_type.as_ref()?;
    Some(tensor.shape.as_ref().map_or(&[], |shape| &shape.dim))
}

/// Returns the chosen slices of a tensor along one of its dimensions.
fn select(tensor: &TensorProto, dimension: usize, kept: &[u32]) -> Result<TensorProto, String> {
    let raw = raw_bytes(tensor);
    let elements = num_elements(tensor).filter(|&elements| elements > 0);
    let wrong =
        || format!("the tensor `{}` does not hold what its shape {:?} says", tensor.name, tensor.dims);
    let (elements, width) = elements.zip(width(tensor.data_type())).ok_or_else(wrong)?;
    if elements.checked_mul(width) != Some(raw.len()) {
        return Err(wrong());
    }
    let inner: usize = tensor.dims[dimension + 1..].iter().map(|&size| size as usize).product();
    let (slice, size) = (inner * width, tensor.dims[dimension] as usize);
    let mut bytes = Vec::with_capacity(raw.len() / size * kept.len());
    for outer in raw.chunks_exact(slice * size) {
        for &id in kept {
            bytes.extend_from_slice(&outer[id as usize * slice..][..slice]);
        }
    }
    let mut dims = tensor.dims.clone();
    dims[dimension] = kept.len() as i64;
    let (name, data_type) = (tensor.name.clone(), tensor.data_type);
    Ok(TensorProto { dims, data_type, name, raw_data: bytes.into(), ..TensorProto::default() })
}

/// Returns the numbers of a tensor as bytes, in whichever field they are.
fn raw_bytes(tensor: &TensorProto) -> Bytes {
    if !tensor.raw_data.is_empty() {
        return tensor.raw_data.clone();
    }
    match tensor.data_type() {
        DataType::Float => tensor.float_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DataType::Double => tensor.double_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DataType::Float16 | DataType::Bfloat16 => {
            tensor.int32_data.iter().flat_map(|&bits| (bits as u16).to_le_bytes()).collect()
        }
        _ => Bytes::new(),
    }
}
