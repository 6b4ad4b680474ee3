//! What a file must not be able to do, whatever it holds.

use super::super::summary::describe;
use super::super::*;
use super::{anonymise, bert, changed, fixture, lowered};
use crate::export::onnx::proto::{DataType, TensorProto};
use crate::export::onnx::write;
use crate::{Architecture, Arena};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[test]
fn a_file_that_is_no_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    assert!(matches!(read(&path), Err(Error::Read { .. })));
    for bytes in [&b""[..], b"# not a model", &[0xff; 64]] {
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(read(&path), Err(Error::Malformed { .. })), "{bytes:?}");
        assert!(matches!(summary(&path), Err(Error::Malformed { .. })), "{bytes:?}");
    }
}

#[test]
fn one_tensor_used_again_and_again_does_not_fill_the_memory() {
    let add = |i: usize| NodeProto {
        op_type: "Identity".into(),
        input: vec!["shared".into()],
        output: vec![format!("bert.encoder.layer.{i}.output.dense.bias")],
        ..NodeProto::default()
    };
    let shared = TensorProto {
        name: "shared".into(),
        dims: vec![8],
        data_type: DataType::Float.into(),
        raw_data: vec![0; 32].into(),
        ..TensorProto::default()
    };
    let words = TensorProto {
        name: "bert.embeddings.word_embeddings.weight".into(),
        dims: vec![2, 4],
        ..shared.clone()
    };
    for (uses, is_read) in [(30, true), (300, false)] {
        let graph = GraphProto {
            node: (0..uses).map(add).collect(),
            initializer: vec![shared.clone(), words.clone()],
            ..GraphProto::default()
        };
        assert_eq!(
            changed(ModelProto { graph: Some(graph), ..ModelProto::default() }, |_| {}).is_ok(),
            is_read
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_written_model_is_read_back_bit_for_bit(
        sizes in [1..4_usize, 1..4, 1..5, 1..6, 1..4],
        bits in prop::collection::vec(any::<u32>(), 64),
    ) {
        let (bert, _) = bert(sizes);
        let numbers = (0..bert.layout().num_parameters()).map(|i| f32::from_bits(bits[i % 64] ^ i as u32));
        let params = Arena::from_vec(bert.layout(), numbers.collect()).unwrap();
        let (folder, mut found) = (tempfile::tempdir().unwrap(), Arena::zeros(bert.layout()));
        let path = folder.path().join("model.onnx");
        write(&bert, &params, &path, &BTreeMap::new()).unwrap();
        let loaded = read(&path).unwrap().load(bert.layout(), &mut found, None).unwrap();
        prop_assert_eq!((loaded.missing.len(), loaded.unused.len()), (0, 0));
        let bits = |arena: &Arena| arena.data().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&found), bits(&params));
    }

    #[test]
    fn damaged_files_never_panic(
        name in prop::sample::select(vec!["reference_torch.onnx", "reference_dynamo.onnx", "ours"]),
        end in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
    ) {
        let mut bytes = match name {
            "ours" => {
                let (bert, params) = bert([2, 1, 2, 3, 4]);
                lowered(&bert, &params).encode_to_vec()
            }
            name => std::fs::read(fixture(name)).unwrap(),
        };
        if flips.len() % 2 == 0 {
            bytes.truncate(end.index(bytes.len()));
        }
        for (at, value) in flips {
            let at = at.index(bytes.len().max(1));
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = value);
        }
        survive(bytes);
    }

    /// Damage that leaves the encoding whole reaches the code behind the decoder.
    #[test]
    fn damaged_graphs_never_panic(damage in prop::collection::vec(any::<(u8, prop::sample::Index, prop::sample::Index)>(), 1..20)) {
        let (bert, params) = bert([2, 1, 2, 3, 4]);
        let mut model = lowered(&bert, &params);
        let graph = model.graph.as_mut().unwrap();
        if damage.len() % 2 == 0 {
            anonymise(graph);
        }
        for (kind, at, other) in damage {
            let (node, other) = (at.index(graph.node.len()), other.index(graph.node.len()));
            let tensor = at.index(graph.initializer.len());
            match kind % 8 {
                0 => graph.node.swap(node, other),
                1 => graph.node[node].op_type = graph.node[other].op_type.clone(),
                2 => graph.node[node].input = graph.node[other].output.clone(),
                3 => graph.node[node].output = graph.node[other].input.clone(),
                4 => graph.initializer[tensor].dims = vec![[-1, 0, 1, i64::MAX][other % 4]; other % 5],
                5 => graph.initializer[tensor].raw_data.truncate(other),
                6 => graph.initializer[tensor].data_type = other as i32,
                _ => graph.node[node].input.truncate(other % 3),
            }
        }
        survive(model.encode_to_vec());
    }
}

fn survive(bytes: Vec<u8>) {
    let path = Path::new("damaged.onnx");
    if let Ok(model) = decode(path, bytes.into()) {
        let _ = weights(&model, path);
        let _ = describe(&model, path);
    }
}
