//! Which tensors a graph must give out for the signals asked for, and what is read from each.

use std::collections::HashMap;

use super::anatomy::{Anatomy, Layer};
use super::site::{Finding, Layout, Rows, Scores};
use super::tail::Tail;
use super::{Signal, Taps};
use crate::Error;

/// Values that are computed for a tap are named so.
const PREFIX: &str = "distill.tap";

/// What is promoted and read; the default is nothing.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// What is laid behind the model's bytes.
    pub tail: Vec<u8>,
    /// The tensors to ask for.
    pub outputs: Vec<String>,
    /// The signals with a row for each token: hidden states, then queries, keys and values of each layer.
    pub rows: Vec<RowsPlan>,
    /// The scores of each layer asked for.
    pub scores: Vec<ScoresPlan>,
    /// How many of `rows` are hidden states.
    pub num_hidden: usize,
    /// H.
    pub hidden_size: usize,
}

/// A signal with a row for each token: which output has it, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowsPlan {
    pub output: usize,
    pub layout: Layout,
}

/// The scores of a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ScoresPlan {
    /// An output has them.
    Tensor { output: usize },
    /// They are computed from queries and keys in so many heads.
    Product { query: RowsPlan, key: RowsPlan, heads: Option<usize>, scale: Option<f32>, bias: Option<usize> },
}

impl Plan {
    /// Plans what was asked for; `graph` is what errors call the graph, and `given` are the outputs it has.
    ///
    /// # Errors
    /// Where a layer does not exist, or does not say what is asked of it.
    pub fn new(
        graph: &str,
        anatomy: &Anatomy,
        taps: &Taps,
        given: impl Iterator<Item = String>,
    ) -> Result<Plan, Error> {
        let mut planner = Planner {
            graph,
            anatomy,
            tail: Tail::default(),
            outputs: Vec::new(),
            known: given.map(|name| (name, None)).collect(),
        };
        let mut rows = taps.hidden.iter().map(|&i| planner.hidden(i)).collect::<Result<Vec<_>, _>>()?;
        for &i in &taps.qkv {
            for signal in [Signal::Query, Signal::Key, Signal::Value] {
                rows.push(planner.projection(signal, i)?);
            }
        }
        let scores = taps.scores.iter().map(|&i| planner.scores(i)).collect::<Result<_, _>>()?;
        Ok(Plan {
            tail: planner.tail.finish(),
            outputs: planner.outputs,
            rows,
            scores,
            num_hidden: taps.hidden.len(),
            hidden_size: anatomy.hidden_size.unwrap_or(0),
        })
    }
}

struct Planner<'a> {
    graph: &'a str,
    anatomy: &'a Anatomy,
    tail: Tail,
    outputs: Vec<String>,
    /// Values that the graph gives out or that were computed, and as which of the outputs they are asked for.
    known: HashMap<String, Option<usize>>,
}

impl<'a> Planner<'a> {
    fn hidden(&mut self, number: usize) -> Result<RowsPlan, Error> {
        let anatomy = self.anatomy;
        let finding = match number {
            0 => &anatomy.embeddings,
            _ => &self.layer(Signal::Hidden, number)?.hidden,
        };
        self.rows(Signal::Hidden, number, finding)
    }

    fn projection(&mut self, signal: Signal, number: usize) -> Result<RowsPlan, Error> {
        let layer = self.layer(signal, number)?;
        let finding = match signal {
            Signal::Query => &layer.qkv[0],
            Signal::Key => &layer.qkv[1],
            _ => &layer.qkv[2],
        };
        self.rows(signal, number, finding)
    }

    fn scores(&mut self, number: usize) -> Result<ScoresPlan, Error> {
        let layer = self.layer(Signal::Scores, number)?;
        match self.found(Signal::Scores, number, &layer.scores)? {
            Scores::Tensor(name) => Ok(ScoresPlan::Tensor { output: self.output(name) }),
            Scores::Product { scale, bias } => {
                let query = self.projection(Signal::Query, number)?;
                let key = self.projection(Signal::Key, number)?;
                let heads = layer.num_heads;
                let split = |rows: RowsPlan| matches!(rows.layout, Layout::Heads(_));
                if heads.is_none() && !(split(query) && split(key)) {
                    return Err(self.no_tap(
                        Signal::Scores,
                        number,
                        "the graph does not say into how many heads",
                    ));
                }
                let bias = bias.as_ref().map(|bias| self.output(bias));
                Ok(ScoresPlan::Product { query, key, heads, scale: *scale, bias })
            }
        }
    }

