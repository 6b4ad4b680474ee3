//! The tests of the whole: the mathematics against references, the graph against ONNX Runtime, the binary against its
//! promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod architecture;
mod bench;
mod cli;
mod determinism;
mod errors;
mod formats;
mod gradients;
mod onnx_parity;
mod pipeline;
mod reference;
mod support;
mod tables;
