//! Where in a graph a signal is found, and how its numbers stand there.

use std::fmt;

/// An axis of a tensor with heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    Sequence,
    Head,
    Token,
    /// A feature of a head.
    Feature,
}

/// How a row for each token stands in a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[B, T, P H]` or `[B T, P H]`: the row is one of P parts of the last axis.
    Rows {
        /// Which, from 0.
        part: usize,
        /// P.
        parts: usize,
    },
    /// Four axes in some order.
    Heads([Axis; 4]),
}

impl Layout {
    /// `[B, T, H]`.
    pub(crate) const WHOLE: Layout = Layout::Rows { part: 0, parts: 1 };
}

/// A signal with a row for each token.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// A tensor of the graph.
    Tensor { name: String, layout: Layout },
    /// `x + b`, which the graph computes inside a fused node; `b` is one of three parts of a vector.
    Shifted { x: String, vector: String, part: usize, width: usize },
    /// One of three parts of `x W + b`, which the graph computes inside a fused node.
    Projected { x: String, weight: String, bias: Option<String>, part: usize },
}

/// The scores of a layer.
#[derive(Debug, Clone, PartialEq)]
pub enum Scores {
    /// A tensor of the graph, `[B, A, T, T]` or `[B A, T, T]`.
    Tensor(String),
    /// `Q Kᵀ · scale + bias`, which the graph computes inside a fused node; without a scale it is `1 / sqrt(D)`.
    Product { scale: Option<f32>, bias: Option<String> },
}

/// A signal, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding<S>(pub(crate) Result<S, String>);

/// A place in a graph, or a way to compute what the graph keeps for itself.
pub trait Site: fmt::Display {
    /// Says whether it is computed once more, beside the graph.
    fn is_computed(&self) -> bool;
}

impl<S: Site> Finding<S> {
    /// Says in a word whether there is such a signal: `yes`, `computed` (once more, beside the graph) or `no`.
    pub fn how(&self) -> &'static str {
        match &self.0 {
            Ok(site) if site.is_computed() => "computed",
            Ok(_) => "yes",
            Err(_) => "no",
        }
    }
}

impl<S> Finding<S> {
    /// Says why there is no such signal, where there is none.
    pub fn missing(&self) -> Option<&str> {
        self.0.as_ref().err().map(String::as_str)
    }
}

impl<S: fmt::Display> fmt::Display for Finding<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(site) => site.fmt(f),
            Err(reason) => f.write_str(reason),
        }
    }
}

impl Site for Rows {
    fn is_computed(&self) -> bool {
        !matches!(self, Rows::Tensor { .. })
    }
}

impl Site for Scores {
    fn is_computed(&self) -> bool {
        !matches!(self, Scores::Tensor(_))
    }
}

/// A tensor by its name.
impl Site for String {
    fn is_computed(&self) -> bool {
        false
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rows::Tensor { name, layout: Layout::Rows { part, parts } } if *parts > 1 => {
                write!(f, "`{name}`, part {} of {parts}", part + 1)
            }
            Rows::Tensor { name, .. } => write!(f, "`{name}`"),
            Rows::Shifted { x, vector, .. } => write!(f, "computed: `{x}` + `{vector}`"),
            Rows::Projected { x, weight, .. } => write!(f, "computed: `{x}` times `{weight}`"),
        }
    }
}

impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scores::Tensor(name) => write!(f, "`{name}`"),
            Scores::Product { bias: None, .. } => f.write_str("computed from query and key"),
            Scores::Product { bias: Some(bias), .. } => {
                write!(f, "computed from query, key and `{bias}`")
            }
        }
    }
}
