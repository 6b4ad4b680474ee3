//! The wiring of BERT once more, as nodes of an ONNX graph: padded, with a mask.

use super::Bert;
use crate::batch::Readout;
use crate::export::onnx::{Dim, GraphBuilder, Nodes, Value};
use crate::layers::{
    Embeddings, EncoderLayer, FeedForward, LayerNorm, Linear, SelfAttention, SequenceHead, Squash,
};
use crate::{Arena, Layout, Slot};

/// The shape of the inputs, [B, T].
const TOKENS: [Dim; 2] = [Dim::Named("batch_size"), Dim::Named("sequence_length")];

/// What is added to the score of a padding token: its exponential is zero, and it fits half precision.
const MASKED: f32 = -10_000.0;

/// Adds the whole model to `graph`: inputs `input_ids`, `attention_mask`, `token_type_ids`; output `logits`, [B, C].
///
/// A model with one segment has no `token_type_ids`: there is nothing to tell apart.
/// A linear layer's weight is stored as `MatMul` wants it, [in, out], under its own name and `.T`.
pub(super) fn lower(bert: &Bert, params: &Arena, graph: &mut GraphBuilder) {
    let [ids, mask] = ["input_ids", "attention_mask"].map(|name| graph.int64_input(name, &TOKENS));
    let types = (bert.config.type_vocab_size > 1).then(|| graph.int64_input("token_type_ids", &TOKENS));
    let [heads, width] = [bert.config.num_attention_heads, bert.config.hidden_size];
    let mut root = Lowering { layout: &bert.layout, params, nodes: graph.at("bert") };
    let padding = root.mask(&mask);
    let mut x = root.at("embeddings").embeddings(&bert.embeddings, &ids, types.as_ref());
    let tokens = root.tokens(&ids, padding, [heads, width / heads]);
    for (i, layer) in bert.layers.iter().enumerate() {
        x = root.at(&format!("encoder.layer.{i}")).encoder_layer(
            layer,
            &tokens,
            &x,
            bert.readout(i + 1, &bert.written),
        );
    }
    if bert.readout(bert.layers.len(), &bert.written) == Readout::Every {
        x = root.first_tokens(&tokens, &x);
    }
    let logits = root.at("head").head(&bert.head, &x);
    graph.float_output("logits", &logits, &[TOKENS[0], Dim::Fixed(bert.config.labels.len())]);
}

/// What attention has to know of the tokens that stand in the rows of a matrix.
struct Tokens {
    /// What is added to the score of each, [B, 1, 1, T].
    padding: Value,
    /// The shape of a matrix of all tokens with its texts and heads told apart: the numbers B, T, A, D.
    heads: Value,
    /// The same with its texts told apart: B, T, H.
    texts: Value,
    /// A and D.
    sizes: [usize; 2],
}

/// A place in the graph, and where the numbers come from.
struct Lowering<'a> {
    layout: &'a Layout,
    params: &'a Arena,
    nodes: Nodes<'a>,
}

