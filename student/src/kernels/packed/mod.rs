//! Products of matrices that are packed once for every product that reads them.
//!
//! Data flows one way: a matrix is cut into squares of 32 by 32, each [`Square`] is rounded to the number format of the
//! products and laid out in the order in which a factor is read ([`Tiles`]), the [`Unit`] of the processor multiplies, and
//! every square of the result goes to a [`Sink`](product::Sink), which adds a bias, applies an activation or packs it for
//! the next product while it is in the first-level cache.
//!
//! There are two formats: [`native`] multiplies numbers as they are, [`bf16`] rounds factors to bfloat16. Sums, as
//! parameters and moments, are not rounded to less than `f32` in any case.

mod bf16;
mod factors;
mod line;
mod native;
mod product;
mod sinks;
mod square;
mod tiles;
#[cfg(target_arch = "x86_64")]
mod transpose;
mod unit;

pub(crate) use bf16::peak as bf16_peak;
pub(super) use bf16::{Block as Bf16Block, Unit as Bf16Unit, round_over, round_part};
pub(super) use factors::{Activation, Gradient};
pub(super) use line::prefetch;
pub(super) use product::product;
pub(super) use sinks::{Derivative, Gelu, Multiply, new_product, product_onto};
pub(super) use square::Square;
pub(super) use tiles::{Order, SIDE, Tiles, pack};
pub(crate) use unit::Onto;
pub(super) use unit::Unit;

#[cfg(test)]
mod tests;
