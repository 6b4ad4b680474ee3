//! In which precision a student is trained, as a recipe says it.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The precision of matrix products while training. Parameters and their updates are `f32` in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// `bf16` where this machine multiplies it faster, `f32` elsewhere.
    #[default]
    Auto,
    /// Single precision.
    F32,
    /// bfloat16, summed in `f32`.
    Bf16,
}

impl Precision {
    /// Returns the precision that the engine is to use.
    pub fn engine(self) -> student::Precision {
        match self {
            Precision::Auto => student::Precision::auto(),
            Precision::F32 => student::Precision::F32,
            Precision::Bf16 => student::Precision::Bf16,
        }
    }

    /// Decides what was left open.
    pub fn resolved(self) -> Self {
        match self.engine() {
            student::Precision::F32 => Precision::F32,
            student::Precision::Bf16 => Precision::Bf16,
        }
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Precision::Auto),
            "f32" => Ok(Precision::F32),
            "bf16" => Ok(Precision::Bf16),
            _ => Err("the precisions are auto, f32 and bf16".to_owned()),
        }
    }
}
