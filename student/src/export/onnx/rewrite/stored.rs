//! Where a graph multiplies by a stored matrix, and where it reads rows of a stored table.

use crate::export::onnx::proto::{DataType, GraphProto, NodeProto, TensorProto};
use crate::import::onnx::graph::{Constant, Graph, attribute, is_parameter};
use crate::import::onnx::numbers;
use ndarray::{Array2, ArrayView2};

/// A matrix or table with fewer numbers stays as it is: its bytes do not count, and its rounding would.
pub(super) const MIN_NUMBERS: usize = 2048;

/// A product of an activation with a stored matrix.
pub(super) struct Product {
    /// The place of its node.
    pub node: usize,
    /// The stored tensor.
    pub tensor: String,
    /// What users call the matrix.
    pub name: String,
    /// Whether the tensor is [out, in], and not [in, out].
    pub transposed: bool,
}

/// Rows of a stored table, read by index.
pub(super) struct Lookup {
    /// The place of its node.
    pub node: usize,
    /// The stored tensor.
    pub tensor: String,
    /// What users call the table.
    pub name: String,
}

/// Returns the products with stored matrices, in the order of the graph.
pub(super) fn products(graph: &GraphProto) -> Vec<Product> {
    let indexed = Graph::new(graph);
    let product = |(i, node): (usize, &NodeProto)| {
        let right = indexed.constant_input(node, 1, 2).filter(|constant| is_worthwhile(constant.tensor))?;
        let transposed = match &*node.op_type {
            "MatMul" => right.transposed,
            "Gemm" if is_plain(node) => right.transposed != flag(node, "transB"),
            _ => return None,
        };
        let Constant { tensor, .. } = right;
        Some(Product { node: i, tensor: tensor.name.clone(), name: name(&right, node), transposed })
    };
    graph.node.iter().enumerate().filter_map(product).collect()
}

/// Returns the lookups of rows in stored tables, in the order of the graph.
pub(super) fn lookups(graph: &GraphProto) -> Vec<Lookup> {
    let indexed = Graph::new(graph);
    let lookup = |(i, node): (usize, &NodeProto)| {
        let table = indexed.constant_input(node, 0, 2).filter(|constant| is_worthwhile(constant.tensor))?;
        let by_row = node.op_type == "Gather" && number(node, "axis").unwrap_or(0) == 0 && !table.transposed;
        by_row.then(|| Lookup { node: i, tensor: table.tensor.name.clone(), name: name(&table, node) })
    };
    graph.node.iter().enumerate().filter_map(lookup).collect()
}

/// Returns a stored matrix as numbers, in the shape that is stored.
///
/// # Errors
/// Says what is wrong when it does not hold what it claims to.
pub(super) fn matrix(tensor: &TensorProto) -> Result<Array2<f32>, String> {
    let read = numbers::tensor(tensor, &tensor.raw_data)
        .map_err(|reason| format!("the tensor `{}` {reason}", tensor.name))?;
    let shape = [read.shape[0], read.shape[1]];
    if let Some(x) = read.data.iter().find(|x| !x.is_finite()) {
        return Err(format!("the tensor `{}` holds `{x}`", tensor.name));
    }
    Ok(Array2::from_shape_vec(shape, read.data).expect("a tensor holds what its shape says"))
}

impl Product {
    /// Returns the stored matrix as [out, in].
    pub(super) fn outputs<'a>(&self, stored: &'a Array2<f32>) -> ArrayView2<'a, f32> {
        if self.transposed { stored.view() } else { stored.t() }
    }
}

/// Returns the name by which a tensor is a parameter of the model, or else that of the node which uses it.
fn name(constant: &Constant<'_>, node: &NodeProto) -> String {
    let name = if is_parameter(constant.name) { constant.name } else { &*node.name };
    if name.is_empty() { constant.tensor.name.clone() } else { name.trim_end_matches(".T").to_owned() }
}

fn is_worthwhile(tensor: &TensorProto) -> bool {
    let is_float = matches!(tensor.data_type(), DataType::Float | DataType::Float16 | DataType::Bfloat16);
    is_float && numbers::num_elements(tensor).is_some_and(|count| count >= MIN_NUMBERS)
}

/// Says whether a `Gemm` is `a b + c`, with `b` as it is or transposed.
fn is_plain(node: &NodeProto) -> bool {
    let is_one = |name| attribute(node, name).is_none_or(|attribute| attribute.f == 1.0);
    is_one("alpha") && is_one("beta") && !flag(node, "transA")
}

fn flag(node: &NodeProto, name: &str) -> bool {
    number(node, name).is_some_and(|i| i != 0)
}

fn number(node: &NodeProto, name: &str) -> Option<i64> {
    attribute(node, name).map(|attribute| attribute.i)
}
