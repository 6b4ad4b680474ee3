//! Which constant of a graph is which tensor of a BERT.

use super::graph::{Constant, Graph, is_parameter};
use super::parts::{Linear, Norm, linears, norms};
use super::topology;
use crate::weights::{WORDS, canonical, layer_numbers};
use std::collections::BTreeMap;

/// Constants by the names they have in a checkpoint.
pub type Named<'a> = BTreeMap<String, Constant<'a>>;

/// Returns the tensors of the model by name.
///
/// A linear layer is named by its matrix, by the place of its node in the module tree, or by its bias. What has none of
/// these names gets it from its place in the wiring.
///
/// # Errors
/// Says what is not recognised, when neither names nor wiring are those of a BERT.
pub fn recognise<'a>(graph: &Graph<'a>) -> Result<Named<'a>, String> {
    let (linears, norms) = (linears(graph), norms(graph));
    let mut named = Named::new();
    let nameless = name_linears(graph, &linears, &mut named);
    for &value in graph.names().iter().filter(|value| is_parameter(value) && !value.ends_with(".T")) {
        if let Some(constant) = graph.constant(value) {
            insert(&mut named, canonical(value), constant)?;
        }
    }
    let nameless = nameless.or_else(|| nameless_norm(&norms)).or_else(|| no_words(&named));
    if let Some(nameless) = nameless {
        match topology::trace(graph, &linears, &norms) {
            Ok(traced) => traced.into_iter().for_each(|(name, constant)| {
                named.entry(name).or_insert(constant);
            }),
            // A head of another kind may have no names; the encoder is what matters.
            Err(_) if has_whole_encoder(&named) => {}
            Err(reason) => return Err(format!("{nameless}, and the graph is not wired as a BERT: {reason}")),
        }
    }
    Ok(named)
}

/// Names the linear layers that can be named alone, and describes the first that cannot.
fn name_linears<'a>(graph: &Graph<'a>, linears: &[Linear<'a>], named: &mut Named<'a>) -> Option<String> {
    let mut stems: BTreeMap<String, Vec<&Linear>> = BTreeMap::new();
    let mut nameless = None;
    for linear in linears {
        match stem(graph, linear) {
            Some(stem) => stems.entry(stem).or_default().push(linear),
            None => nameless = nameless.or_else(|| Some(describe(graph, linear))),
        }
    }
    for (stem, group) in stems {
        let first = group[0];
        if group.iter().any(|other| !std::ptr::eq(other.weight.tensor, first.weight.tensor)) {
            nameless =
                nameless.or_else(|| Some(format!("{} linear layers are called `{stem}`", group.len())));
            continue;
        }
        named.insert(format!("{stem}.weight"), first.weight);
        if let Some(bias) = first.bias {
            named.insert(format!("{stem}.bias"), bias);
        }
    }
    nameless
}

/// Returns the name of a linear layer without `.weight`.
fn stem(graph: &Graph<'_>, linear: &Linear<'_>) -> Option<String> {
    let by_weight = linear.weight.name.trim_end_matches(".T").strip_suffix(".weight").map(canonical_stem);
    let place = graph.nodes[linear.node].name.trim_start_matches('/').rsplit_once('/');
    let by_place =
        || place.map(|(module, _)| canonical_stem(&module.replace('/', "."))).filter(|stem| is_part(stem));
    let by_bias = || linear.bias?.name.strip_suffix(".bias").map(canonical_stem);
    by_weight.or_else(by_place).or_else(by_bias)
}

fn canonical_stem(stem: &str) -> String {
    canonical(&format!("{stem}.")).trim_end_matches('.').to_owned()
}

/// The parts of an encoder layer that hold weights.
const PARTS: [&str; 8] = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
];

/// Says whether a BERT has a part of this name.
fn is_part(stem: &str) -> bool {
    let number_and_part = stem.strip_prefix("bert.encoder.layer.").and_then(|rest| rest.split_once('.'));
    number_and_part.is_some_and(|(_, part)| PARTS.contains(&part))
        || matches!(stem, "bert.pooler.dense" | "classifier")
}

/// Says whether words and every layer that occurs are there with all their weights.
fn has_whole_encoder(named: &Named<'_>) -> bool {
    let layers = layer_numbers(named.keys().map(String::as_str));
    let mut weights = layers.iter().flat_map(|layer| {
        PARTS.iter().flat_map(move |part| {
            ["weight", "bias"].map(|end| format!("bert.encoder.layer.{layer}.{part}.{end}"))
        })
    });
    !layers.is_empty() && named.contains_key(WORDS) && weights.all(|name| named.contains_key(&name))
}

fn insert<'a>(named: &mut Named<'a>, name: String, constant: Constant<'a>) -> Result<(), String> {
    let first = *named.entry(name.clone()).or_insert(constant);
    if std::ptr::eq(first.tensor, constant.tensor) {
        Ok(())
    } else {
        Err(format!("`{}` and `{}` are both `{name}` of a BERT", first.name, constant.name))
    }
}

fn describe(graph: &Graph<'_>, linear: &Linear<'_>) -> String {
    let (node, weight) = (&graph.nodes[linear.node].name, linear.weight.name);
    format!("nothing names the matrix `{weight}` of node `{node}`")
}

fn nameless_norm(norms: &[Norm<'_>]) -> Option<String> {
    let is_nameless =
        |norm: &&Norm| ![norm.scale, norm.shift].iter().all(|constant| is_parameter(constant.name));
    let Norm { scale, shift, .. } = norms.iter().find(is_nameless)?;
    Some(format!("nothing names the normalisation by `{}` and `{}`", scale.name, shift.name))
}

fn no_words(named: &Named<'_>) -> Option<String> {
    (!named.contains_key(WORDS)).then(|| format!("nothing is called `{WORDS}`"))
}
