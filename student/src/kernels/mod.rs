//! The loops: matrix products, loops over rows and over sequences, and every thread of the crate.
//!
//! Each element of a result has one owner, and blocks have constant sizes, so that the number of threads never
//! changes a bit of the result.

mod adamw;
mod add_norm;
pub(crate) mod attention;
mod dropout;
mod elementwise;
mod factors;
mod fresh;
mod norm;
mod packed;
pub(crate) mod peak;
mod precision;
mod rows;
mod simd;
mod sums;
mod table;
mod threads;

pub(crate) use adamw::{AdamWStep, Moments, adamw, adamw_rows, replay_rows, squared_norm, squared_norm_rows};
pub(crate) use add_norm::{
    add_norm, add_norm_backward, embed_norm, embed_norm_backward, norm, norm_backward,
};
pub use dropout::DropoutKey;
pub(crate) use dropout::Mask;
pub(crate) use elementwise::{add, drop_out, fill};
pub use factors::{Derivative, Gradient, Input};
pub(crate) use norm::{Affine, NormGrads, Normalized};
pub(crate) use packed::Onto;
pub use precision::{Precision, bf16_unit};
pub use simd::cpu_features;
pub(crate) use simd::vectorized;
pub(crate) use table::for_chosen_rows;
pub use threads::Threads;
