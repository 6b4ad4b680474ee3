//! The loops: matrix products, loops over rows and over sequences, and every thread of the crate.
//!
//! Each element of a result has one owner, and blocks have constant sizes, so that the number of threads never
//! changes a bit of the result.

mod add_norm;
mod dropout;
mod elementwise;
mod fresh;
mod matmul;
mod memory;
mod norm;
mod pool;
mod rows;
mod sequences;
mod simd;
mod sums;

pub(crate) use add_norm::{
    add_norm, add_norm_backward, embed_norm, embed_norm_backward, norm, norm_backward,
};
pub use dropout::DropoutKey;
pub(crate) use dropout::Mask;
pub(crate) use elementwise::{AdamWStep, adamw, add, drop_out, gelu, multiply, squared_norm};
pub(crate) use matmul::{Onto, gemm, matmul, matmul_add};
pub use memory::ReusingAllocator;
pub(crate) use norm::{Affine, NormGrads, Normalized};
pub(crate) use pool::Pool;
pub(crate) use rows::sum_rows;
pub(crate) use sequences::for_pieces;
pub use simd::cpu_features;
pub(crate) use simd::vectorized;
