//! What graphs say inside, against what PyTorch says of the same models.

use super::support::dir::Dir;
use super::support::{fixture, tiny};
use ndarray::{Array2, Array3};
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use teacher::{Error, Options, Signals, Taps, Teacher, Tokens};

/// f32 through two layers, in another order of additions.
const TOLERANCE: f32 = 1e-4;

/// What PyTorch said: see `make_taps.py`.
struct Reference(Vec<u8>);

impl Reference {
    fn read(path: &Path) -> Self {
        Reference(fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    fn bytes(&self, name: &str) -> Option<Vec<[u8; 4]>> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        file.tensor(name).ok().map(|tensor| tensor.data().as_chunks().0.to_vec())
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let bytes = self.bytes(name).unwrap_or_else(|| panic!("the reference has no `{name}`"));
        bytes.into_iter().map(f32::from_le_bytes).collect()
    }

    /// Whole numbers of 64 bits, the upper half of which is nothing.
    fn ints(&self, name: &str) -> Vec<u32> {
        self.bytes(name).unwrap().chunks(2).map(|halves| u32::from_le_bytes(halves[0])).collect()
    }
}

/// A graph with the sequences it is asked about.
struct Case {
    graph: PathBuf,
    reference: Reference,
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    offsets: Vec<u32>,
}

impl Case {
    /// `BODY.FORM.onnx` stands beside `BODY.safetensors`.
    fn new(graph: &Path) -> Self {
        let name = graph.file_name().unwrap().to_string_lossy();
        let body = name.split('.').next().unwrap();
        let reference = Reference::read(&graph.with_file_name(format!("{body}.safetensors")));
        let [ids, type_ids, offsets] = ["ids", "type_ids", "offsets"].map(|name| reference.ints(name));
        Case { graph: graph.into(), reference, ids, type_ids, offsets }
    }

    fn fixture(name: &str) -> Self {
        Case::new(&fixture(&format!("taps/{name}.onnx")))
    }

    fn sequences(&self) -> Vec<Tokens<'_>> {
        let spans = self.offsets.windows(2).map(|pair| pair[0] as usize..pair[1] as usize);
        spans.map(|span| Tokens { ids: &self.ids[span.clone()], type_ids: &self.type_ids[span] }).collect()
    }

    fn open(&self, workers: usize, batch_tokens: usize) -> Teacher {
        let options = Options { workers, batch_tokens, pad_id: Some(1), ..Options::default() };
        Teacher::open_body(&self.graph, &options).unwrap_or_else(|error| panic!("{}: {error}", self.name()))
    }

    fn layers(&self) -> usize {
        (1..).take_while(|layer| self.reference.bytes(&format!("hidden.{layer}")).is_some()).count()
    }

    fn name(&self) -> String {
        self.graph.file_stem().unwrap().to_string_lossy().into_owned()
    }

    fn close(&self, what: &str, found: impl ExactSizeIterator<Item = f32>) {
        let expected = self.reference.floats(what);
        assert_eq!(found.len(), expected.len(), "{}: {what}", self.name());
        let far = found.zip(&expected).map(|(found, expected)| (found - expected).abs());
        let far = far.fold(0.0, |most: f32, far| if far.is_nan() { f32::INFINITY } else { most.max(far) });
        assert!(far < TOLERANCE, "{}: {what} is off by {far}", self.name());
    }

    fn check(&self, signals: &Signals, taps: &Taps) {
        let flat = |matrix: &Array2<f32>| matrix.iter().copied().collect::<Vec<_>>().into_iter();
        if self.reference.bytes("logits").is_some() {
            self.close("logits", flat(&signals.logits));
        } else {
            assert_eq!(signals.logits.dim(), (self.offsets.len() - 1, 0));
        }
        for (layer, hidden) in taps.hidden.iter().zip(&signals.hidden) {
            self.close(&format!("hidden.{layer}"), flat(hidden));
        }
        for (layer, qkv) in taps.qkv.iter().zip(&signals.qkv) {
            for (name, matrix) in ["query", "key", "value"].iter().zip(qkv) {
                self.close(&format!("{name}.{layer}"), flat(matrix));
            }
        }
        for (layer, scores) in taps.scores.iter().zip(&signals.scores) {
            let flat = |scores: &Vec<Array3<f32>>| scores.iter().flatten().copied().collect::<Vec<_>>();
            self.close(&format!("scores.{layer}"), flat(scores).into_iter());
        }
    }
}

