//! The layers of a BERT, told apart by their wiring alone.
//!
//! From the normalisation of the embeddings the walk goes from one part that holds weights to the next: three linear
//! layers that meet in attention, one after it, a normalisation, two linear layers, a normalisation, and again.

use super::graph::{Constant, Graph};
use super::parts::{Linear, Norm};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Returns the tensors of the model by name.
///
/// # Errors
/// Says where the wiring is not that of a BERT.
pub fn trace<'a>(
    graph: &Graph<'a>,
    linears: &[Linear<'a>],
    norms: &[Norm<'a>],
) -> Result<Vec<(String, Constant<'a>)>, String> {
    let by_node = linears.iter().enumerate().map(|(i, linear)| (linear.node, i)).collect();
    let by_output = norms.iter().enumerate().map(|(i, norm)| (norm.output, i)).collect();
    let mut walk = Walk { graph, linears, norms, by_node, by_output, found: Vec::new() };
    walk.bert()?;
    Ok(walk.found)
}

struct Walk<'g, 'a> {
    graph: &'g Graph<'a>,
    linears: &'g [Linear<'a>],
    norms: &'g [Norm<'a>],
    by_node: HashMap<usize, usize>,
    by_output: HashMap<&'a str, usize>,
    found: Vec<(String, Constant<'a>)>,
}

/// The parts that a value reaches before any other part, and the operators on the way.
#[derive(Default)]
struct Reach<'a> {
    linears: BTreeSet<usize>,
    norms: BTreeSet<usize>,
    operators: BTreeSet<&'a str>,
}

impl<'g, 'a> Walk<'g, 'a> {
    fn bert(&mut self) -> Result<(), String> {
        let norm = self.norms.first().ok_or("it has no layer normalisation")?;
        self.embeddings(norm)?;
        let mut x = norm.output;
        for layer in 0..self.norms.len() {
            let projections = self.reach(x).linears;
            if projections.len() != 3 {
                return if layer == 0 {
                    let found = projections.len();
                    Err(format!("{found} linear layers read the embeddings instead of query, key and value"))
                } else {
                    self.head(x, &projections)
                };
            }
            x = self.layer(&format!("bert.encoder.layer.{layer}"), &projections)?;
        }
        Err("it goes round in circles".into())
    }

    /// The three tables are told apart by their number of rows: words, positions, segments.
    fn embeddings(&mut self, norm: &'g Norm<'a>) -> Result<(), String> {
        let mut tables = self.tables_before(norm.input);
        tables.sort_by_key(|table| std::cmp::Reverse(table.tensor.dims[0]));
        let [words, positions, segments] = tables[..] else {
            return Err(format!("{} tables make up the embeddings instead of three", tables.len()));
        };
        for (name, table) in [("word", words), ("position", positions), ("token_type", segments)] {
            self.found.push((format!("bert.embeddings.{name}_embeddings.weight"), table));
        }
        self.name_norm("bert.embeddings.LayerNorm", norm);
        Ok(())
    }

