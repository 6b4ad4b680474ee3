//! The normal distribution, which the other files measure surprise by.

use std::f64::consts::{PI, SQRT_2};

/// Returns `Φ(x)`, the probability that a standard normal number is below `x`.
pub fn cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / SQRT_2)
}

/// Returns `Φ⁻¹(p)`; infinite at 0 and 1, not a number outside of them.
///
/// A rational approximation (Abramowitz and Stegun 1964, equation 26.2.23, off by at most 4.5e-4) is made exact by
/// Halley's method, whose error is cubed at each step.
pub fn quantile(p: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 {
        return match p {
            0.0 => f64::NEG_INFINITY,
            1.0 => f64::INFINITY,
            _ => f64::NAN,
        };
    }
    let tail = p.min(1.0 - p);
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    // In the lower tail nothing cancels.
    let mut x = above / below - t;
    for _ in 0..3 {
        let step = (cdf(x) - tail) * (2.0 * PI).sqrt() * (x * x / 2.0).exp();
        x -= step / (1.0 + x * step / 2.0);
    }
    if p < 0.5 { x } else { -x }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are `scipy.stats.norm.ppf` (1.17.1).
    #[test]
    fn quantiles_are_those_of_scipy() {
        for (p, expected) in [
            (0.5, 0.0),
            (0.975, 1.959963984540054),
            (0.8, 0.8416212335729143),
            (0.001, -3.090232306167813),
            (1e-12, -7.034483825301132),
        ] {
            assert!(
                (quantile(p) - expected).abs() < 1e-12 * (1.0 + f64::abs(expected)),
                "{p}: {}",
                quantile(p)
            );
            assert!((cdf(quantile(p)) - p).abs() < 1e-14);
        }
        assert!(
            quantile(0.0) == f64::NEG_INFINITY && quantile(1.0) == f64::INFINITY && quantile(2.0).is_nan()
        );
    }
}
