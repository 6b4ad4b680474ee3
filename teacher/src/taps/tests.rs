//! Graphs that nobody would export: broken, endless, or with nodes that swallow what is asked for.

use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::anatomy::Anatomy;
use super::plan::Plan;
use super::topology::{Node, Topology};
use super::*;
use crate::Error;

const MASK: &str = "attention_mask";

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn topology(name: &str) -> Topology {
    Topology::parse(Cursor::new(fixture(name))).expect("a fixture can be read")
}

fn everything(layers: usize) -> Taps {
    Taps { hidden: (0..=layers).collect(), scores: (1..=layers).collect(), qkv: (1..=layers).collect() }
}

fn plan(topology: &Topology, taps: &Taps) -> Result<Plan, Error> {
    let anatomy = Anatomy::of(topology, MASK).expect("the graph hangs together");
    Plan::new("model.onnx", &anatomy, taps, std::iter::empty())
}

/// Reads and plans whatever comes, as far as it goes.
fn survive(bytes: Vec<u8>) {
    let Ok(topology) = Topology::parse(Cursor::new(bytes)) else { return };
    survive_topology(&topology);
}

fn survive_topology(topology: &Topology) {
    let Ok(anatomy) = Anatomy::of(topology, MASK) else { return };
    let _ = Plan::new("model.onnx", &anatomy, &everything(anatomy.layers.len()), std::iter::empty());
}

const GRAPHS: [&str; 4] =
    ["reference_torch.onnx", "reference_dynamo.onnx", "taps/bert.torch11.onnx", "taps/bert.dynamo23.onnx"];

