//! Attention that a graph optimiser, or a newer operator set, has put in one node.
//!
//! Such a node gives out its context alone. What it computes inside can be computed once more where it reads its
//! queries and keys, or the layer's input and the weights of all three.

use super::attention::Core;
use super::graph::Graph;
use super::projection::{self, Projection};
use super::site::{Axis, Layout, Rows, Scores};
use super::topology::{Node, Value};

/// Recognises a fused node.
pub(super) fn core(graph: &Graph<'_>, number: usize) -> Option<Core> {
    let node = &graph.topology.nodes[number];
    let root = node.input(0).filter(|&root| graph.flow(root).is_activation())?;
    let heads = |name| usize::try_from(node.int(name)?).ok().filter(|&heads| heads > 0);
    let fused = Fused { graph, node, name: graph.node_name(number) };
    let (qkv, bias_place, heads) = match (node.domain.as_str(), node.op.as_str()) {
        ("com.microsoft", "Attention") => (fused.projected(), 5, heads("num_heads")),
        ("com.microsoft", "MultiHeadAttention") => (fused.shifted(), 5, heads("num_heads")),
        ("", "Attention") if node.int("q_num_heads").is_some() => {
            (fused.given_rows(), 3, heads("q_num_heads"))
        }
        ("", "Attention") => {
            let projections = fused.given_heads();
            let heads = projections.iter().flatten().find_map(|projection| projection.heads);
            let rows = |Projection { value, layout, .. }| Rows::Tensor { name: fused.named(value), layout };
            (projections.map(|projection| projection.map(rows)), 3, heads)
        }
        (_, op) if op.contains("Attention") => ([0, 1, 2].map(|_| fused.swallowed()), usize::MAX, None),
        _ => return None,
    };
    let scores = match &qkv {
        [Ok(_), Ok(_), _] => fused.scores(bias_place),
        [Err(reason), ..] | [_, Err(reason), _] => Err(reason.clone()),
    };
    Some(Core {
        root,
        scores,
        probabilities: Err(format!("{} gives out its result alone", fused.name)),
        qkv,
        heads,
    })
}

struct Fused<'g, 'a> {
    graph: &'g Graph<'a>,
    node: &'a Node,
    name: String,
}

impl Fused<'_, '_> {
    /// `com.microsoft.Attention`: the layer's input, the weights of all three side by side, their biases.
    fn projected(&self) -> [Result<Rows, String>; 3] {
        [0, 1, 2].map(|part| {
            let (Some(x), Some(weight)) = (self.node.input(0), self.node.input(1)) else {
                return self.swallowed();
            };
            if self.node.ints("qkv_hidden_sizes").is_some_and(|sizes| sizes.iter().any(|s| *s != sizes[0])) {
                return self.swallowed();
            }
            let bias = self.node.input(2).map(|bias| self.named(bias));
            Ok(Rows::Projected { x: self.named(x), weight: self.named(weight), bias, part })
        })
    }

    /// `com.microsoft.MultiHeadAttention`: queries, keys, values, the biases of all three side by side.
    fn shifted(&self) -> [Result<Rows, String>; 3] {
        [0, 1, 2].map(|part| {
            // With queries alone, all three stand in one tensor with axes of its own.
            let given = self.node.input(part).filter(|_| self.node.input(1).is_some());
            let value = given.ok_or_else(|| self.swallow())?;
            let Some(vector) = self.node.input(3) else { return Ok(self.whole(value)) };
            let Some([width]) = self.graph.constant(vector).map(|constant| constant.dims.as_slice()) else {
                return self.swallowed();
            };
            let width = usize::try_from(*width).unwrap_or(0) / 3;
            Ok(Rows::Shifted { x: self.named(value), vector: self.named(vector), part, width })
        })
    }

    /// `Attention`: queries, keys, values, whose heads it cuts out itself.
    fn given_rows(&self) -> [Result<Rows, String>; 3] {
        [0, 1, 2]
            .map(|part| self.node.input(part).map(|value| self.whole(value)).ok_or_else(|| self.swallow()))
    }

    /// `Attention`: queries, keys, values with an axis of heads.
    fn given_heads(&self) -> [Result<Projection, String>; 3] {
        let axes = [Axis::Sequence, Axis::Head, Axis::Token, Axis::Feature];
        [0, 1, 2].map(|part| {
            let value = self.node.input(part).ok_or_else(|| self.swallow())?;
            projection::trace(self.graph, value, axes)
        })
    }

    fn scores(&self, bias_place: usize) -> Result<Scores, String> {
        if self.node.float("softcap").is_some_and(|cap| cap != 0.0) {
            return Err(format!("{} bends its scores (`softcap`)", self.name));
        }
        let scale = self.node.float("scale").filter(|&scale| scale != 0.0);
        let bias = self.node.input(bias_place).filter(|&bias| !self.graph.flow(bias).is_mask());
        Ok(Scores::Product { scale, bias: bias.map(|bias| self.named(bias)) })
    }

    fn whole(&self, value: Value) -> Rows {
        let value = projection::trace_rows(self.graph, value);
        Rows::Tensor { name: self.named(value), layout: Layout::WHOLE }
    }

    fn named(&self, value: Value) -> String {
        self.graph.name(value).to_owned()
    }

    fn swallowed(&self) -> Result<Rows, String> {
        Err(self.swallow())
    }

    fn swallow(&self) -> String {
        format!("{} has swallowed it", self.name)
    }
}
