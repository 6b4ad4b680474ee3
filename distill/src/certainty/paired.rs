//! Shares of examples: one, the difference of two on the same examples, and how many examples a decision would take.

use super::bootstrap::{Interval, LEVEL};
use super::normal::quantile;
use serde::Serialize;

/// With which probability the examples that are said to be needed would decide.
const POWER: f64 = 0.8;
/// What is not decided by so many examples is not decided by examples.
const TOO_MANY: f64 = 1e7;

/// How many examples would decide a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Needed {
    /// About so many, two digits of which mean something.
    About(u64),
    /// More than ten million: the difference that was seen lies on the margin itself.
    TooMany,
}

/// Returns the interval of a share, `right` of `rows` (Wilson 1927), which does not shrink to a point at 0 or 1.
pub fn share(right: f64, rows: f64) -> Option<Interval> {
    if rows <= 0.0 {
        return None;
    }
    let z2 = z().powi(2);
    let centre = (right + z2 / 2.0) / (rows + z2);
    let half = z() * (right * (rows - right) / rows + z2 / 4.0).sqrt() / (rows + z2);
    Some(Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) })
}

/// Returns the interval of the difference of two shares on the same examples, second less first (Tango 1998,
/// "Equivalence test and confidence interval for the difference in proportions for the paired-sample design", section 3).
///
/// `broken`: the examples that only the first has right; `fixed`: only the second. It inverts the score test, so that it
/// has a width where the two never disagree: `± z² / (n + z²)`.
pub fn difference_of_shares(broken: u64, fixed: u64, rows: u64) -> Option<Interval> {
    if rows == 0 {
        return None;
    }
    let (b, c, n) = (fixed as f64, broken as f64, rows as f64);
    let score = |delta: f64| {
        // The share that only the first has right, at its likeliest if the difference is `delta`.
        let linear = -b - c + (2.0 * n - b + c) * delta;
        let root = (linear * linear + 8.0 * n * c * delta * (1.0 - delta)).max(0.0).sqrt();
        let only_first = (root - linear) / (4.0 * n);
        let variance = n * (2.0 * only_first + delta * (1.0 - delta));
        let away = b - c - n * delta;
        if variance > 0.0 { away / variance.sqrt() } else { away.signum() * f64::INFINITY }
    };
    let seen = (b - c) / n;
    let low = bisect(-1.0, seen, |delta| score(delta) > z());
    let high = bisect(seen, 1.0, |delta| score(delta) > -z());
    Some(Interval { low, high })
}

/// Returns the number of examples with which an interval would lie on one side of `limit` four times in five, if the
/// difference is the one that was seen: `n (z₀.₉₇₅ + z₀.₈)² s² / (difference − limit)²`.
///
/// `standard_error`: of the difference on the `rows` that there are. Of shares, `n s²` is the share of examples on which
/// the two disagree, less the difference squared.
pub fn examples_needed(difference: f64, limit: f64, standard_error: f64, rows: u64) -> Needed {
    let distances = (z() + quantile(POWER)) * standard_error / (difference - limit);
    let needed = rows as f64 * distances * distances;
    if needed.is_nan() || needed > TOO_MANY {
        return Needed::TooMany;
    }
    let digits = 10_f64.powf((needed.max(1.0).log10().floor() - 1.0).max(0.0));
    Needed::About(((needed / digits).ceil() * digits) as u64)
}

fn z() -> f64 {
    quantile(0.5 + LEVEL / 2.0)
}

/// Returns where `is_below` changes from true to false.
fn bisect(mut low: f64, mut high: f64, is_below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if is_below(middle) { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<Interval>, low: f64, high: f64) -> bool {
        found.is_some_and(|found| (found.low - low).abs() < 1e-6 && (found.high - high).abs() < 1e-6)
    }

    /// Expected values are `statsmodels.stats.proportion.proportion_confint(method="wilson")` (0.14).
    #[test]
    fn the_interval_of_a_share_is_wilsons() {
        assert!(close(share(8.0, 10.0), 0.490162, 0.943318), "{:?}", share(8.0, 10.0));
        assert!(close(share(10.0, 10.0), 0.722467, 1.0));
        assert_eq!(share(0.0, 0.0), None);
    }

    #[test]
    fn two_models_that_never_disagree_may_still_differ() {
        let z2 = z() * z();
        let found = difference_of_shares(0, 0, 100);
        assert!(close(found, -z2 / (100.0 + z2), z2 / (100.0 + z2)), "{found:?}");
        assert_eq!(difference_of_shares(0, 0, 0), None);
        let (one, other) = (difference_of_shares(9, 4, 60).unwrap(), difference_of_shares(4, 9, 60).unwrap());
        assert!((one.low + other.high).abs() < 1e-9 && (one.high + other.low).abs() < 1e-9);
    }

    #[test]
    fn more_examples_are_needed_the_nearer_the_difference_lies_to_the_limit() {
        let needed = |difference| examples_needed(difference, -0.01, 0.008, 872);
        // 872 * (1.95996 + 0.84162)^2 * 0.008^2 / 0.01^2 = 4380.4
        assert_eq!(needed(0.0), Needed::About(4400));
        assert_eq!((needed(-0.01), needed(-0.0099999)), (Needed::TooMany, Needed::TooMany));
    }
}
