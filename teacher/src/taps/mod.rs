//! Draws hidden states, attention scores, queries, keys and values out of an ordinary BERT graph.
//!
//! Such a graph gives out its logits alone, but computes the rest on the way. So it is read, without its weights, and
//! its layers are recognised by how they hang together, not by names; then the tensors asked for become outputs of a
//! copy in memory. The file is never touched. Data flows one way:
//!
//! - `topology` reads the nodes, `graph` traces what flows where,
//! - `norms`, `attention`, `fused` and `projection` recognise the parts of a layer,
//! - `anatomy` strings them together, and says where each signal is (`site`) or why it is not there,
//! - `plan` turns what is asked for into new outputs (`tail`),
//! - `pack` takes the real tokens out of what comes back.

mod anatomy;
mod attention;
mod fused;
mod graph;
mod norms;
mod pack;
mod plan;
mod projection;
mod signals;
mod site;
mod tail;
#[cfg(test)]
mod tests;
mod topology;

pub use anatomy::{Anatomy, Layer};
pub(crate) use pack::Misfit;
pub(crate) use plan::Plan;
pub use signals::Signals;
pub(crate) use signals::{LayerScores, Places};
pub use site::{Finding, Site};

/// Which inner tensors are asked for.
///
/// Layers count from 1. Hidden state 0 is what the first layer reads, as in Hugging Face's `hidden_states`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taps {
    /// Hidden states, 0 to L.
    pub hidden: Vec<usize>,
    /// Attention scores, of layers 1 to L.
    pub scores: Vec<usize>,
    /// Queries, keys and values, of layers 1 to L.
    pub qkv: Vec<usize>,
}

/// What a layer can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Hidden,
    Scores,
    Query,
    Key,
    Value,
}

impl Signal {
    /// Names the signal of a layer.
    fn of_layer(self, layer: usize) -> String {
        match self {
            Signal::Hidden => format!("hidden state {layer}"),
            Signal::Scores => format!("attention scores in layer {layer}"),
            Signal::Query => format!("queries in layer {layer}"),
            Signal::Key => format!("keys in layer {layer}"),
            Signal::Value => format!("values in layer {layer}"),
        }
    }
}