/// Everything that the committed graphs have.
fn all() -> Taps {
    everything(2)
}

fn everything(layers: usize) -> Taps {
    Taps { hidden: (0..=layers).collect(), scores: (1..=layers).collect(), qkv: (1..=layers).collect() }
}

/// Asks a graph for everything it has, and compares it.
fn check(case: &Case) {
    assert!(case.layers() > 0, "{}: the reference says nothing", case.name());
    let (mut teacher, all) = (case.open(2, 16), everything(case.layers()));
    teacher.tap(&all).unwrap_or_else(|error| panic!("{}: {error}\n{:#?}", case.name(), teacher.anatomy()));
    let signals = teacher
        .signals(&case.sequences(), &|_| {})
        .unwrap_or_else(|error| panic!("{}: {error}", case.name()));
    case.check(&signals, &all);
}

/// Returns the graphs in a folder, sorted.
fn graphs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut graphs: Vec<_> = entries.filter(|path| path.extension().is_some_and(|it| it == "onnx")).collect();
    graphs.sort();
    graphs
}

#[test]
fn every_exporter_s_graph_tells_what_pytorch_tells() {
    let graphs = graphs(&fixture("taps"));
    assert!(graphs.len() >= 10, "{graphs:?}");
    for graph in graphs {
        let case = Case::new(&graph);
        assert_eq!(case.layers(), 2, "{}", case.name());
        check(&case);
    }
}

