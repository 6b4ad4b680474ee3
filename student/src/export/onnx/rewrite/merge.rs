//! Several products of one activation become one: queries, keys and values, for instance.
//!
//! A column of the result has its own scale when it is rounded, so that nothing changes but the time: the activation is
//! rounded once, and one large product is faster than three small ones.

use super::Storage;
use super::editor::Editor;
use super::stored::{self, Product};
use crate::export::onnx::ops::int;
use crate::export::onnx::proto::{DataType, GraphProto, NodeProto};
use crate::import::onnx::graph::Graph;
use crate::import::onnx::numbers;
use ndarray::{Array2, Axis, concatenate};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A product with a bias behind it.
struct Affine {
    product: Product,
    /// The place of the addition.
    addition: usize,
    bias: String,
}

/// Replaces every group of `MatMul` and `Add` with stored operands and a common input by one, and a `Split`.
///
/// # Errors
/// Says what is wrong when a tensor does not hold what it claims to.
pub(super) fn merge(graph: &mut GraphProto, storage: &Storage<'_>) -> Result<(), String> {
    let groups = groups(graph, storage);
    if groups.is_empty() {
        return Ok(());
    }
    let dropped: BTreeSet<usize> =
        groups.values().flatten().flat_map(|affine| [affine.product.node, affine.addition]).collect();
    let mut editor = Editor::new(graph);
    let nodes = std::mem::take(&mut graph.node);
    let mut joined = HashMap::new();
    for (i, node) in nodes.iter().enumerate() {
        if let Some(group) = groups.get(&i) {
            let [weight, bias] = join(&mut editor, group, &mut joined)?;
            write(&mut editor, &nodes, group, [&weight.0, &bias.0], &weight.1);
        }
        if !dropped.contains(&i) {
            editor.nodes.push(node.clone());
        }
    }
    editor.finish(graph);
    Ok(())
}

/// Returns the groups by the place of their first product.
fn groups(graph: &GraphProto, storage: &Storage<'_>) -> BTreeMap<usize, Vec<Affine>> {
    let (all, tables) = (stored::products(graph), stored::lookups(graph));
    let mut uses: HashMap<String, usize> = HashMap::new();
    all.iter().for_each(|it| *uses.entry(it.tensor.clone()).or_default() += 1);
    tables.iter().for_each(|it| *uses.entry(it.tensor.clone()).or_default() += 1);
    let mut by_input: BTreeMap<&str, Vec<Affine>> = BTreeMap::new();
    let indexed = Graph::new(graph);
    for product in all {
        if !storage.excludes([&product.name, &product.tensor])
            && let Some(affine) = affine(graph, &indexed, product)
        {
            by_input.entry(&graph.node[affine.product.node].input[0]).or_default().push(affine);
        }
    }
    let mut groups: Vec<Vec<Affine>> = by_input.into_values().filter(|group| group.len() > 1).collect();
    // A matrix that is also used elsewhere would have to be stored twice.
    let tuples = |groups: &[Vec<Affine>]| {
        let mut counts: HashMap<Vec<String>, usize> = HashMap::new();
        groups.iter().for_each(|group| *counts.entry(tensors(group)).or_default() += 1);
        counts
    };
    let counts = tuples(&groups);
    groups.retain(|group| {
        let tensors = tensors(group);
        let together = counts[&tensors];
        let distinct: BTreeSet<_> = tensors.iter().collect();
        distinct.len() == tensors.len() && tensors.iter().all(|tensor| uses[tensor] == together)
    });
    groups.into_iter().map(|group| (group[0].product.node, group)).collect()
}

fn tensors(group: &[Affine]) -> Vec<String> {
    group.iter().map(|affine| affine.product.tensor.clone()).collect()
}

/// Finds the addition of a stored bias, if that is all that a product is used for.
fn affine(graph: &GraphProto, indexed: &Graph<'_>, product: Product) -> Option<Affine> {
    let node = &graph.node[product.node];
    let [addition] = *indexed.consumers(&node.output[0]) else { return None };
    let is_output = |value: &String| graph.output.iter().any(|output| output.name == *value);
    let add = &graph.node[addition];
    if node.op_type != "MatMul"
        || add.op_type != "Add"
        || is_output(&node.output[0])
        || is_output(&add.output[0])
    {
        return None;
    }
    let other = add.input.iter().position(|input| *input != node.output[0])?;
    let bias = indexed.constant_input(add, other, 1)?.tensor;
    let weight = graph.initializer.iter().find(|tensor| tensor.name == product.tensor)?;
    let outputs = weight.dims[usize::from(!product.transposed)];
    let fits = bias.dims == [outputs] && bias.data_type() == DataType::Float;
    fits.then(|| Affine { addition, bias: bias.name.clone(), product })
}

/// The name of a joined tensor, and the sizes of its parts.
type Joined = (String, Vec<i64>);

/// Stores the matrices of a group side by side, [in, out], and its biases; once for groups of the same tensors.
fn join(
    editor: &mut Editor,
    group: &[Affine],
    joined: &mut HashMap<Vec<String>, [Joined; 2]>,
) -> Result<[Joined; 2], String> {
    let mut key = tensors(group);
    key.extend(group.iter().map(|affine| affine.bias.clone()));
    if let Some(known) = joined.get(&key) {
        return Ok(known.clone());
    }
    let missing = |name: &str| format!("the tensor `{name}` is computed");
    let (mut matrices, mut bias) = (Vec::<Array2<f32>>::new(), Vec::new());
    for affine in group {
        let name = &affine.product.tensor;
        let stored = stored::matrix(editor.tensor(name).ok_or_else(|| missing(name))?)?;
        matrices.push(affine.product.outputs(&stored).to_owned());
        let part = editor.tensor(&affine.bias).ok_or_else(|| missing(&affine.bias))?;
        bias.extend(numbers::tensor(part, &part.raw_data)?.data);
    }
    let views: Vec<_> = matrices.iter().map(|matrix| matrix.view()).collect();
    let whole = concatenate(Axis(0), &views)
        .map_err(|_| format!("the matrices `{}` do not take the same input", tensors(group).join("`, `")))?;
    let sizes: Vec<i64> = matrices.iter().map(|matrix| matrix.nrows() as i64).collect();
    let names: Vec<&str> = group.iter().map(|affine| affine.product.name.as_str()).collect();
    let numbers: Vec<f32> = whole.t().iter().copied().collect();
    let weight = editor.store_floats(&names.join("+"), &[whole.ncols(), whole.nrows()], &numbers);
    let bias = editor.store_floats(&format!("{weight}/bias"), &[whole.nrows()], &bias);
    let pair = [(weight, sizes.clone()), (bias, sizes)];
    joined.insert(key, pair.clone());
    Ok(pair)
}

/// Writes one product, one addition, and the parts under their old names.
fn write(
    editor: &mut Editor,
    nodes: &[NodeProto],
    group: &[Affine],
    [weight, bias]: [&str; 2],
    sizes: &[i64],
) {
    let x = &nodes[group[0].product.node].input[0];
    let product = editor.value("MatMul", &[x, weight], &format!("{weight}/product"), vec![]);
    let sum = editor.value("Add", &[&product, bias], &format!("{weight}/sum"), vec![]);
    let bytes = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    let sizes = editor.store(&format!("{weight}/sizes"), &[sizes.len()], DataType::Int64, bytes);
    let parts: Vec<&str> = group.iter().map(|affine| &*nodes[affine.addition].output[0]).collect();
    editor.node("Split", &[&sum, &sizes], &parts, vec![int("axis", -1)]);
}
