//! How much a term counts: always the same, or more and more, or less and less.

use crate::error::explained;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The factor of a loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a weight is a number, or `{ from = 0.0, to = 1.0, over = 0.5 }`")]
pub enum Weight {
    /// The same in all updates.
    Constant(f64),
    /// In a straight line from one to another.
    Ramp(Ramp),
}

/// A weight that rises or falls in a straight line, and then stays.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// The weight in the first update.
    pub from: f64,
    /// The weight in the end.
    pub to: f64,
    /// The share of all updates after which that is reached.
    pub over: f64,
}

impl Weight {
    /// Returns the weight when this share of all updates has been made.
    pub fn at(self, done: f64) -> f64 {
        match self {
            Weight::Constant(weight) => weight,
            Weight::Ramp(Ramp { from, to, over }) => from + (to - from) * (done / over).min(1.0),
        }
    }

    /// Returns the weight in the end.
    pub fn last(self) -> f64 {
        self.at(1.0)
    }

    /// Says whether a term of this weight never counts.
    pub fn is_zero(self) -> bool {
        self == Weight::Constant(0.0)
    }

    /// Refuses what no term can be weighed with; `name`: of the term.
    ///
    /// # Errors
    /// When a weight is negative or no number, or a ramp has no length or goes from nothing to nothing.
    pub fn check(self, name: &str) -> Result<()> {
        let is_weight = |weight: f64| weight.is_finite() && weight >= 0.0;
        let fits = match self {
            Weight::Constant(weight) => is_weight(weight),
            Weight::Ramp(Ramp { from, to, over }) => {
                is_weight(from) && is_weight(to) && from + to > 0.0 && over > 0.0 && over <= 1.0
            }
        };
        let hint = match self {
            Weight::Constant(_) => "weights are positive numbers; leave a term out by giving it the weight 0",
            Weight::Ramp(_) => {
                "a ramp goes from one number that is not negative to another, over a share of the updates above 0 and up to 1"
            }
        };
        if fits { Ok(()) } else { Err(explained(format!("the weight of `{name}` is `{self}`"), hint)) }
    }
}

impl From<f64> for Weight {
    fn from(weight: f64) -> Self {
        Weight::Constant(weight)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Weight::Constant(weight) => weight.fmt(f),
            Weight::Ramp(Ramp { from, to, over }) => {
                write!(f, "{from} to {to} in the first {}\u{a0}%", over * 100.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;

    fn ramp(from: f64, to: f64, over: f64) -> Weight {
        Weight::Ramp(Ramp { from, to, over })
    }

    #[test]
    fn a_ramp_goes_straight_from_one_weight_to_another_and_stays() {
        for (weight, done, expected) in [
            (Weight::Constant(0.3), 0.9, 0.3),
            (ramp(1.0, 3.0, 0.5), 0.0, 1.0),
            (ramp(1.0, 3.0, 0.5), 0.25, 2.0),
            (ramp(1.0, 3.0, 0.5), 0.5, 3.0),
            (ramp(1.0, 3.0, 0.5), 1.0, 3.0),
            (ramp(1.0, 0.0, 1.0), 0.75, 0.25),
        ] {
            assert_eq!(weight.at(done), expected, "{weight} at {done}");
        }
        assert_eq!(ramp(1.0, 0.0, 0.5).last(), 0.0);
        assert!(!ramp(1.0, 0.0, 0.5).is_zero() && Weight::from(0.0).is_zero());
    }

    #[test]
    fn what_is_no_weight_is_refused_with_a_hint() {
        for weight in [
            Weight::from(-1.0),
            f64::NAN.into(),
            f64::INFINITY.into(),
            ramp(0.0, 0.0, 0.5),
            ramp(-1.0, 1.0, 0.5),
            ramp(0.0, 1.0, 0.0),
            ramp(0.0, 1.0, 1.5),
            ramp(0.0, f64::NAN, 0.5),
        ] {
            let error = weight.check("kl").unwrap_err();
            assert!(error.to_string().contains("the weight of `kl` is"), "{error}");
            assert!(hint_of(&error).is_some());
        }
        ramp(0.0, 1.0, 1.0).check("kl").unwrap();
    }

    #[test]
    fn a_weight_is_written_as_it_is_read() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Holder {
            kl: Weight,
        }
        for text in ["kl = 0.5\n", "[kl]\nfrom = 0.0\nto = 1.0\nover = 0.25\n"] {
            let holder: Holder = toml::from_str(text).unwrap();
            assert_eq!(toml::to_string(&holder).unwrap(), text);
        }
        assert_eq!(toml::from_str::<Holder>("kl = 1").unwrap().kl, Weight::from(1.0));
        for text in
            ["kl = \"much\"", "kl = { from = 0, to = 1 }", "kl = { from = 0, to = 1, over = 1, by = 2 }"]
        {
            let error = toml::from_str::<Holder>(text).unwrap_err();
            assert!(error.message().contains("a weight is a number, or"), "{error}");
        }
    }
}
