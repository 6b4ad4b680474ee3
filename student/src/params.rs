//! The parameters as a forward or backward pass sees them.

use crate::{Arena, Precision};
use std::ops::Deref;

/// Parameters, and the precision in which they are multiplied.
pub struct Params<'a, F = f32> {
    arena: &'a Arena<F>,
    precision: Precision,
}

impl<'a, F> Params<'a, F> {
    /// Sets out to multiply the parameters of `arena` in a precision. Numbers other than `f32` are multiplied as they are.
    pub fn new(arena: &'a Arena<F>, precision: Precision) -> Self {
        Params { arena, precision }
    }

    /// Returns the precision of products.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}

impl<'a, F> From<&'a Arena<F>> for Params<'a, F> {
    fn from(arena: &'a Arena<F>) -> Self {
        Params::new(arena, Precision::F32)
    }
}

impl<F> Deref for Params<'_, F> {
    type Target = Arena<F>;

    fn deref(&self) -> &Arena<F> {
        self.arena
    }
}
