//! Weights out of files that other tools have written.

pub mod onnx;
