//! What the graphs look like; what they say is compared under ONNX Runtime in the tests of the workspace.

use super::*;
use crate::bert::{Bert, BertConfig};
use crate::export::onnx::GraphBuilder;
use crate::export::onnx::proto::{DataType, NodeProto, TensorProto};
use crate::init::random;
use crate::{Architecture, Arena};

fn bert(num_hidden_layers: usize) -> (Bert, Arena) {
    let config = BertConfig {
        vocab_size: 100,
        hidden_size: 48,
        num_hidden_layers,
        num_attention_heads: 2,
        intermediate_size: 96,
        max_position_embeddings: 20,
        ..BertConfig::default()
    };
    let bert = Bert::new(config).unwrap();
    let params = random(bert.layout(), 0.3, 1);
    (bert, params)
}

fn lowered(num_hidden_layers: usize) -> Model {
    let (bert, params) = bert(num_hidden_layers);
    Model::lower(&bert, &params, &BTreeMap::new()).unwrap()
}

fn stored(model: &Model, format: Format) -> GraphProto {
    model.stored_as(&Storage::of(format)).unwrap().proto.graph.unwrap()
}

fn operators(graph: &GraphProto) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    graph.node.iter().for_each(|node| *counts.entry(node.op_type.as_str()).or_default() += 1);
    counts
}

/// Checks that every value is made before it is used, every name given once, and nothing stored in vain.
fn check(graph: &GraphProto) {
    let mut known: BTreeSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(known.len(), graph.initializer.len(), "two tensors share a name");
    let mut used = BTreeSet::new();
    known.extend(graph.input.iter().map(|input| input.name.as_str()));
    for node in &graph.node {
        assert!(node.input.iter().all(|input| known.contains(input.as_str())), "{node:?}");
        used.extend(node.input.iter().map(String::as_str));
        assert!(node.output.iter().all(|output| known.insert(output)), "{node:?}");
    }
    assert!(graph.output.iter().all(|output| known.contains(output.name.as_str())));
    assert!(graph.initializer.iter().all(|tensor| used.contains(tensor.name.as_str())));
}

#[test]
fn every_format_makes_a_graph_in_order_without_leftovers() {
    let model = lowered(2);
    for format in Format::ALL {
        let graph = stored(&model, format);
        check(&graph);
        assert_eq!(graph.input, model.proto.graph.as_ref().unwrap().input, "{format}");
        assert_eq!(graph.output, model.proto.graph.as_ref().unwrap().output, "{format}");
    }
}

#[test]
fn queries_keys_and_values_are_one_product_and_an_activation_is_rounded_once() {
    let graph = stored(&lowered(2), Format::Int8);
    let count = operators(&graph);
    // Layer 0: qkv, output, two of the feed-forward block. Layer 1: q of one row, kv. The pooler; not the classifier.
    assert_eq!((count["MatMulInteger"], count["DynamicQuantizeLinear"], count["Split"]), (4 + 5 + 1, 10, 2));
    assert_eq!(count["MatMul"], 2 * 2 + 1);
    let packed = graph.initializer.iter().find(|tensor| tensor.dims == [48, 3 * 48]).unwrap();
    assert_eq!((packed.data_type(), packed.raw_data.len()), (DataType::Int8, 48 * 3 * 48));
}

