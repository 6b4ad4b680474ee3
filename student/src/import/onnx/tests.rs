mod hostile;
mod trim;

use super::*;
use crate::bert::{Bert, BertConfig};
use crate::checkpoint::read_weights;
use crate::export::onnx::proto::{
    AttributeProto, AttributeType, DataType, StringStringEntryProto, TensorProto,
};
use crate::export::onnx::{GraphBuilder, write};
use crate::gradcheck::noise1;
use crate::weights::Tensor;
use crate::{Architecture, Arena};
use std::collections::{BTreeMap, HashMap};

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures")).join(name)
}

fn model(name: &str) -> ModelProto {
    decode(Path::new(name), std::fs::read(fixture(name)).unwrap().into()).unwrap()
}

fn reference() -> BTreeMap<String, Tensor> {
    tensors(&read_weights(&fixture("reference_weights.safetensors")).unwrap())
}

fn tensors(weights: &Weights) -> BTreeMap<String, Tensor> {
    weights.names().map(|name| (name.to_owned(), weights.get(name).unwrap().clone())).collect()
}

fn bert([layers, heads, size, intermediate, labels]: [usize; 5]) -> (Bert, Arena) {
    let bert = Bert::new(BertConfig {
        vocab_size: 11,
        hidden_size: heads * size,
        num_hidden_layers: layers,
        num_attention_heads: heads,
        intermediate_size: intermediate,
        max_position_embeddings: 7,
        labels: (0..labels).map(|i| i.to_string()).collect(),
        ..BertConfig::default()
    });
    let bert = bert.unwrap();
    let numbers = noise1(bert.layout().num_parameters(), 5).to_vec();
    let params = Arena::from_vec(bert.layout(), numbers).unwrap();
    (bert, params)
}

fn lowered(bert: &Bert, params: &Arena) -> ModelProto {
    let mut graph = GraphBuilder::default();
    bert.lower(params, &mut graph);
    graph.finish(&BTreeMap::new())
}

/// Reads the weights of a changed model.
fn changed(
    mut model: ModelProto,
    change: impl FnOnce(&mut GraphProto),
) -> Result<BTreeMap<String, Tensor>, Error> {
    change(model.graph.as_mut().unwrap());
    weights(&model, Path::new("model.onnx")).map(|weights| tensors(&weights))
}

/// Takes every name from a graph but those of its inputs and outputs.
fn anonymise(graph: &mut GraphProto) {
    let kept: Vec<_> = graph.input.iter().chain(&graph.output).map(|value| value.name.clone()).collect();
    let mut names: HashMap<String, String> = kept.into_iter().map(|name| (name.clone(), name)).collect();
    names.insert(String::new(), String::new());
    let tensors = graph.initializer.iter_mut().map(|tensor| &mut tensor.name);
    let values = graph.node.iter_mut().flat_map(|node| {
        node.name.clear();
        node.input.iter_mut().chain(&mut node.output)
    });
    for name in tensors.chain(values) {
        let next = format!("v{}", names.len());
        *name = names.entry(name.clone()).or_insert(next).clone();
    }
}

/// Puts a node between every matrix that a product takes and the product.
fn interpose(graph: &mut GraphProto, operator: &str, mut store: impl FnMut(&mut TensorProto)) {
    let mut nodes = Vec::new();
    for tensor in graph.initializer.iter_mut().filter(|tensor| tensor.name.ends_with(".weight.T")) {
        let output = std::mem::replace(&mut tensor.name, format!("stored {}", nodes.len()));
        nodes.push(NodeProto {
            op_type: operator.into(),
            input: vec![tensor.name.clone()],
            output: vec![output],
            ..NodeProto::default()
        });
        store(tensor);
    }
    assert!(!nodes.is_empty());
    graph.node.splice(0..0, nodes);
}

/// Turns initializers into nodes that make them.
fn to_constant_nodes(graph: &mut GraphProto) {
    let constants = std::mem::take(&mut graph.initializer).into_iter().map(|tensor| NodeProto {
        op_type: "Constant".into(),
        output: vec![tensor.name.clone()],
        attribute: vec![AttributeProto {
            name: "value".into(),
            r#type: AttributeType::Tensor.into(),
            t: Some(TensorProto { name: String::new(), ..tensor }),
            ..AttributeProto::default()
        }],
        ..NodeProto::default()
    });
    graph.node.splice(0..0, constants.collect::<Vec<_>>());
}

