//! What a student is shipped as.

mod format;
pub mod onnx;

pub use format::Format;