proptest! {
    #[test]
    fn no_changed_bytes_make_it_panic(
        graph in 0..GRAPHS.len(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = fixture(GRAPHS[graph]);
        let length = bytes.len();
        for (at, byte) in changes {
            bytes[at.index(length)] = byte;
        }
        survive(bytes);
    }

    #[test]
    fn no_cut_makes_it_panic(graph in 0..GRAPHS.len(), at: prop::sample::Index) {
        let mut bytes = fixture(GRAPHS[graph]);
        bytes.truncate(at.index(bytes.len()));
        survive(bytes);
    }

    #[test]
    fn no_rewired_graph_makes_it_panic(
        graph in 0..GRAPHS.len(),
        changes in prop::collection::vec((0..6, any::<[prop::sample::Index; 3]>()), 1..40),
    ) {
        let mut topology = topology(GRAPHS[graph]);
        let num_values = topology.names.len();
        for (kind, [node, place, value]) in changes {
            let node = node.index(topology.nodes.len());
            let value = value.index(num_values);
            let (inputs, outputs) = {
                let Node { inputs, outputs, .. } = &mut topology.nodes[node];
                (inputs, outputs)
            };
            match kind {
                0 if !inputs.is_empty() => { let at = place.index(inputs.len()); inputs[at] = Some(value); }
                1 if !inputs.is_empty() => { let at = place.index(inputs.len()); inputs[at] = None; }
                2 => inputs.truncate(place.index(inputs.len() + 1)),
                3 if !outputs.is_empty() => { let at = place.index(outputs.len()); outputs[at] = Some(value); }
                4 => topology.nodes[node].attributes.clear(),
                5 => {
                    let other = place.index(topology.nodes.len());
                    topology.nodes[node].op = topology.nodes[other].op.clone();
                }
                _ => {}
            }
        }
        survive_topology(&topology);
    }
}

/// Returns a graph of one node after the other, `node(i)` with its operator, operands and results.
fn chain(num: usize, node: impl Fn(usize) -> (&'static str, Vec<usize>, Vec<usize>)) -> Topology {
    let mut topology = Topology::default();
    topology.inputs = vec![0];
    topology.names = (0..2 * num + 2).map(|i| format!("v{i}")).collect();
    topology.nodes = (0..num)
        .map(|i| {
            let (op, inputs, outputs) = node(i);
            let some = |values: Vec<usize>| values.into_iter().map(Some).collect();
            Node { op: op.into(), inputs: some(inputs), outputs: some(outputs), ..Node::default() }
        })
        .collect();
    topology
}

#[test]
fn what_does_not_hang_together_is_named() {
    let circle = chain(2, |i| ("Add", vec![2 - i, 0], vec![i + 1]));
    let twice = chain(2, |_| ("Neg", vec![0], vec![1]));
    let dangling = chain(1, |_| ("Neg", vec![3], vec![1]));
    for (topology, words) in [
        (circle, "Add `v1` waits for itself"),
        (twice, "two nodes compute `v1`"),
        (dangling, "`v3` is used, but nothing computes it"),
    ] {
        let error = Anatomy::of(&topology, MASK).expect_err(words);
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn the_time_grows_with_the_graph_and_no_faster() {
    const NODES: usize = 50_000;
    // A quadratic walk over these takes minutes, and a linear one less than a second.
    const ENOUGH: Duration = Duration::from_secs(120);
    let start = Instant::now();
    for topology in [
        chain(NODES, |i| ("Identity", vec![i], vec![i + 1])),
        chain(NODES, |i| ("Softmax", vec![i], vec![i + 1])),
        chain(NODES, |i| ("Add", vec![i, 0], vec![i + 1])),
        chain(NODES, |i| ("LayerNormalization", vec![i, 0, 0], vec![i + 1])),
        chain(NODES, |i| (["Softmax", "Identity"][i % 2], vec![0], vec![i + 1])),
    ] {
        survive_topology(&topology);
    }
    assert!(start.elapsed() < ENOUGH, "{:?}", start.elapsed());
}

/// Returns the graph with its attention nodes called otherwise.
fn swallowed() -> Topology {
    let mut topology = topology("taps/bert.dynamo23.onnx");
    for node in topology.nodes.iter_mut().filter(|node| node.op == "Attention") {
        node.domain = "com.microsoft".into();
        node.op = "PackedAttention".into();
    }
    topology
}

#[test]
fn a_fused_node_that_swallows_a_tensor_is_named_with_what_there_is_instead() {
    let taps = Taps { qkv: vec![2], ..Taps::default() };
    let error = plan(&swallowed(), &taps).expect_err("queries are gone");
    let text = error.to_string();
    assert!(text.starts_with("model.onnx does not tell queries in layer 2: com.microsoft.PackedAttention `"));
    assert!(text.ends_with("has swallowed it"), "{text}");
    let hint = error.hint().expect("there are hidden states");
    assert!(hint.starts_with("ask for what it tells (hidden states of 0 to 2), or take an export"), "{hint}");
    plan(&swallowed(), &Taps { hidden: vec![0, 1, 2], ..Taps::default() }).expect("hidden states are there");
}

#[test]
fn a_layer_that_does_not_exist_is_an_error() {
    let topology = topology("reference_torch.onnx");
    for (taps, words) in [
        (Taps { hidden: vec![3], ..Taps::default() }, "model.onnx has no hidden state 3: 2 layers were"),
        (Taps { scores: vec![0], ..Taps::default() }, "model.onnx has no attention scores in layer 0"),
        (Taps { qkv: vec![usize::MAX], ..Taps::default() }, "model.onnx has no queries in layer"),
    ] {
        let error = plan(&topology, &taps).expect_err(words);
        assert!(matches!(error, Error::NoSuchLayer { layers: 2, .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_graph_without_attention_says_so() {
    let topology = chain(3, |i| ("Relu", vec![i], vec![i + 1]));
    let error = plan(&topology, &everything(1)).expect_err("no layer");
    let said = error.to_string();
    assert!(said.contains("no attention and 0 layer normalisations were recognised among 3 nodes"), "{said}");
    assert!(error.hint().expect("export again").contains("without fusing"));
}

#[test]
fn layers_normalised_before_attention_are_not_taken_for_bert_s() {
    // x + f(norm(x)): the sum is never normalised, so nothing is strung together.
    let mut topology = topology("reference_torch.onnx");
    for node in topology.nodes.iter_mut().filter(|node| node.op == "LayerNormalization") {
        node.op = "Relu".into();
    }
    let anatomy = Anatomy::of(&topology, MASK).expect("it hangs together");
    assert_eq!(anatomy.layers.len(), 0);
    assert!(anatomy.embeddings.missing().is_some_and(|reason| reason.contains("normalised")));
}

#[test]
fn a_tensor_asked_for_twice_is_one_output() {
    let topology = topology("reference_torch.onnx");
    let plan = plan(&topology, &Taps { hidden: vec![1, 1], ..Taps::default() }).expect("it is there");
    assert_eq!((plan.outputs.len(), plan.rows.len()), (1, 2));
}