impl<'a> Lowering<'a> {
    fn at(&mut self, name: &str) -> Lowering<'_> {
        Lowering { layout: self.layout, params: self.params, nodes: self.nodes.at(name) }
    }

    /// Returns what is added to the attention scores, [B, 1, 1, T]: nothing, or [`MASKED`].  `mask`: [B, T].
    fn mask(&mut self, mask: &Value) -> Value {
        let nodes = &mut self.nodes;
        let mask = nodes.cast_to_float(mask);
        let [one, masked] = [1.0, MASKED].map(|value| nodes.graph().float(value));
        let padding = nodes.sub(&one, &mask);
        let scores = nodes.mul(&padding, &masked);
        nodes.unsqueeze(&scores, &[1, 2])
    }

    /// `ids`: [B, T]; `padding`: [B, 1, 1, T]; `sizes`: A and D.
    fn tokens(&mut self, ids: &Value, padding: Value, sizes: [usize; 2]) -> Tokens {
        let nodes = &mut self.nodes;
        let texts = nodes.shape(ids);
        let [heads, width] = sizes.map(|size| size as i64);
        let [split, whole] = [nodes.graph().ints(&[heads, width]), nodes.graph().ints(&[heads * width])];
        let [heads, texts] = [split, whole].map(|sizes| nodes.concat(&[&texts, &sizes], 0));
        Tokens { padding, heads, texts, sizes }
    }

    /// `ids`, `types`: [B, T]; result: [B T, H]. Runtimes refuse a T above the number of positions.
    fn embeddings(&mut self, layer: &Embeddings, ids: &Value, types: Option<&Value>) -> Value {
        let [word, position] = [layer.word, layer.position].map(|table| self.table(table));
        let token_type = layer.token_type.map(|table| self.table(table));
        let positions = self.nodes.positions(ids, 1);
        let word = self.nodes.gather(&word, ids, 0);
        let position = self.nodes.gather(&position, &positions, 0);
        let token_type = token_type.map(|table| match types {
            Some(types) => self.nodes.gather(&table, types, 0),
            None => table,
        });
        let sum = self.nodes.add(&word, &position);
        let sum = token_type.map_or(sum.clone(), |token_type| self.nodes.add(&sum, &token_type));
        let rows = self.nodes.reshape(&sum, &[-1, layer.word.shape()[1] as i64]);
        self.layer_norm(&layer.norm, &rows)
    }

    /// `x`: [B T, H], in which runtimes add the bias of a linear layer along with the product; result: [R, H] for the R
    /// rows that are read out, all of them or one of each text.
    fn encoder_layer(&mut self, layer: &EncoderLayer, tokens: &Tokens, x: &Value, readout: Readout) -> Value {
        let rows = match readout {
            Readout::Every => x.clone(),
            Readout::First => self.first_tokens(tokens, x),
        };
        let a = self.at("attention").self_attention(&layer.attention, tokens, x, &rows, readout);
        let sum = self.nodes.add(&a, &rows);
        let h = self.layer_norm(&layer.attention_norm.norm, &sum);
        let f = self.at("feed_forward").feed_forward(&layer.feed_forward, &h);
        let sum = self.nodes.add(&f, &h);
        self.layer_norm(&layer.output_norm.norm, &sum)
    }

    /// `x`: [B T, H]; result: [B, H].
    fn first_tokens(&mut self, tokens: &Tokens, x: &Value) -> Value {
        let first = self.nodes.graph().int(0);
        let texts = self.nodes.reshape_to(x, &tokens.texts);
        self.nodes.gather(&texts, &first, 1)
    }

    /// `x`: [B T, H]; `rows`, result: [B Q, H] with Q rows of each text; scores and probabilities: [B, A, Q, T].
    fn self_attention(
        &mut self,
        layer: &SelfAttention,
        tokens: &Tokens,
        x: &Value,
        rows: &Value,
        readout: Readout,
    ) -> Value {
        let [heads, size] = tokens.sizes.map(|size| size as i64);
        let q = self.linear("query", &layer.query, rows);
        let k = self.linear("key", &layer.key, x);
        let v = self.linear("value", &layer.value, x);
        let nodes = &mut self.nodes;
        let queries = match readout {
            Readout::Every => tokens.heads.clone(),
            Readout::First => nodes.graph().ints(&[-1, 1, heads, size]),
        };
        let [q, k, v] =
            [(q, &queries, [0, 2, 1, 3]), (k, &tokens.heads, [0, 2, 3, 1]), (v, &tokens.heads, [0, 2, 1, 3])]
                .map(|(x, shape, order)| {
                    let x = nodes.reshape_to(&x, shape);
                    nodes.transpose(&x, &order)
                });
        let scale = nodes.graph().float((size as f32).sqrt());
        let scores = nodes.matmul(&q, &k);
        let scores = nodes.div(&scores, &scale);
        let scores = nodes.add(&scores, &tokens.padding);
        let probs = nodes.softmax(&scores);
        let context = nodes.matmul(&probs, &v);
        let context = nodes.transpose(&context, &[0, 2, 1, 3]);
        let context = nodes.reshape(&context, &[-1, heads * size]);
        self.linear("output", &layer.output, &context)
    }

    fn feed_forward(&mut self, layer: &FeedForward, x: &Value) -> Value {
        let x = self.linear("intermediate", &layer.intermediate, x);
        let x = self.nodes.gelu(&x);
        self.linear("output", &layer.output, &x)
    }

    /// `x`: the first tokens, [B, H]; result: [B, C].
    fn head(&mut self, head: &SequenceHead, x: &Value) -> Value {
        let pooled = self.linear("pooler", &head.pooler, x);
        let pooled = match head.squash {
            Squash::Tanh => self.nodes.tanh(&pooled),
            Squash::Relu => self.nodes.relu(&pooled),
        };
        self.linear("classifier", &head.classifier, &pooled)
    }

    fn linear(&mut self, name: &str, layer: &Linear, x: &Value) -> Value {
        let mut here = self.at(name);
        let name = format!("{}.T", here.name(layer.weight));
        let weight = here.nodes.graph().initializer(&name, here.params.matrix(layer.weight).t());
        let bias = here.vector(layer.bias);
        let y = here.nodes.matmul(x, &weight);
        here.nodes.add(&y, &bias)
    }

    fn layer_norm(&mut self, layer: &LayerNorm, x: &Value) -> Value {
        let (weight, bias) = (self.vector(layer.weight), self.vector(layer.bias));
        self.nodes.layer_norm(x, &weight, &bias, layer.epsilon as f32)
    }

    fn table(&mut self, slot: Slot<2>) -> Value {
        let name = self.name(slot);
        self.nodes.graph().initializer(name, self.params.matrix(slot))
    }

    fn vector(&mut self, slot: Slot<1>) -> Value {
        let name = self.name(slot);
        self.nodes.graph().initializer(name, self.params.vector(slot))
    }

    fn name<const R: usize>(&self, slot: Slot<R>) -> &'a str {
        let row = self.layout.entries().iter().find(|entry| entry.range() == slot.range());
        &row.expect("a slot of the model stands in its layout").name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Architecture;
    use crate::bert::BertConfig;
    use crate::export::onnx::proto::GraphProto;
    use std::collections::{BTreeMap, BTreeSet};

    fn graph(num_hidden_layers: usize) -> (Bert, GraphProto) {
        let config = BertConfig {
            vocab_size: 5,
            hidden_size: 52,
            num_hidden_layers,
            num_attention_heads: 2,
            intermediate_size: 3,
            max_position_embeddings: 4,
            labels: vec!["score".into()],
            ..BertConfig::default()
        };
        let bert = Bert::new(config).unwrap();
        let mut graph = GraphBuilder::default();
        bert.lower(&Arena::zeros(bert.layout()), &mut graph);
        (bert, graph.finish(&BTreeMap::new()).graph.unwrap())
    }

    fn operators(graph: &GraphProto) -> BTreeMap<&str, i32> {
        let mut counts = BTreeMap::new();
        graph.node.iter().for_each(|node| *counts.entry(node.op_type.as_str()).or_default() += 1);
        counts
    }

    #[test]
    fn a_model_is_made_of_the_expected_operators() {
        let [(_, one), (_, two)] = [1, 2].map(graph);
        let mut expected = BTreeMap::from([
            ("Add", 14),
            ("Cast", 1),
            ("Concat", 2),
            ("Div", 2),
            ("Erf", 1),
            ("Gather", 4),
            ("LayerNormalization", 3),
            ("MatMul", 10),
            ("Mul", 3),
            ("Range", 1),
            ("Reshape", 6),
            ("Shape", 2),
            ("Softmax", 1),
            ("Squeeze", 1),
            ("Sub", 1),
            ("Tanh", 1),
            ("Transpose", 4),
            ("Unsqueeze", 1),
        ]);
        assert_eq!(operators(&one), expected);
        for (operator, more) in [
            ("Add", 10),
            ("Div", 2),
            ("Erf", 1),
            ("LayerNormalization", 2),
            ("MatMul", 8),
            ("Mul", 2),
            ("Reshape", 4),
            ("Softmax", 1),
            ("Transpose", 4),
        ] {
            *expected.get_mut(operator).unwrap() += more;
        }
        assert_eq!(operators(&two), expected);
    }

    #[test]
    fn a_graph_that_is_written_whole_has_the_same_operators() {
        let (bert, plain) = graph(2);
        let bert = bert.written_whole();
        let mut graph = GraphBuilder::default();
        bert.lower(&Arena::zeros(bert.layout()), &mut graph);
        let whole = graph.finish(&BTreeMap::new()).graph.unwrap();
        assert_eq!(operators(&whole), operators(&plain));
        assert_ne!(whole.node, plain.node);
    }

    #[test]
    fn every_tensor_is_stored_once_and_every_node_uses_what_comes_before_it() {
        let (bert, graph) = graph(2);
        let mut names: BTreeSet<_> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names.len(), graph.initializer.len());
        for entry in bert.layout().entries() {
            let (plain, turned) = (entry.name.as_str(), format!("{}.T", entry.name));
            assert!(names.contains(plain) != names.contains(turned.as_str()), "{plain}");
        }
        names.extend(graph.input.iter().map(|input| input.name.as_str()));
        for node in &graph.node {
            assert!(node.input.iter().all(|input| names.contains(input.as_str())), "{node:?}");
            assert!(names.insert(&node.output[0]), "{node:?}");
        }
        assert_eq!(graph.output[0].name, graph.node.last().unwrap().output[0]);
    }
}
