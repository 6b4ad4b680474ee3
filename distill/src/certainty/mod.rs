//! How sure one can be of a figure that was measured on some examples only.
//!
//! Everything here is a function of numbers: it knows no model, no report and no clock, and its randomness is a seed.

mod bootstrap;
mod mcnemar;
mod normal;
mod paired;
#[cfg(test)]
mod tests;

pub use bootstrap::{Interval, LEVEL, MAX_BLOCKS, Resampling, interval};
pub use mcnemar::{EXACT_BELOW, McNemar, McNemarMethod, holm, mcnemar};
pub use normal::{cdf, quantile};
pub use paired::{Needed, difference_of_shares, examples_needed, share};