#[test]
fn exports_of_pytorch_give_back_the_weights_they_were_made_from() {
    for name in ["reference_torch.onnx", "reference_dynamo.onnx"] {
        let weights = read(&fixture(name)).unwrap();
        assert_eq!(tensors(&weights), reference(), "{name}");
        assert_eq!((weights.num_layers(), weights.source()), (2, &*fixture(name)));
    }
}

#[test]
fn a_graph_without_names_is_read_by_its_wiring() {
    for name in ["reference_torch.onnx", "reference_dynamo.onnx"] {
        assert_eq!(changed(model(name), anonymise).unwrap(), reference(), "{name}");
    }
    let (bert, params) = bert([3, 2, 5, 4, 3]);
    let model = lowered(&bert, &params);
    let named = changed(model.clone(), |_| {}).unwrap();
    assert_eq!(changed(model, anonymise).unwrap(), named);
}

/// Renames initializers wherever they occur.
fn rename(graph: &mut GraphProto, new: impl Fn(&str) -> String) {
    let names: HashMap<_, _> = graph.initializer.iter().map(|t| (t.name.clone(), new(&t.name))).collect();
    let stored = graph.initializer.iter_mut().map(|tensor| &mut tensor.name);
    for name in stored.chain(graph.node.iter_mut().flat_map(|node| &mut node.input)) {
        *name = names.get(name).unwrap_or(name).clone();
    }
}

#[test]
fn the_names_of_biases_or_of_nodes_are_enough() {
    let without_nodes = |graph: &mut GraphProto| graph.node.iter_mut().for_each(|node| node.name.clear());
    let without_biases = |graph: &mut GraphProto| {
        rename(graph, |name| {
            name.replace("dense.bias", "1").replace("query.bias", "2").replace("key.bias", "3")
        });
    };
    let wrapped = |graph: &mut GraphProto| rename(graph, |name| format!("encoder.model.{name}"));
    assert_eq!(changed(model("reference_torch.onnx"), without_nodes).unwrap(), reference());
    assert_eq!(changed(model("reference_torch.onnx"), without_biases).unwrap(), reference());
    assert_eq!(changed(model("reference_dynamo.onnx"), wrapped).unwrap(), reference());
}

#[test]
fn a_head_without_names_does_not_hide_the_encoder() {
    let projected = |graph: &mut GraphProto| {
        let pooled = graph.node.iter().find(|node| node.op_type == "Tanh").unwrap().output.clone();
        graph.initializer.push(TensorProto { name: "7".into(), dims: vec![16, 2], ..TensorProto::default() });
        let input = vec![pooled[0].clone(), "7".into()];
        graph.node.push(NodeProto {
            op_type: "MatMul".into(),
            input,
            output: vec!["y".into()],
            ..NodeProto::default()
        });
    };
    assert_eq!(changed(model("reference_dynamo.onnx"), projected).unwrap(), reference());
}

#[test]
fn constants_are_found_wherever_exporters_put_them() {
    let (bert, params) = bert([1, 2, 3, 4, 2]);
    let plain = lowered(&bert, &params);
    let expected = changed(plain.clone(), |_| {}).unwrap();
    let read = |change: &dyn Fn(&mut GraphProto)| changed(plain.clone(), change).unwrap();
    assert_eq!(read(&to_constant_nodes), expected);
    assert_eq!(read(&|graph| interpose(graph, "Identity", |_| {})), expected);
    assert_eq!(read(&|graph| interpose(graph, "Transpose", turn)), expected);
    let halved = read(&|graph| interpose(graph, "Cast", halve));
    for (name, tensor) in expected {
        assert_eq!(halved[&name].shape, tensor.shape, "{name}");
        for (half, full) in halved[&name].data.iter().zip(tensor.data) {
            assert!((half - full).abs() <= full.abs() / 1024.0 + 1e-7, "{name}: {half} {full}");
        }
    }
}

/// Stores a matrix the other way round.
fn turn(tensor: &mut TensorProto) {
    let (rows, columns) = (tensor.dims[0] as usize, tensor.dims[1] as usize);
    let at = |row, column| &tensor.raw_data[4 * (row * columns + column)..][..4];
    let turned: Vec<_> = (0..columns).flat_map(|c| (0..rows).flat_map(move |r| at(r, c))).copied().collect();
    (tensor.dims, tensor.raw_data) = (vec![columns as i64, rows as i64], turned.into());
}

