//! The loops: matrix products, loops over rows and over sequences, and every thread of the crate.
//!
//! Each element of a result has one owner, and blocks have constant sizes, so that the number of threads never
//! changes a bit of the result.

pub(crate) mod attention;
mod dropout;
mod elementwise;
mod matmul;
mod pool;
mod rows;
mod sequences;
mod simd;

pub use dropout::DropoutKey;
pub(crate) use dropout::Mask;
pub(crate) use elementwise::{AdamWStep, adamw, gelu, multiply, squared_norm};
pub(crate) use matmul::{Onto, gemm, matmul, matmul_add};
pub(crate) use pool::Pool;
pub(crate) use rows::{for_row_pairs, for_rows, sum_rows};
pub(crate) use sequences::for_pieces;
pub use simd::cpu_features;
pub(crate) use simd::vectorized;
