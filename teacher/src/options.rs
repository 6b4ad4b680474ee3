//! How a teacher is opened and run.

use std::path::PathBuf;

use crate::Names;

/// How a teacher is opened and run; the default suits labelling many texts on all cores.
#[derive(Clone)]
pub struct Options<'a> {
    /// Sessions that work side by side, each with its own copy of the weights; 0 for one on each core.
    pub workers: usize,
    /// Largest number of padded tokens in a batch; a longer sequence travels alone.
    pub batch_tokens: usize,
    /// What a run costs beside its tokens, in tokens: batches are cut where padding would cost more. 0 pads nothing.
    pub run_tokens: usize,
    /// Threads inside one session; more than one pays only where single texts must be fast.
    pub intra_threads: usize,
    /// The ONNX Runtime library to use instead of searching.
    pub onnx_runtime: Option<PathBuf>,
    /// Names of inputs and outputs that have unusual ones.
    pub names: Names,
    /// Id that fills up short sequences, instead of the one in `config.json`.
    pub pad_id: Option<u32>,
    /// Told in one line what takes long: that ONNX Runtime is being fetched.
    pub notify: &'a dyn Fn(&str),
}

impl Options<'_> {
    /// Lets as many sequences travel together as fit into so many padded tokens, however much of that is padding.
    pub fn together(self, tokens: usize) -> Self {
        Options { batch_tokens: tokens, run_tokens: usize::MAX, ..self }
    }
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            workers: 0,
            batch_tokens: 512,
            // Measured: 12 for 12 layers of 768, 13 for 6 layers of 384.
            run_tokens: 16,
            intra_threads: 1,
            onnx_runtime: None,
            names: Names::default(),
            pad_id: None,
            notify: &|_| {},
        }
    }
}
