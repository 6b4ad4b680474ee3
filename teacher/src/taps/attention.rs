//! Attention as most exporters write it: a product of queries and keys, a softmax, a product with values.

use super::graph::Graph;
use super::projection::{self, Projection};
use super::site::{Axis, Rows, Scores};
use super::topology::{Node, Value};

/// The heart of a layer.
#[derive(Debug)]
pub(super) struct Core {
    /// Where the search for the layer's input begins: its queries, or what a fused node reads.
    pub root: Value,
    pub scores: Result<Scores, String>,
    /// The tensor with the probabilities.
    pub probabilities: Result<String, String>,
    /// Queries, keys, values.
    pub qkv: [Result<Rows, String>; 3],
    /// A, where the graph says it.
    pub heads: Option<usize>,
}

/// Recognises attention by its softmax.
pub(super) fn core(graph: &Graph<'_>, softmax: &Node) -> Option<Core> {
    use Axis::{Feature, Head, Sequence, Token};
    if !softmax.is(&["Softmax"]) || !matches!(softmax.int("axis"), None | Some(-1 | 2 | 3)) {
        return None;
    }
    let (scores, product) = scores(graph, softmax.input(0)?)?;
    let [query, key] = product.pair()?;
    // The fused product may turn the keys round itself.
    let turned = product.int("transB").is_some_and(|flag| flag != 0);
    let keys = if turned { [Sequence, Head, Token, Feature] } else { [Sequence, Head, Feature, Token] };
    let heads_first = [Sequence, Head, Token, Feature];
    let probabilities = softmax.output(0)?;
    let value = weighed_value(graph, probabilities);
    let projections = [
        projection::trace(graph, query, heads_first),
        projection::trace(graph, key, keys),
        value.map_or_else(
            || Err("no product of the probabilities with values was found".into()),
            |value| projection::trace(graph, value, heads_first),
        ),
    ];
    let heads = projections.iter().flatten().find_map(|projection| projection.heads);
    let rows = |Projection { value, layout, .. }| Rows::Tensor { name: graph.name(value).to_owned(), layout };
    Some(Core {
        root: query,
        scores: Ok(Scores::Tensor(graph.name(scores).to_owned())),
        probabilities: Ok(graph.name(probabilities).to_owned()),
        qkv: projections.map(|projection| projection.map(rows)),
        heads,
    })
}

/// Walks back from a softmax to the product of queries and keys.
///
/// Returns the scores and that product. The scores are the last value on the way to which no mask has been added yet;
/// where something else comes after the mask, they are what the softmax reads: a mask changes nothing between real
/// tokens.
fn scores<'a>(graph: &Graph<'a>, logits: Value) -> Option<(Value, &'a Node)> {
    let (mut scores, mut product) = (logits, None);
    // Whether nothing but masks has been met so far.
    let mut only_masks = true;
    graph.walk(logits, |node| {
        let (before, is_mask) = match node.op.as_str() {
            _ if node.is_plain() => (node.input(0)?, true),
            "Add" => activation_of(graph, node.pair()?)?,
            "Where" => activation_of(graph, [node.input(1)?, node.input(2)?])?,
            "MatMul" | "FusedMatMul" => {
                let both = node.pair()?.into_iter().all(|value| graph.flow(value).is_activation());
                product = both.then_some(node);
                return None;
            }
            _ => (graph.scaled(node)?, false),
        };
        only_masks &= is_mask;
        if only_masks {
            scores = before;
        }
        Some(before)
    });
    product.map(|product| (scores, product))
}

/// Returns the one of two operands that is an activation, and whether the other is a mask.
fn activation_of(graph: &Graph<'_>, operands: [Value; 2]) -> Option<(Value, bool)> {
    let [a, b] = operands.map(|value| graph.flow(value));
    match (a.is_activation(), b.is_activation()) {
        (true, false) => Some((operands[0], b.is_mask())),
        (false, true) => Some((operands[1], a.is_mask())),
        _ => None,
    }
}

/// Returns the values that probabilities weigh.
fn weighed_value(graph: &Graph<'_>, probabilities: Value) -> Option<Value> {
    let mut value = probabilities;
    // Renamed, converted or guarded against rows of nothing but padding.
    for _ in 0..8 {
        let mut next = None;
        for node in graph.consumers(value) {
            match node.op.as_str() {
                "MatMul" | "FusedMatMul" if node.input(0) == Some(value) => return node.input(1),
                "Where" => next = node.output(0),
                _ if node.is_plain() => next = node.output(0),
                _ => {}
            }
        }
        value = next?;
    }
    None
}
