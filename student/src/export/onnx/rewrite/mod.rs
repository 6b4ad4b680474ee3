//! The same graph with its numbers stored in fewer bits.
//!
//! What is here knows ONNX and no model: products of an activation with a stored matrix are found by what they are, so
//! that it serves graphs that others have made.

mod editor;
mod eight_bits;
mod four_bits;
mod half;
mod merge;
mod stored;

use super::Model;
use super::proto::{GraphProto, ModelProto};
use crate::Error;
use crate::export::Format;
use crate::quant::{Range, Scheme, TableBits};
use editor::Editor;
use eight_bits::EightBits;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use stored::{Lookup, Product};

/// How the numbers of a graph are to be stored.
#[derive(Clone, Copy, Debug)]
pub struct Storage<'a> {
    /// The format.
    pub format: Format,
    /// The whole numbers that matrices in eight bits are made of.
    pub range: Range,
    /// The bits of tables, where the format rounds them. A table that is multiplied too has eight.
    pub tables: TableBits,
    /// Matrices and tables that stay as they are: names of [`Model::roundable`], of tensors or of nodes, whole or up to a
    /// dot or slash.
    pub exclude: &'a [String],
}

impl<'a> Storage<'a> {
    /// Stores everything in a format.
    pub fn of(format: Format) -> Self {
        Storage { format, range: Range::Full, tables: TableBits::Eight, exclude: &[] }
    }

    fn excludes(&self, names: [&str; 2]) -> bool {
        let covers = |name: &str, excluded: &String| {
            name.strip_prefix(excluded.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '/']))
        };
        self.exclude.iter().any(|excluded| names.iter().any(|name| covers(name, excluded)))
    }
}

/// The first set of operators with `DynamicQuantizeLinear`, and that in which `Split` takes its sizes as an input.
const MIN_OPSET: i64 = 13;

impl Model {
    /// Returns the names of the matrices and tables that can be stored in fewer bits, in the order of the graph.
    pub fn roundable(&self) -> Vec<String> {
        let Some(graph) = &self.proto.graph else { return Vec::new() };
        let (products, lookups) = (stored::products(graph), stored::lookups(graph));
        let mut all: Vec<(usize, String)> = products.into_iter().map(|it| (it.node, it.name)).collect();
        all.extend(lookups.into_iter().map(|it| (it.node, it.name)));
        all.sort();
        let mut seen = BTreeSet::new();
        all.into_iter().map(|(_, name)| name).filter(|name| seen.insert(name.clone())).collect()
    }

    /// Returns how each matrix and table is rounded that [`Model::stored_as`] rounds, by name.
    pub fn rounding(&self, storage: &Storage<'_>) -> BTreeMap<String, Scheme> {
        let Some(graph) = &self.proto.graph else { return BTreeMap::new() };
        let Some(scheme) = storage.format.matrices(storage.range) else { return BTreeMap::new() };
        let Plan { products, lookups, tables, rounded } = Plan::of(graph, storage);
        let products = products.into_values().filter(|it| !tables.contains(&it.tensor));
        let tables = lookups.into_values().filter_map(|it| Some((it.name, *rounded.get(&it.tensor)?)));
        products.map(|it| (it.name, scheme)).chain(tables).collect()
    }

    /// Returns the model with its numbers stored in another way. Each tensor is stored once, as before.
    ///
    /// # Errors
    /// [`Error::Rewrite`] when the graph's operators are too old, when a weight is not what it claims to be, or when a name
    /// to be excluded is none of the graph's.
    pub fn stored_as(&self, storage: &Storage<'_>) -> Result<Model, Error> {
        let mut model = self.clone();
        let format = storage.format.name();
        rewrite(&mut model.proto, storage).map_err(|reason| Error::Rewrite { format, reason })?;
        Ok(model)
    }
}

fn rewrite(model: &mut ModelProto, storage: &Storage<'_>) -> Result<(), String> {
    let Some(graph) = &mut model.graph else { return Err("it is empty".into()) };
    check_names(graph, storage)?;
    if storage.format == Format::Fp32 {
        return Ok(());
    }
    // What is said of inner values may be true no more.
    graph.value_info.clear();
    let scheme = match (storage.format, storage.format.matrices(storage.range)) {
        (_, None) => return half::store(graph, storage),
        (_, Some(scheme)) => scheme,
    };
    let opset = model.opset_import.iter().find(|set| set.domain.is_empty() || set.domain == "ai.onnx");
    match opset.map_or(0, |set| set.version) {
        version if version < MIN_OPSET => {
            return Err(format!("its operators are of opset {version}; it takes {MIN_OPSET} or later"));
        }
        _ => merge::merge(graph, storage)?,
    }
    round(graph, storage, scheme)?;
    four_bits::declare(graph, &mut model.opset_import);
    Ok(())
}