    /// Plans a signal with a row for each token, with nodes where it has to be computed once more.
    fn rows(&mut self, signal: Signal, number: usize, finding: &'a Finding<Rows>) -> Result<RowsPlan, Error> {
        let site = self.found(signal, number, finding)?;
        if self.anatomy.hidden_size.is_none() {
            return Err(self.no_tap(signal, number, "the graph does not store its width"));
        }
        Ok(match site {
            Rows::Tensor { name, layout } => RowsPlan { output: self.output(name), layout: *layout },
            Rows::Shifted { x, vector, part, width } => {
                let sum = format!("{PREFIX}/{x}/{part}");
                if !self.known.contains_key(&sum) {
                    let (indices, bias) = (format!("{sum}/indices"), format!("{sum}/bias"));
                    let range = (part * width) as i64..((part + 1) * width) as i64;
                    self.tail.ints(range.collect::<Vec<_>>().into_iter(), &indices);
                    self.tail.node("Gather", &[vector, &indices], &bias);
                    self.tail.node("Add", &[x, &bias], &sum);
                }
                RowsPlan { output: self.output(&sum), layout: Layout::WHOLE }
            }
            Rows::Projected { x, weight, bias, part } => {
                let product = format!("{PREFIX}/{x}/{weight}");
                let sum = bias.as_ref().map_or_else(|| product.clone(), |_| format!("{product}/sum"));
                if !self.known.contains_key(&sum) {
                    self.tail.node("MatMul", &[x, weight], &product);
                    bias.iter().for_each(|bias| self.tail.node("Add", &[&product, bias], &sum));
                }
                RowsPlan { output: self.output(&sum), layout: Layout::Rows { part: *part, parts: 3 } }
            }
        })
    }

    /// Returns the number of the output with this name, which becomes one if it is none.
    fn output(&mut self, name: &str) -> usize {
        let known = self.known.get(name).copied();
        if let Some(Some(number)) = known {
            return number;
        }
        if known.is_none() {
            self.tail.output(name);
        }
        self.outputs.push(name.to_owned());
        self.known.insert(name.to_owned(), Some(self.outputs.len() - 1));
        self.outputs.len() - 1
    }

    fn layer(&self, signal: Signal, number: usize) -> Result<&'a Layer, Error> {
        let anatomy = self.anatomy;
        if let (true, Some(reason)) = (anatomy.layers.is_empty(), anatomy.embeddings.missing()) {
            return Err(self.no_tap(signal, number, reason));
        }
        number.checked_sub(1).and_then(|index| anatomy.layers.get(index)).ok_or_else(|| Error::NoSuchLayer {
            graph: self.graph.to_owned(),
            signal: signal.of_layer(number),
            layers: anatomy.layers.len(),
            ending: anatomy.ending.clone(),
        })
    }

    fn found<S>(&self, signal: Signal, number: usize, finding: &'a Finding<S>) -> Result<&'a S, Error> {
        finding.0.as_ref().map_err(|reason| self.no_tap(signal, number, reason))
    }

    /// Returns what there is instead.
    fn instead(&self) -> Vec<String> {
        let there = self.anatomy.taps().into_iter().filter(|(_, layers)| !layers.is_empty());
        there.map(|(kind, layers)| format!("{kind} of {}", ranges(&layers))).collect()
    }

    fn no_tap(&self, signal: Signal, layer: usize, reason: &str) -> Error {
        Error::NoTap {
            graph: self.graph.to_owned(),
            signal: signal.of_layer(layer),
            reason: reason.to_owned(),
            instead: self.instead(),
        }
    }
}

/// Writes ascending numbers with what is contiguous drawn together.
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let run = |run: &[usize]| match run {
        [first, .., last] => format!("{first} to {last}"),
        _ => run[0].to_string(),
    };
    runs.map(run).collect::<Vec<_>>().join(", ")
}
