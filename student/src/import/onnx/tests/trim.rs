//! Fewer words, and nothing else changed, whoever wrote the graph.

use super::*;
use crate::export::onnx::Model;
use crate::export::onnx::proto::{
    DataLocation, Dimension, DimensionProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

const KEPT: [u32; 3] = [0, 2, 5];
/// More than there are positions: tables without names are told apart by their sizes.
const MOST: [u32; 8] = [0, 1, 2, 4, 5, 6, 8, 10];
const WORDS: &str = "bert.embeddings.word_embeddings.weight";

/// Writes a model, and returns it as it is with the kept words alone.
fn trimmed(model: &ModelProto, kept: &[u32]) -> Result<ModelProto, Error> {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.onnx");
    std::fs::write(&source, model.encode_to_vec()).unwrap();
    let mut model = Model::read(&source)?;
    model.keep_words("input_ids", kept)?;
    Ok(model.proto)
}

fn read_tensors(model: &ModelProto) -> BTreeMap<String, Tensor> {
    tensors(&weights(model, Path::new("model.onnx")).unwrap())
}

fn rows(tensor: &Tensor, kept: &[u32]) -> Tensor {
    let width = tensor.shape[1];
    let data = kept.iter().flat_map(|&id| tensor.data[id as usize * width..][..width].to_vec()).collect();
    Tensor { shape: vec![kept.len(), width], data }
}

#[test]
fn the_kept_rows_are_left_and_everything_else_is_as_it_was() {
    let (bert, params) = bert([2, 2, 3, 4, 2]);
    let ours = lowered(&bert, &params);
    let mut unnamed = ours.clone();
    anonymise(unnamed.graph.as_mut().unwrap());
    let mut constant_nodes = ours.clone();
    to_constant_nodes(constant_nodes.graph.as_mut().unwrap());
    let mut in_halves = ours.clone();
    let table =
        in_halves.graph.as_mut().unwrap().initializer.iter_mut().find(|tensor| tensor.name == WORDS).unwrap();
    let numbers: Vec<f32> =
        table.raw_data.chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect();
    table.raw_data = Bytes::new();
    table.float_data = numbers;
    for (name, model) in [
        ("torch", model("reference_torch.onnx")),
        ("dynamo", model("reference_dynamo.onnx")),
        ("ours", ours),
        ("unnamed", unnamed),
        ("constant nodes", constant_nodes),
        ("typed field", in_halves),
    ] {
        let (mut before, cut) = (read_tensors(&model), trimmed(&model, &MOST).unwrap());
        let words = before.get_mut(WORDS).unwrap();
        *words = rows(words, &MOST);
        assert!(read_tensors(&cut) == before, "{name}");
    }
}

#[test]
fn external_data_is_taken_in() {
    let (bert, params) = bert([1, 1, 2, 2, 2]);
    let mut model = lowered(&bert, &params);
    let before = read_tensors(&model);
    let folder = tempfile::tempdir().unwrap();
    let tensor =
        model.graph.as_mut().unwrap().initializer.iter_mut().find(|tensor| tensor.name == WORDS).unwrap();
    std::fs::write(folder.path().join("words"), std::mem::take(&mut tensor.raw_data)).unwrap();
    tensor.set_data_location(DataLocation::External);
    tensor.external_data = vec![StringStringEntryProto { key: "location".into(), value: "words".into() }];
    let source = folder.path().join("model.onnx");
    std::fs::write(&source, model.encode_to_vec()).unwrap();
    let mut cut = Model::read(&source).unwrap();
    cut.keep_words("input_ids", &KEPT).unwrap();
    assert_eq!(read_tensors(&cut.proto)[WORDS], rows(&before[WORDS], &KEPT));
}

/// A masked language model at its smallest: a word's vector, times the table or another one, plus a bias.
fn language_model(tied: bool) -> ModelProto {
    let node = |op_type: &str, input: &[&str], output: &str| NodeProto {
        op_type: op_type.into(),
        input: input.iter().map(ToString::to_string).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    };
    let tensor = |name: &str, dims: &[i64], from: usize| TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: DataType::Float.into(),
        float_data: (from..from + dims.iter().product::<i64>() as usize).map(|x| x as f32).collect(),
        ..TensorProto::default()
    };
    let mut nodes = vec![node("Gather", &["words", "input_ids"], "x")];
    let mut initializer = vec![tensor("words", &[6, 2], 0), tensor("bias", &[6], 100)];
    if tied {
        nodes.push(node("Transpose", &["words"], "decoder"));
    } else {
        initializer.push(tensor("decoder", &[2, 6], 20));
    }
    nodes.extend([node("MatMul", &["x", "decoder"], "y"), node("Add", &["y", "bias"], "logits")]);
    let value = |name: &str| {
        let dim = vec![DimensionProto { value: Some(Dimension::Value(6)) }];
        let tensor_type = Some(TensorTypeProto { elem_type: 1, shape: Some(TensorShapeProto { dim }) });
        ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
    };
    let graph = GraphProto {
        node: nodes,
        initializer,
        output: vec![value("logits")],
        value_info: vec![
            value("y"),
            ValueInfoProto { name: "no tensor".into(), ..ValueInfoProto::default() },
        ],
        ..GraphProto::default()
    };
    ModelProto { graph: Some(graph), ..ModelProto::default() }
}