/// Rounds matrices and tables, and multiplies and reads them accordingly.
fn round(graph: &mut GraphProto, storage: &Storage<'_>, scheme: Scheme) -> Result<(), String> {
    let plan = Plan::of(graph, storage);
    let in_eight = plan.rounded.iter().filter_map(|(tensor, scheme)| match scheme {
        Scheme::Rows(range) => Some((tensor.clone(), *range)),
        Scheme::Blocks(_) => None,
    });
    let in_blocks = matches!(scheme, Scheme::Blocks(_));
    let mut eight = EightBits::new(storage.range, in_eight.collect());
    let mut editor = Editor::new(graph);
    for (i, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        match (plan.products.get(&i), plan.lookups.get(&i)) {
            (Some(product), _) if in_blocks && !plan.tables.contains(&product.tensor) => {
                four_bits::multiply(&mut editor, node, product)?;
            }
            (Some(product), _) => eight.multiply(&mut editor, node, product)?,
            (_, Some(lookup)) if eight.has_table(&lookup.tensor) => {
                eight.look_up(&mut editor, node, lookup)?
            }
            (_, Some(lookup)) => four_bits::look_up(&mut editor, node, lookup)?,
            _ => editor.nodes.push(node),
        }
    }
    editor.finish(graph);
    Ok(())
}

/// What is rounded.
struct Plan {
    /// The products, by the place of their nodes.
    products: HashMap<usize, Product>,
    /// The lookups, likewise.
    lookups: HashMap<usize, Lookup>,
    /// Every tensor that is read as a table, rounded or not.
    tables: BTreeSet<String>,
    /// How each table is rounded that is.
    rounded: HashMap<String, Scheme>,
}

impl Plan {
    fn of(graph: &GraphProto, storage: &Storage<'_>) -> Self {
        let lookups = stored::lookups(graph);
        let tables = lookups.iter().map(|it| it.tensor.clone()).collect::<BTreeSet<_>>();
        let scheme = storage.format.tables(storage.tables);
        let chosen = |it: &Lookup| scheme.is_some() && !storage.excludes([&it.name, &it.tensor]);
        let lookups: HashMap<_, _> = lookups.into_iter().filter(chosen).map(|it| (it.node, it)).collect();
        let mut rounded: HashMap<_, _> =
            lookups.values().filter_map(|it| Some((it.tensor.clone(), scheme?))).collect();
        // A table that is multiplied too is stored once: in eight bits for both, or as it is for both.
        let is_free = |it: &Product| {
            !tables.contains(&it.tensor) || (it.transposed && rounded.contains_key(&it.tensor))
        };
        let chosen = |it: &Product| !storage.excludes([&it.name, &it.tensor]) && is_free(it);
        let products = stored::products(graph).into_iter().filter(chosen);
        let products: HashMap<_, _> = products.map(|it| (it.node, it)).collect();
        for product in products.values() {
            if let Some(scheme) = rounded.get_mut(&product.tensor) {
                *scheme = Scheme::Rows(storage.range);
            }
        }
        Plan { products, lookups, tables, rounded }
    }
}

/// Refuses a name to be excluded that means nothing.
fn check_names(graph: &GraphProto, storage: &Storage<'_>) -> Result<(), String> {
    let (products, lookups) = (stored::products(graph), stored::lookups(graph));
    let names: Vec<_> = products.iter().map(|it| [it.name.as_str(), it.tensor.as_str()]).collect();
    let names: Vec<_> =
        names.into_iter().chain(lookups.iter().map(|it| [it.name.as_str(), &*it.tensor])).collect();
    for excluded in storage.exclude {
        let alone = Storage { exclude: std::slice::from_ref(excluded), ..*storage };
        if !names.iter().any(|names| alone.excludes(*names)) {
            let first = names.first().map_or("nothing", |names| names[0]);
            return Err(format!(
                "no matrix or table in it is called `{excluded}`; there are {}, the first being `{first}`",
                names.len()
            ));
        }
    }
    Ok(())
}
#[cfg(test)]
mod tests;