#[test]
fn sizes_fall_with_the_bits() {
    let model = lowered(3);
    let sizes = Format::ALL.map(|format| model.stored_as(&Storage::of(format)).unwrap().num_bytes());
    assert!(sizes.windows(2).all(|pair| pair[1] < pair[0]), "{sizes:?}");
    let tables = |format| {
        let graph = stored(&model, format);
        graph.initializer.into_iter().filter(|tensor| tensor.name.contains("embeddings.weight")).count()
    };
    assert_eq!((tables(Format::Int8), tables(Format::Int8Embeddings)), (3, 4));
    for format in [Format::Int8Embeddings, Format::Int4] {
        let [eight, four] = [TableBits::Eight, TableBits::Four]
            .map(|tables| model.stored_as(&Storage { tables, ..Storage::of(format) }).unwrap());
        let graph = four.proto.graph.as_ref().unwrap();
        check(graph);
        // 100 rows of 48 numbers, one scale each as in eight bits.
        let words = graph.initializer.iter().find(|tensor| tensor.dims == [100, 48]).unwrap();
        assert_eq!((words.data_type(), words.raw_data.len()), (DataType::Int4, 100 * 48 / 2), "{format}");
        assert_eq!(operators(graph)["GatherBlockQuantized"], 1, "{format}");
        assert!(four.num_bytes() < eight.num_bytes() - 2000, "{format}");
        assert!(four.proto.opset_import.iter().any(|set| set.domain == "com.microsoft"), "{format}");
    }
}

#[test]
fn what_is_excluded_stays_as_it_is() {
    let model = lowered(2);
    let exclude = |names: &[&str]| {
        let exclude: Vec<String> = names.iter().map(ToString::to_string).collect();
        model.stored_as(&Storage { exclude: &exclude, ..Storage::of(Format::Int8Embeddings) })
    };
    let layer = exclude(&["bert.encoder.layer.0"]).unwrap().proto.graph.unwrap();
    check(&layer);
    assert_eq!(operators(&layer)["MatMulInteger"], 6);
    let query = exclude(&["bert.encoder.layer.0.attention.self.query"]).unwrap().proto.graph.unwrap();
    assert_eq!(operators(&query)["MatMulInteger"], 10);
    assert!(query.initializer.iter().any(|tensor| tensor.name.ends_with("0.attention.self.query.weight.T")));
    let words = exclude(&["bert.embeddings.word_embeddings.weight"]).unwrap().proto.graph.unwrap();
    assert!(
        words
            .initializer
            .iter()
            .any(|tensor| tensor.dims == [100, 48] && tensor.data_type() == DataType::Float)
    );
    let all = exclude(&model.roundable().iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert_eq!(all.proto, model.proto);
    for unknown in ["bert.encoder.layer", "bert.encoder.layer.0.att", "", "x"] {
        let found = exclude(&[unknown]);
        assert_eq!(found.is_ok(), unknown == "bert.encoder.layer", "{unknown}");
    }
}

#[test]
fn names_of_what_can_be_rounded_are_those_of_the_checkpoint() {
    let names = lowered(1).roundable();
    assert_eq!(names[0], "bert.embeddings.word_embeddings.weight");
    assert_eq!(names.last().unwrap(), "bert.pooler.dense.weight");
    assert_eq!(names.len(), 1 + 6 + 1);
}

fn tensor(name: &str, dims: &[i64]) -> TensorProto {
    let count = dims.iter().product::<i64>() as usize;
    let numbers = (0..count).flat_map(|i| ((i % 37) as f32 - 18.0).to_le_bytes()).collect::<Vec<u8>>();
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: DataType::Float.into(),
        raw_data: numbers.into(),
        ..TensorProto::default()
    }
}

fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: operator.into(),
        input: inputs.iter().map(ToString::to_string).collect(),
        output: vec![output.into()],
        name: output.into(),
        ..NodeProto::default()
    }
}

/// A model with these nodes, which makes `y` of `ids`.
fn model(nodes: Vec<NodeProto>, tensors: Vec<TensorProto>) -> Model {
    let mut graph = GraphBuilder::default();
    let ids = graph.int64_input("ids", &[]);
    let y = graph.at("empty").cast_to_float(&ids);
    graph.float_output("y", &y, &[]);
    let mut proto = graph.finish(&BTreeMap::new());
    let graph = proto.graph.as_mut().unwrap();
    (graph.node, graph.initializer) = (nodes, tensors);
    Model { proto }
}