    /// Names the parts of one encoder layer and returns its output.
    fn layer(&mut self, stem: &str, projections: &BTreeSet<usize>) -> Result<&'a str, String> {
        let [query, key, value] = self.roles(projections).ok_or_else(|| {
            format!("the three projections before `{stem}` do not meet as query, key and value")
        })?;
        let dense = self.next_linear(query.output, stem)?;
        let attention_norm = self.next_norm(dense.output, stem)?;
        let intermediate = self.next_linear(attention_norm.output, stem)?;
        let output = self.next_linear(intermediate.output, stem)?;
        let output_norm = self.next_norm(output.output, stem)?;
        for (name, linear) in [
            ("attention.self.query", query),
            ("attention.self.key", key),
            ("attention.self.value", value),
            ("attention.output.dense", dense),
            ("intermediate.dense", intermediate),
            ("output.dense", output),
        ] {
            self.name_linear(&format!("{stem}.{name}"), linear);
        }
        self.name_norm(&format!("{stem}.attention.output.LayerNorm"), attention_norm);
        self.name_norm(&format!("{stem}.output.LayerNorm"), output_norm);
        Ok(output_norm.output)
    }

    /// Names the pooler, which a hyperbolic tangent follows, and the classifier, as far as there are any.
    fn head(&mut self, x: &str, linears: &BTreeSet<usize>) -> Result<(), String> {
        let Some(&first) = linears.first() else { return Ok(()) };
        let first = &self.linears[first];
        let after = self.reach(first.output);
        match (linears.len(), after.operators.contains("Tanh"), after.linears.len()) {
            (1, true, 0) => self.name_linear("bert.pooler.dense", first),
            (1, true, 1) => {
                self.name_linear("bert.pooler.dense", first);
                self.name_linear("classifier", self.next_linear(first.output, "classifier")?);
            }
            (1, false, 0) => self.name_linear("classifier", first),
            _ => return Err(format!("after the last layer, `{x}` is not read by a pooler or a classifier")),
        }
        Ok(())
    }

    /// Tells query, key and value apart: query and key meet, the query on the left; the value meets their product.
    fn roles(&self, projections: &BTreeSet<usize>) -> Option<[&'g Linear<'a>; 3]> {
        let products: Vec<_> = projections
            .iter()
            .map(|&i| Some((&self.linears[i], self.first_product(self.linears[i].output)?)))
            .collect::<Option<_>>()?;
        let (query, (scores, _)) = products.iter().find(|(_, (_, operand))| *operand == 0)?;
        let (key, _) = products.iter().find(|(_, (node, operand))| node == scores && *operand == 1)?;
        let (value, _) = products.iter().find(|(_, (node, operand))| node != scores && *operand == 1)?;
        Some([query, key, value])
    }

    /// Returns the first product of two computed matrices that `value` goes into, and as which operand.
    fn first_product(&self, value: &'a str) -> Option<(usize, usize)> {
        let mut product = None;
        self.follow(value, |i, value| {
            let node = &self.graph.nodes[i];
            let is_product =
                matches!(&*node.op_type, "MatMul" | "FusedMatMul") && !self.by_node.contains_key(&i);
            if is_product && product.is_none() {
                product = node.input.iter().position(|input| input == value).map(|operand| (i, operand));
            }
            product.is_none()
        });
        product
    }

    fn next_linear(&self, value: &'a str, stem: &str) -> Result<&'g Linear<'a>, String> {
        let linears = self.reach(value).linears;
        match (linears.first(), linears.len()) {
            (Some(&i), 1) => Ok(&self.linears[i]),
            (_, found) => Err(format!("in `{stem}`, {found} linear layers follow `{value}` instead of one")),
        }
    }

    fn next_norm(&self, value: &'a str, stem: &str) -> Result<&'g Norm<'a>, String> {
        let norms = self.reach(value).norms;
        match (norms.first(), norms.len()) {
            (Some(&i), 1) => Ok(&self.norms[i]),
            (_, found) => Err(format!("in `{stem}`, {found} normalisations follow `{value}` instead of one")),
        }
    }

    fn reach(&self, value: &'a str) -> Reach<'a> {
        let mut reach = Reach::default();
        self.follow(value, |i, _| {
            let node = &self.graph.nodes[i];
            let norm = node.output.first().and_then(|output| self.by_output.get(output.as_str()));
            match (self.by_node.get(&i), norm) {
                (Some(&linear), _) => reach.linears.insert(linear),
                (_, Some(&norm)) => reach.norms.insert(norm),
                _ => {
                    reach.operators.insert(&node.op_type);
                    return true;
                }
            };
            false
        });
        reach
    }

    /// Visits the nodes that `value` flows into, nearest first; `visit` gets a node and the input by which it was
    /// reached, and says whether to go on behind it.
    fn follow(&self, value: &'a str, mut visit: impl FnMut(usize, &'a str) -> bool) {
        let (mut queue, mut seen) = (std::collections::VecDeque::from([value]), HashSet::new());
        while let Some(value) = queue.pop_front() {
            for &i in self.graph.consumers(value) {
                // A shape carries no numbers on, though it leads everywhere.
                let node = &self.graph.nodes[i];
                if node.op_type != "Shape" && seen.insert(i) && visit(i, value) {
                    queue.extend(node.output.iter().map(String::as_str));
                }
            }
        }
    }

    /// Returns the constant matrices that rows are taken from to compute `value`.
    fn tables_before(&self, value: &'a str) -> Vec<Constant<'a>> {
        let (mut stack, mut seen, mut tables) = (vec![value], HashSet::new(), Vec::new());
        while let Some(value) = stack.pop() {
            let Some(node) = self.graph.producer(value) else { continue };
            match (node.op_type.as_str(), self.graph.constant_input(node, 0, 2)) {
                ("Gather" | "Slice", Some(table)) => tables.push(table),
                ("Gather" | "Slice", None) => {}
                _ => stack.extend(node.input.iter().map(String::as_str).filter(|value| seen.insert(*value))),
            }
        }
        tables
    }

    fn name_linear(&mut self, stem: &str, linear: &Linear<'a>) {
        self.found.push((format!("{stem}.weight"), linear.weight));
        self.found.extend(linear.bias.map(|bias| (format!("{stem}.bias"), bias)));
    }

    fn name_norm(&mut self, stem: &str, norm: &Norm<'a>) {
        self.found.extend([(format!("{stem}.weight"), norm.scale), (format!("{stem}.bias"), norm.shift)]);
    }
}
