//! What is laid behind a model to make its inner tensors outputs.
//!
//! A message that occurs twice in protocol buffers is merged, its lists one after the other: a model followed by a small
//! one that has nothing but outputs, and nodes for what must be computed once more, is the model with these. So no
//! weight is parsed or written.

use crate::protobuf::{put, put_number};

/// Nodes and outputs to be added to a graph.
#[derive(Debug, Default)]
pub(super) struct Tail {
    graph: Vec<u8>,
}

impl Tail {
    /// Adds an output, whose type the runtime infers.
    pub fn output(&mut self, name: &str) {
        let mut info = Vec::new();
        put(&mut info, 1, name.as_bytes());
        put(&mut self.graph, 12, &info);
    }

    /// Adds a node with one output, named after it.
    pub fn node(&mut self, op: &str, inputs: &[&str], output: &str) {
        let node = node(op, inputs, output);
        put(&mut self.graph, 1, &node);
    }

    /// Adds a vector of whole numbers.
    pub fn ints(&mut self, values: impl ExactSizeIterator<Item = i64>, output: &str) {
        const INT64: u64 = 7;
        const TENSOR: u64 = 4;
        let (mut tensor, mut attribute) = (Vec::new(), Vec::new());
        put_number(&mut tensor, 1, values.len() as u64);
        put_number(&mut tensor, 2, INT64);
        put(&mut tensor, 9, &values.flat_map(i64::to_le_bytes).collect::<Vec<_>>());
        put(&mut attribute, 1, b"value");
        put(&mut attribute, 5, &tensor);
        put_number(&mut attribute, 20, TENSOR);
        let mut node = node("Constant", &[], output);
        put(&mut node, 5, &attribute);
        put(&mut self.graph, 1, &node);
    }

    /// Returns the bytes to be laid behind the model's; none where nothing was added.
    pub fn finish(self) -> Vec<u8> {
        let mut model = Vec::new();
        if !self.graph.is_empty() {
            put(&mut model, 7, &self.graph);
        }
        model
    }
}

fn node(op: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let mut node = Vec::new();
    inputs.iter().for_each(|input| put(&mut node, 1, input.as_bytes()));
    put(&mut node, 2, output.as_bytes());
    put(&mut node, 3, output.as_bytes());
    put(&mut node, 4, op.as_bytes());
    node
}