/// `make_taps.py --all DIR` makes some 200 more, too many to keep.
#[test]
fn the_graphs_in_a_folder_of_one_s_own_tell_what_pytorch_tells() {
    let Some(folder) = std::env::var_os("DISTILL_TEST_TAPS") else { return };
    let mut failed = Vec::new();
    for graph in graphs(Path::new(&folder)) {
        if std::panic::catch_unwind(|| check(&Case::new(&graph))).is_err() {
            failed.push(graph);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn workers_do_not_change_a_bit_of_the_signals() {
    let case = Case::fixture("bert.heads");
    let signals = |workers| {
        let mut teacher = case.open(workers, 8);
        teacher.tap(&all()).unwrap();
        teacher.signals(&case.sequences(), &|_| {}).unwrap()
    };
    let one = signals(1);
    for workers in [2, 5] {
        assert_eq!(signals(workers), one, "{workers} workers");
    }
}

#[test]
fn padding_changes_nothing_between_real_tokens() {
    let case = Case::fixture("mpnet.torch17");
    for batch_tokens in [1, 1000] {
        let mut teacher = case.open(1, batch_tokens);
        teacher.tap(&all()).unwrap();
        case.check(&teacher.signals(&case.sequences(), &|_| {}).unwrap(), &all());
    }
}

#[test]
fn what_is_asked_for_can_be_changed_and_nothing_can_be_asked_for() {
    let case = Case::fixture("bert.torch11");
    let mut teacher = case.open(1, 64);
    for taps in [
        Taps { scores: vec![2], ..Taps::default() },
        Taps { hidden: vec![2, 0, 2], ..Taps::default() },
        Taps::default(),
    ] {
        teacher.tap(&taps).unwrap();
        let signals = teacher.signals(&case.sequences(), &|_| {}).unwrap();
        case.check(&signals, &taps);
        let lengths = [signals.hidden.len(), signals.scores.len(), signals.qkv.len()];
        assert_eq!(lengths, [taps.hidden.len(), taps.scores.len(), taps.qkv.len()]);
    }
    let none = teacher.signals(&[], &|_| {}).unwrap();
    assert_eq!(none.logits.nrows(), 0);
}

#[test]
fn a_body_without_a_classifier_has_signals_but_no_logits() {
    let case = Case::fixture("roberta_body.torch17");
    let options = Options { workers: 1, ..Options::default() };
    assert!(matches!(Teacher::open(&case.graph, &options), Err(Error::NotAClassifier { .. })));
    let mut body = Teacher::open_body(&case.graph, &options).unwrap();
    assert!(matches!(body.logits(&case.sequences(), &|_| {}), Err(Error::NotAClassifier { .. })));
}

#[test]
fn a_failed_request_leaves_the_earlier_one_in_place() {
    let case = Case::fixture("bert.torch11");
    let mut teacher = case.open(1, 64);
    let taps = Taps { hidden: vec![1], ..Taps::default() };
    teacher.tap(&taps).unwrap();
    teacher.tap(&Taps { hidden: vec![9], ..Taps::default() }).unwrap_err();
    case.check(&teacher.signals(&case.sequences(), &|_| {}).unwrap(), &taps);
}

/// Our own graphs compute the last layer for the first token alone.
#[test]
fn our_own_export_tells_all_but_its_last_layer() {
    let dir = Dir::new();
    tiny::write(&dir.path("student"), tiny::config(&["negative", "positive"]), 1);
    let graph = dir.path("student/onnx/model.onnx");
    let before = fs::read(&graph).unwrap();
    let mut teacher = Teacher::open(&graph, &Options { workers: 2, ..Options::default() }).unwrap();
    let ids = [2, 5, 17, 9, 3];
    let tokens = [Tokens { ids: &ids, type_ids: &[0; 5] }, Tokens { ids: &ids[..3], type_ids: &[0; 3] }];
    let logits = teacher.logits(&tokens, &|_| {}).unwrap();
    teacher.tap(&Taps { hidden: vec![0, 1], scores: vec![1], qkv: vec![1] }).unwrap();
    let signals = teacher.signals(&tokens, &|_| {}).unwrap();
    assert!((&signals.logits - &logits).iter().all(|d| d.abs() < TOLERANCE));
    assert_eq!((signals.hidden[1].dim(), signals.qkv[0][2].dim()), ((8, 32), (8, 32)));
    assert_eq!((signals.scores[0][0].dim(), signals.scores[0][1].dim()), ((4, 5, 5), (4, 3, 3)));
    // Scores are queries times keys, divided by the root of a head's width.
    let [query, key, _] = &signals.qkv[0];
    for head in 0..4 {
        let [query, key] = [query, key].map(|all| all.slice(ndarray::s![..5, 8 * head..8 * (head + 1)]));
        let expected = query.dot(&key.t()) / 8.0_f32.sqrt();
        let far = &expected - &signals.scores[0][0].index_axis(ndarray::Axis(0), head);
        assert!(far.iter().all(|d| d.abs() < TOLERANCE), "head {head}");
    }
    for (taps, signal) in [
        (Taps { hidden: vec![2], ..Taps::default() }, "hidden state 2"),
        (Taps { scores: vec![2], ..Taps::default() }, "attention scores in layer 2"),
        (Taps { qkv: vec![2], ..Taps::default() }, "queries in layer 2"),
    ] {
        let error = teacher.tap(&taps).unwrap_err();
        let expected = format!(
            "model.onnx does not tell {signal}: the last layer of this graph was computed for the first token only"
        );
        assert_eq!(error.to_string(), expected);
        let there = "hidden states of 0 to 1; scores of 1; queries of 1; keys of 1 to 2; values of 1 to 2";
        assert!(error.hint().unwrap().contains(there), "{:?}", error.hint());
    }
    assert_eq!(fs::read(&graph).unwrap(), before, "the file is left alone");
}

#[test]
fn inspect_lists_what_each_layer_tells() {
    let dir = Dir::new();
    tiny::write(&dir.path("student"), tiny::config(&["negative", "positive"]), 1);
    let shown = dir.ok("inspect student").stdout;
    assert!(shown.contains("2 x 32, 4 heads"), "{shown}");
    let rows: Vec<Vec<_>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["1", "yes", "yes", "yes", "yes", "yes", "yes"]), "{shown}");
    assert!(rows.contains(&vec!["2", "no", "no", "no", "no", "yes", "yes"]), "{shown}");
    assert!(
        shown.contains("no hidden 2: the last layer of this graph was computed for the first token only")
    );
    let json: Value = serde_json::from_str(&dir.ok("inspect student --json").stdout).unwrap();
    let taps = &json["anatomy"]["taps"];
    assert_eq!(taps[1]["taps"]["hidden"]["found"], "yes");
    assert!(taps[2]["taps"]["query"]["where"].as_str().unwrap().contains("first token only"));
    let fused = fixture("taps/bert.attention.onnx");
    let shown = dir.ok(&format!("inspect {}", fused.display())).stdout;
    assert!(shown.contains("no probabilities 1: com.microsoft.Attention `"), "{shown}");
    let body = fixture("taps/roberta_body.torch17.onnx");
    assert!(dir.ok(&format!("inspect {}", body.display())).stdout.contains("none of a classifier"));
}
