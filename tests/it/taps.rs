//! What graphs say inside, against what PyTorch says of the same models.

use super::support::fixture;
use ndarray::{Array2, Array3};
use safetensors::SafeTensors;
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

fn all() -> Taps {
    Taps { hidden: vec![0, 1, 2], scores: vec![1, 2], qkv: vec![1, 2] }
}

/// Asks a graph for everything it has, and compares it.
fn check(case: &Case) {
    let mut teacher = case.open(2, 16);
    teacher.tap(&all()).unwrap_or_else(|error| panic!("{}: {error}\n{:#?}", case.name(), teacher.anatomy()));
    let signals = teacher.signals(&case.sequences(), &|_| {}).unwrap_or_else(|error| panic!("{}: {error}", case.name()));
    case.check(&signals, &all());
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
        check(&Case::new(&graph));
    }
}

/// `make_taps.py --all DIR` makes some 150 more, too many to keep.
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