fn halve(tensor: &mut TensorProto) {
    let (numbers, _) = tensor.raw_data.as_chunks();
    let halves =
        numbers.iter().flat_map(|&bytes| half::f16::from_f32(f32::from_le_bytes(bytes)).to_le_bytes());
    tensor.raw_data = halves.collect::<Vec<_>>().into();
    tensor.data_type = DataType::Float16.into();
}

#[test]
fn numbers_in_a_file_beside_the_model_are_read() {
    let (folder, (bert, params)) = (tempfile::tempdir().unwrap(), bert([1, 1, 2, 3, 2]));
    let mut model = lowered(&bert, &params);
    let expected = changed(model.clone(), |_| {}).unwrap();
    let mut data = Vec::new();
    for tensor in &mut model.graph.as_mut().unwrap().initializer {
        let place = [("location", "data.bin".into()), ("offset", data.len().to_string())];
        let place = place.into_iter().chain([("length", tensor.raw_data.len().to_string())]);
        tensor.external_data =
            place.map(|(key, value)| StringStringEntryProto { key: key.into(), value }).collect();
        tensor.data_location = 1;
        data.extend(std::mem::take(&mut tensor.raw_data));
    }
    std::fs::write(folder.path().join("data.bin"), data).unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    assert_eq!(tensors(&read(&path).unwrap()), expected);
}

#[test]
fn a_model_without_weights_to_train_from_is_refused_by_name() {
    let (bert, params) = bert([2, 1, 2, 3, 2]);
    let model = lowered(&bert, &params);
    let retype = |from: &'static str, to: &'static str, domain: &'static str| {
        move |graph: &mut GraphProto| {
            let node = graph.node.iter_mut().find(|node| node.op_type == from).unwrap();
            (node.op_type, node.domain) = (to.into(), domain.into());
        }
    };
    type Change = Box<dyn Fn(&mut GraphProto)>;
    let cases: [(Change, &str); 6] = [
        (
            Box::new(retype("MatMul", "MatMulInteger", "")),
            "its weights are quantised (node `bert/encoder.layer.0/",
        ),
        (Box::new(retype("Add", "DequantizeLinear", "")), "is a `DequantizeLinear`"),
        (Box::new(retype("MatMul", "Attention", "com.microsoft")), "an optimiser has packed its weights"),
        (
            Box::new(|graph| {
                anonymise(graph);
                graph.node.clear();
            }),
            "nothing is called `bert.embeddings.word_embeddings.weight`, and the graph is not wired as a BERT",
        ),
        (
            Box::new(|graph| {
                anonymise(graph);
                let scale = graph.node.iter().position(|node| node.op_type == "Div").unwrap();
                graph.node[scale - 1].op_type = "Mul".into();
            }),
            "`bert.encoder.layer.0` do not meet as query, key and value",
        ),
        (
            Box::new(|graph| {
                anonymise(graph);
                let norm = graph.node.iter().rposition(|node| node.op_type == "LayerNormalization").unwrap();
                graph.node.truncate(norm);
            }),
            "in `bert.encoder.layer.1`, 0 normalisations follow",
        ),
    ];
    for (change, expected) in cases {
        let error = changed(model.clone(), change).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_summary_says_what_the_model_is_made_of() {
    let (folder, (bert, params)) = (tempfile::tempdir().unwrap(), bert([2, 1, 3, 3, 4]));
    let path = folder.path().join("model.onnx");
    write(&bert, &params, &path, &BTreeMap::from([("labels".into(), "a b".into())])).unwrap();
    let summary = summary(&path).unwrap();
    let floats = bert.layout().num_parameters() + 5;
    assert_eq!(summary.stored["float"], Stored { numbers: floats, bytes: 4 * floats });
    assert_eq!((summary.ir_version, summary.opsets["ai.onnx"], summary.num_layers), (8, 17, Some(2)));
    assert_eq!((summary.num_nodes(), summary.operators["MatMul"]), (92, 18));
    assert_eq!(summary.inputs, ["input_ids", "attention_mask", "token_type_ids"]);
    assert_eq!((summary.outputs, &*summary.metadata["labels"]), (vec!["logits".to_owned()], "a b"));
    assert!(summary.producer.starts_with("distill "));
}