#[test]
fn the_decoder_of_a_language_model_goes_with_its_words() {
    for tied in [true, false] {
        let graph = trimmed(&language_model(tied), &KEPT).unwrap().graph.unwrap();
        let tensor = |name: &str| {
            let tensor = graph.initializer.iter().find(|tensor| tensor.name == name)?;
            let raw = tensor.raw_data.chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap()));
            Some((tensor.dims.clone(), raw.collect::<Vec<_>>()))
        };
        assert_eq!(tensor("words").unwrap(), (vec![3, 2], vec![0.0, 1.0, 4.0, 5.0, 10.0, 11.0]));
        assert_eq!(tensor("bias").unwrap(), (vec![3], vec![100.0, 102.0, 105.0]));
        let untied = (vec![2, 3], vec![20.0, 22.0, 25.0, 26.0, 28.0, 31.0]);
        assert_eq!(tensor("decoder"), (!tied).then_some(untied));
        let shape = |value: &ValueInfoProto| value.r#type.clone()?.tensor_type?.shape?.dim[0].value.clone();
        assert_eq!(shape(&graph.output[0]), Some(Dimension::Value(3)));
        assert!(graph.value_info.is_empty());
    }
}

#[test]
fn a_table_that_cannot_be_cut_is_explained() {
    let change = |change: fn(&mut GraphProto)| {
        let mut model = language_model(true);
        change(model.graph.as_mut().unwrap());
        trimmed(&model, &KEPT).unwrap_err().to_string()
    };
    let missing = trimmed(&language_model(true), &[0, 6]).unwrap_err().to_string();
    assert!(missing.contains("`words` has 6 rows, and none for the id `6`"), "{missing}");
    for (error, expected) in [
        (
            change(|graph| graph.node[0].input[1] = "other".into()),
            "no table of word embeddings is looked up with",
        ),
        (
            change(|graph| graph.node[0].op_type = "Identity".into()),
            "no table of word embeddings is looked up with",
        ),
        (change(|graph| graph.initializer[0].set_data_type(DataType::Int8)), "embeddings are quantised"),
        (
            change(|graph| {
                graph.node[1].op_type = "DequantizeLinear".into();
                graph.node[0].input[0] = "decoder".into();
            }),
            "embeddings are quantised",
        ),
        (change(|graph| graph.initializer[0].dims = vec![2, 6]), "has 2 rows"),
        (change(|graph| graph.initializer[0].float_data.truncate(3)), "does not hold what its shape"),
        (change(|graph| graph.initializer[0].dims = vec![6, i64::MAX]), "does not hold what its shape"),
        (change(|graph| graph.initializer[0].dims = vec![-6, 2]), "has 0 rows"),
    ] {
        assert!(error.contains(expected), "expected: {expected}\nfound: {error}");
    }
}

#[test]
fn ids_that_go_round_in_circles_end() {
    let mut model = language_model(true);
    let circle = |from: &str, to: &str| NodeProto {
        op_type: "Cast".into(),
        input: vec![from.into(), "input_ids".into()],
        output: vec![to.into()],
        ..NodeProto::default()
    };
    model.graph.as_mut().unwrap().node = vec![circle("a", "b"), circle("b", "a")];
    assert!(trimmed(&model, &KEPT).is_err());
}
