//! Products of matrices in bfloat16, with sums in `f32`.
//!
//! Data flows one way: a matrix of `f32` is cut into squares of 32 by 32, each [`Square`] is rounded to a [`Block`] in
//! the order in which a factor is read ([`Tiles`]), the [`Unit`] of the processor multiplies blocks, and every square of
//! the result goes to a [`Sink`], which adds a bias, applies an activation or rounds it for the next product while it is
//! in the first-level cache.
//!
//! The parameters, the moments and all sums stay `f32`; only factors are rounded, to 8 bits of precision, to nearest,
//! ties to even. So `|x y − exact| ≤ 2⁻⁷ Σ |x| |y|` for each element of a product, whatever unit computes it.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod convert;
mod factors;
mod peak;
mod portable;
mod product;
mod sinks;
mod tiles;
mod unit;

pub(crate) use factors::{Activation, Gradient};
pub(crate) use peak::peak;
pub(crate) use product::product;
pub(crate) use sinks::{Derivative, Gelu, Multiply, new_product, product_onto};
pub(crate) use tiles::{Order, pack};
pub(crate) use unit::Unit;

#[cfg(test)]
mod tests;
