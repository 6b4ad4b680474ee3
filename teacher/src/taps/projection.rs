//! Queries, keys and values, followed back from attention to where they stand token by token.

use super::graph::Graph;
use super::site::{Axis, Layout};
use super::topology::{Node, Value};

/// What one of the three projections gives.
#[derive(Debug)]
pub(super) struct Projection {
    /// The tensor before it is scaled and cut into heads.
    pub value: Value,
    pub layout: Layout,
    /// A, where the graph cuts heads out by a stored number.
    pub heads: Option<usize>,
}

/// Follows a value back through transpositions, scalings and the cut into heads; `axes` are those it has in attention.
///
/// # Errors
/// Where its axes get lost on the way.
pub(super) fn trace(graph: &Graph<'_>, start: Value, axes: [Axis; 4]) -> Result<Projection, String> {
    let (mut layout, mut heads, mut lost) = (Layout::Heads(axes), None, false);
    let value = graph.walk(start, |node| {
        if let Some(before) = passed(graph, node) {
            return Some(before);
        }
        let Layout::Heads(axes) = &mut layout else {
            return (node.is(&["Reshape"])).then(|| node.input(0)).flatten();
        };
        match node.op.as_str() {
            "Transpose" => {
                let before = node.ints("perm").and_then(|perm| turned_back(*axes, perm));
                lost = before.is_none();
                *axes = before?;
                node.input(0)
            }
            "Reshape" => match exchange(graph, node) {
                Some(before) => {
                    axes.swap(2, 3);
                    Some(before)
                }
                None if *axes == [Axis::Sequence, Axis::Token, Axis::Head, Axis::Feature] => {
                    heads = num_heads(graph, node);
                    layout = Layout::WHOLE;
                    node.input(0)
                }
                None => {
                    lost = true;
                    None
                }
            },
            _ => None,
        }
    });
    if lost {
        return Err(format!("the axes of `{}` are not those of heads", graph.name(value)));
    }
    Ok(Projection { value, layout, heads })
}

/// Follows a value with a row for each token back to where it is computed.
pub(super) fn trace_rows(graph: &Graph<'_>, start: Value) -> Value {
    graph.walk(start, |node| if node.is(&["Reshape"]) { node.input(0) } else { passed(graph, node) })
}

/// Returns the operand of a node that leaves every axis where it is.
fn passed(graph: &Graph<'_>, node: &Node) -> Option<Value> {
    if node.is_plain() { node.input(0) } else { graph.scaled(node) }
}

/// Returns the axes before a transposition.
fn turned_back(axes: [Axis; 4], perm: &[i64]) -> Option<[Axis; 4]> {
    let mut before = [None; 4];
    if perm.len() != 4 {
        return None;
    }
    for (&axis, &from) in axes.iter().zip(perm) {
        *before.get_mut(usize::try_from(from).ok()?)? = Some(axis);
    }
    match before {
        [Some(a), Some(b), Some(c), Some(d)] => Some([a, b, c, d]),
        _ => None,
    }
}

/// Recognises two axes exchanged while the first two are held together: reshape, transposition, reshape.
fn exchange(graph: &Graph<'_>, reshape: &Node) -> Option<Value> {
    let inner = graph.producer(graph.plain(reshape.input(0)?)).filter(|node| node.is(&["Transpose"]))?;
    (inner.ints("perm")? == [0, 2, 1]).then_some(())?;
    let outer = graph.producer(graph.plain(inner.input(0)?)).filter(|node| node.is(&["Reshape"]))?;
    outer.input(0)
}

/// Returns the last but one of the sizes that a node reshapes to, where it is stored.
fn num_heads(graph: &Graph<'_>, reshape: &Node) -> Option<usize> {
    let shape = reshape.input(1)?;
    let pieces = match graph.producer(shape) {
        Some(concat) if concat.is(&["Concat"]) => concat.inputs.clone(),
        _ => vec![Some(shape)],
    };
    let stored = |piece: &Option<Value>| graph.constant((*piece)?).map(|constant| constant.ints.as_slice());
    let ending: Vec<_> = pieces.iter().rev().map_while(stored).flat_map(|ints| ints.iter().rev()).collect();
    usize::try_from(**ending.get(1)?).ok().filter(|&heads| heads > 0)
}
