//! The tests of the whole: the mathematics against references, the graph against ONNX Runtime, the binary against its
//! promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod architecture;
mod augment;
mod bench;
mod cli;
mod compare;
mod controls;
mod cost;
mod determinism;
mod errors;
mod formats;
mod gradients;
mod inside;
mod narrowing;
mod onnx_parity;
mod page;
mod pipeline;
mod reference;
mod slim;
mod support;
mod tables;
mod taps;
mod tracking;
mod words;
