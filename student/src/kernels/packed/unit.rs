//! Which part of the processor multiplies, and in which format.

use super::line::Line;
use super::square::Square;
use super::tiles::{Order, SIDE};
use super::{bf16, native};
use crate::Real;
use crate::kernels::Precision;
use std::any::TypeId;
use std::mem::MaybeUninit;

/// What a product does with what the result held before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Onto {
    /// Replace it.
    Nothing,
    /// Add to it.
    Sum,
}

/// The format of factors, and the part of the processor that multiplies them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Numbers as they are.
    Native(native::Unit),
    /// bfloat16, of `f32`.
    Bf16(bf16::Unit),
}

impl Unit {
    /// Returns the fastest unit for numbers `F` in a precision. Numbers other than `f32` are multiplied as they are.
    pub fn of<F: Real>(precision: Precision) -> Self {
        match precision {
            Precision::Bf16 if is_single::<F>() => Unit::Bf16(bf16::Unit::best()),
            _ if is_single::<F>() => Unit::Native(native::Unit::best()),
            _ => Unit::Native(native::Unit::Portable),
        }
    }

    /// Runs `work` on this thread with the unit ready for [`Unit::multiply`].
    pub fn ready<R>(self, work: impl FnOnce() -> R) -> R {
        match self {
            Unit::Native(_) => work(),
            Unit::Bf16(unit) => unit.ready(work),
        }
    }

    /// Returns the lines of a block, which is a square in the unit's format.
    pub fn block<F>(self) -> usize {
        match self {
            Unit::Native(_) => Line::of_rows::<F>(SIDE),
            Unit::Bf16(_) => Line::of_rows::<u16>(SIDE),
        }
    }

    /// Returns the lines that cannot be divided along the depth.
    pub fn grain<F>(self) -> usize {
        match self {
            Unit::Native(_) => Line::of_rows::<F>(1),
            Unit::Bf16(_) => self.block::<F>(),
        }
    }

    /// Returns the lines of a strip that is `depth` numbers deep.
    pub fn strip<F>(self, depth: usize) -> usize {
        match self {
            Unit::Native(_) => Line::of_rows::<F>(depth),
            Unit::Bf16(_) => Line::of_rows::<u16>(depth.next_multiple_of(SIDE)),
        }
    }

    /// Returns how deep products are summed at once, in grains, so that both factors fit into the first-level cache.
    pub fn depth(self) -> usize {
        match self {
            Unit::Native(unit) => unit.depth(),
            Unit::Bf16(_) => bf16::DEPTH,
        }
    }

    /// Returns how many left strips share one such piece of a right strip before the next one is read.
    pub fn strips(self) -> usize {
        match self {
            // The sums of one square stay in the first-level cache; what factors need is fetched ahead.
            Unit::Native(_) => 1,
            // Multiplication is so fast that reading is what counts.
            Unit::Bf16(_) => super::product::STRIPS,
        }
    }

    /// Rounds a square to the block of an order.
    #[inline]
    pub fn round<F: Real>(self, square: &Square<F>, order: Order, block: &mut [MaybeUninit<Line>]) {
        match self {
            Unit::Native(unit) => unit.lay_out(square, order, Line::room_for(block)),
            Unit::Bf16(unit) => bf16::round(unit, square.single(), order, Line::room_for(block)),
        }
    }

    /// Rounds a square to a block for [`Unit::scale`].
    #[inline]
    pub fn keep<F: Real>(self, square: &Square<F>, block: &mut [MaybeUninit<Line>]) {
        match self {
            Unit::Native(_) => {
                Line::room_for::<Square<F>>(block).write(square.clone());
            }
            Unit::Bf16(unit) => bf16::round(unit, square.single(), Order::Left, Line::room_for(block)),
        }
    }

    /// Multiplies a square by what was kept, element by element.
    ///
    /// # Safety
    /// The block is of [`Unit::keep`] for the same unit and numbers.
    #[inline]
    pub unsafe fn scale<F: Real>(self, square: &mut Square<F>, block: &[Line]) {
        match self {
            // SAFETY: the block was kept as a square.
            Unit::Native(_) => native::scale(square, unsafe { Line::cast(block) }),
            // SAFETY: the block was kept in bfloat16.
            Unit::Bf16(_) => bf16::scale(square.single_mut(), unsafe { Line::cast(block) }),
        }
    }

    /// Computes `c = Σ a b`, or `c += Σ a b`, over equally long runs of left and right strips, inside of [`Unit::ready`].
    ///
    /// # Safety
    /// The runs are of strips of this unit and of `F`.
    #[inline]
    pub unsafe fn multiply<F: Real>(self, a: &[Line], b: &[Line], c: &mut Square<F>, onto: Onto) {
        assert_eq!(a.len(), b.len(), "both factors are equally deep");
        match self {
            // SAFETY: native strips consist of rows; any bits are numbers.
            Unit::Native(unit) => unsafe { unit.multiply(Line::cast(a), Line::cast(b), c, onto) },
            // SAFETY: strips in bfloat16 consist of its blocks; any bits are numbers.
            Unit::Bf16(unit) => unsafe {
                unit.multiply(Line::cast(a), Line::cast(b), c.single_mut(), onto);
            },
        }
    }
}

/// Returns the first of the units, or the one that an environment variable names if it is among them.
pub(super) fn chosen<U: Copy>(available: &[U], name: fn(U) -> &'static str, variable: &str) -> U {
    let forced = std::env::var(variable).ok();
    let named = available.iter().find(|&&unit| Some(name(unit)) == forced.as_deref());
    *named.unwrap_or(&available[0])
}

fn is_single<F: 'static>() -> bool {
    TypeId::of::<F>() == TypeId::of::<f32>()
}
