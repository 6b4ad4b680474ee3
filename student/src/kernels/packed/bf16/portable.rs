//! Products of blocks on any processor: bfloat16 is the upper half of an `f32`.

use super::Block;
use super::convert::widen;
use crate::kernels::packed::square::Square;
use crate::kernels::packed::tiles::SIDE;
use crate::kernels::{Onto, vectorized};

/// Columns of a tile.
const TILE: usize = 16;

/// Computes `c = Σ a b` or `c += Σ a b`.
pub(super) fn multiply(a: &[Block], b: &[Block], c: &mut Square<f32>, onto: Onto) {
    if onto == Onto::Nothing {
        *c = Square::zero();
    }
    vectorized(|| a.iter().zip(b).for_each(|(a, b)| add(a, b, c)));
}

#[inline(always)]
fn add(a: &Block, b: &Block, c: &mut Square<f32>) {
    for (half, b) in b.0.chunks_exact(SIDE * TILE).enumerate() {
        for (a, c) in a.0.chunks_exact(SIDE).zip(c.0.chunks_exact_mut(SIDE)) {
            let c = &mut c[half * TILE..][..TILE];
            for (a, b) in a.chunks_exact(2).zip(b.chunks_exact(2 * TILE)) {
                let (even, odd) = (widen(a[0]), widen(a[1]));
                for (c, b) in c.iter_mut().zip(b.chunks_exact(2)) {
                    *c += even * widen(b[0]) + odd * widen(b[1]);
                }
            }
        }
    }
}