#[test]
fn a_table_that_is_also_multiplied_is_stored_once() {
    let nodes = || {
        vec![
            node("Gather", &["table", "ids"], "x"),
            node("Transpose", &["table"], "turned"),
            node("MatMul", &["x", "turned"], "y"),
        ]
    };
    let tied = model(nodes(), vec![tensor("table", &[80, 32])]);
    let (formats, bits) = ([Format::Int8Embeddings, Format::Int4], [TableBits::Eight, TableBits::Four]);
    for (format, tables) in formats.into_iter().flat_map(|format| bits.map(|tables| (format, tables))) {
        let graph = tied.stored_as(&Storage { tables, ..Storage::of(format) }).unwrap().proto.graph.unwrap();
        check(&graph);
        let wide: Vec<_> = graph.initializer.iter().filter(|tensor| tensor.dims == [80, 32]).collect();
        assert_eq!((wide.len(), wide[0].data_type()), (1, DataType::Int8), "{format}");
        assert_eq!(operators(&graph)["MatMulInteger"], 1, "{format}");
    }
    assert_eq!(stored(&tied, Format::Int8), tied.proto.graph.unwrap());
}

#[test]
fn a_matrix_of_several_layers_is_stored_once() {
    let layer = |i: usize, x: &str| {
        let name = |part: &str| format!("{part}{i}");
        let (a, b, q, k) = (name("a"), name("b"), name("q"), name("k"));
        let y = if i == 1 { "y".to_owned() } else { name("y") };
        vec![
            node("MatMul", &[x, "wq"], &a),
            node("MatMul", &[x, "wk"], &b),
            node("Add", &["bias", &a], &q),
            node("Add", &[&b, "bias"], &k),
            node("Mul", &[&q, &k], &y),
        ]
    };
    let nodes = [vec![node("Gather", &["table", "ids"], "x")], layer(0, "x"), layer(1, "y0")].concat();
    let tensors = || {
        vec![
            tensor("table", &[80, 64]),
            tensor("wq", &[64, 64]),
            tensor("wk", &[64, 64]),
            tensor("bias", &[64]),
        ]
    };
    for format in [Format::Int8, Format::Int4] {
        let graph = stored(&model(nodes.clone(), tensors()), format);
        check(&graph);
        let packed = graph
            .initializer
            .iter()
            .filter(|tensor| tensor.data_type() == DataType::Int8 || tensor.data_type() == DataType::Uint8);
        let bytes: usize = packed.map(|tensor| tensor.raw_data.len()).sum();
        let tables = if format == Format::Int4 { 80 * 64 } else { 0 };
        let matrices = if format == Format::Int4 { 64 * 64 } else { 2 * 64 * 64 };
        assert_eq!(bytes, tables + matrices, "{format}");
        assert_eq!(operators(&graph)["Split"], 2);
    }
}

#[test]
fn what_cannot_be_rounded_is_an_error_or_stays() {
    let nodes = |operator| vec![node("Gather", &["table", "ids"], "x"), node(operator, &["x", "w"], "y")];
    let mut damaged = tensor("w", &[64, 64]);
    damaged.raw_data = damaged.raw_data.slice(0..100);
    let mut infinite = tensor("w", &[64, 64]);
    infinite.raw_data =
        [f32::INFINITY.to_le_bytes().to_vec(), infinite.raw_data[4..].to_vec()].concat().into();
    for (tensor, expected) in [(damaged, "holds `25` numbers"), (infinite, "holds `inf`")] {
        let model = model(nodes("MatMul"), vec![tensor.clone()]);
        let error = model.stored_as(&Storage::of(Format::Int8)).unwrap_err().to_string();
        assert!(error.contains("as `int8`") && error.contains(expected), "{error}");
    }
    let other = model(nodes("Conv"), vec![tensor("table", &[9, 9]), tensor("w", &[64, 64])]);
    assert_eq!(stored(&other, Format::Int8Embeddings), other.proto.graph.clone().unwrap());
    let mut old = lowered(1);
    old.proto.opset_import[0].version = 12;
    assert!(old.stored_as(&Storage::of(Format::Int8)).unwrap_err().to_string().contains("opset 12"));
}
