//! In which precision the factors of products are held.

use super::packed::Bf16Unit;
use std::fmt;

/// The precision of the factors of matrix products; parameters, moments and sums are `f32` in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16: the range of `f32` with 8 bits of precision (Kalamkar et al. 2019).
    Bf16,
}

impl Precision {
    /// Returns the precision that trains fastest on this processor.
    pub fn auto() -> Self {
        if Bf16Unit::best().is_worthwhile() { Precision::Bf16 } else { Precision::F32 }
    }

    /// Returns what multiplies attention's factors if they are rounded: where the processor gains nothing by it, they are
    /// not, whatever the precision of parameters.
    pub(crate) fn unit(self) -> Option<Bf16Unit> {
        (self == Precision::Bf16).then(Bf16Unit::best).filter(|unit| unit.is_worthwhile())
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Precision::F32 => write!(f, "f32"),
            Precision::Bf16 => write!(f, "bf16"),
        }
    }
}

/// Returns the unit that multiplies bfloat16 on this processor: `amx`, `avx512` or `portable`.
pub fn bf16_unit() -> &'static str {
    Bf16Unit::best().name()
}
