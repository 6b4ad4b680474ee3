//! What a student is shipped as.

pub mod onnx;
