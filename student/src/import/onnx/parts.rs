//! The parts of a transformer that hold weights, found in a graph by their shape.

use super::graph::{Constant, Graph, attribute};
use crate::export::onnx::proto::NodeProto;

/// A product with a constant matrix, and the bias that is added to it.
pub struct Linear<'a> {
    /// The index of the node with the product.
    pub node: usize,
    /// What the product is called; the bias may come after it.
    pub output: &'a str,
    /// The matrix, to be read as [out, in].
    pub weight: Constant<'a>,
    /// The bias, `[out]`.
    pub bias: Option<Constant<'a>>,
}

/// A layer normalisation: one node, or the nodes that older exports write it with.
pub struct Norm<'a> {
    /// What is normalised.
    pub input: &'a str,
    /// The normalised, scaled and shifted value.
    pub output: &'a str,
    /// The scale, `[H]`.
    pub scale: Constant<'a>,
    /// The shift, `[H]`.
    pub shift: Constant<'a>,
}

/// Returns the linear layers in the order of the graph.
pub fn linears<'a>(graph: &Graph<'a>) -> Vec<Linear<'a>> {
    let products = graph.nodes.iter().enumerate();
    products
        .filter_map(|(i, node)| match node.op_type.as_str() {
            "MatMul" => product(graph, i, node),
            "Gemm" => gemm(graph, i, node),
            _ => None,
        })
        .collect()
}

/// Returns the layer normalisations in the order of the graph.
pub fn norms<'a>(graph: &Graph<'a>) -> Vec<Norm<'a>> {
    let nodes = graph.nodes.iter();
    nodes
        .filter_map(|node| match node.op_type.as_str() {
            "LayerNormalization" => Some(Norm {
                input: node.input.first()?,
                output: node.output.first()?,
                scale: graph.constant_input(node, 1, 1)?,
                shift: graph.constant_input(node, 2, 1)?,
            }),
            "Add" => spelled_out_norm(graph, node),
            _ => None,
        })
        .collect()
}

/// `x W`, with `W` stored [in, out].
fn product<'a>(graph: &Graph<'a>, i: usize, node: &'a NodeProto) -> Option<Linear<'a>> {
    let weight = graph.constant_input(node, 1, 2)?.t();
    let output = node.output.first()?.as_str();
    let width = weight.tensor.dims[if weight.transposed { 1 } else { 0 }];
    let bias = graph.consumers(output).iter().find_map(|&next| {
        let bias = vector_input(graph, &graph.nodes[next])?;
        (bias.tensor.dims[0] == width).then_some(bias)
    });
    Some(Linear { node: i, output, weight, bias })
}

/// `x W + b` or `x Wᵀ + b`.
fn gemm<'a>(graph: &Graph<'a>, i: usize, node: &'a NodeProto) -> Option<Linear<'a>> {
    let number = |name| attribute(node, name).map_or(1.0, |attribute| attribute.f);
    let flag = |name| attribute(node, name).is_some_and(|attribute| attribute.i != 0);
    if number("alpha") != 1.0 || number("beta") != 1.0 || flag("transA") {
        return None;
    }
    let weight = graph.constant_input(node, 1, 2)?;
    let weight = if flag("transB") { weight } else { weight.t() };
    Some(Linear { node: i, output: node.output.first()?, weight, bias: graph.constant_input(node, 2, 1) })
}

/// Returns the constant vector that a node adds to its other input.
fn vector_input<'a>(graph: &Graph<'a>, node: &'a NodeProto) -> Option<Constant<'a>> {
    match node.op_type.as_str() {
        "Add" | "BiasGelu" | "FastGelu" => (0..2).find_map(|i| graph.constant_input(node, i, 1)),
        "SkipLayerNormalization" => graph.constant_input(node, 4, 1),
        _ => None,
    }
}

/// Recognises `(x − mean) / σ · scale + shift` by its last node.
fn spelled_out_norm<'a>(graph: &Graph<'a>, add: &'a NodeProto) -> Option<Norm<'a>> {
    let (scaled, shift) = with_vector(graph, add)?;
    let mul = graph.producer(scaled).filter(|node| node.op_type == "Mul")?;
    let (normalised, scale) = with_vector(graph, mul)?;
    let div = graph.producer(normalised).filter(|node| node.op_type == "Div")?;
    let sub = graph.producer(div.input.first()?).filter(|node| node.op_type == "Sub")?;
    Some(Norm { input: sub.input.first()?, output: add.output.first()?, scale, shift })
}

/// Returns the two inputs of a node, the second of which is a constant vector.
fn with_vector<'a>(graph: &Graph<'a>, node: &'a NodeProto) -> Option<(&'a str, Constant<'a>)> {
    let other = |i: usize| node.input.get(1 - i).map(String::as_str);
    (0..2).find_map(|i| Some((other(i)?, graph.constant_input(node, i, 1)?)))
}
