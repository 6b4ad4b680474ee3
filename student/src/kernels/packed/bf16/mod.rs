//! Products of factors that are rounded to bfloat16, with sums in `f32`.
//!
//! Rounding is to 8 bits of precision, to nearest, ties to even. So `|x y − exact| ≤ 2⁻⁷ Σ |x| |y|` for each element of a
//! product, whatever unit computes it.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod convert;
mod peak;
mod portable;
mod unit;

pub(super) use convert::{round, scale};
pub(in crate::kernels) use convert::{round_over, round_part};
pub(crate) use peak::peak;
pub(crate) use unit::Unit;

use super::tiles::SIDE;

/// Blocks of depth that are multiplied at once: with 24 KB of each factor both fit into the first-level cache.
pub(super) const DEPTH: usize = 12;

/// A square of 32 by 32 numbers in bfloat16, in the order of one side of a product.
///
/// A left block holds 32 rows of 32 numbers; its halves are AMX tiles of 16 rows. A right block holds two tiles of 16
/// columns, each 16 rows of pairs that follow each other along the depth.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Block([u16; SIDE * SIDE]);

impl Block {
    pub(crate) const ZERO: Block = Block([0; SIDE * SIDE]);
}
