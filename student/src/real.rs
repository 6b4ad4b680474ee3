//! The numbers the mathematics is written for: `f32` to work, `f64` to check gradients.

use ndarray::{ArrayView2, ArrayViewMut2, NdFloat};
use std::iter::Sum;

/// A floating-point number that layers, losses and kernels can compute with.
pub trait Real: NdFloat + Sum {
    /// Returns the nearest representable value.
    fn of(value: f64) -> Self;

    /// Returns the value as `f64`.
    fn f64(self) -> f64;

    /// Returns `eˣ`; in `f32` a branch-free polynomial that the compiler can vectorise.
    #[inline(always)]
    fn fast_exp(self) -> Self {
        self.fast_exp_with(|a, b, c| a * b + c)
    }

    /// Returns `eˣ` as [`Real::fast_exp`] does, with `mul_add(a, b, c)` for every `a b + c`.
    fn fast_exp_with(self, mul_add: impl Fn(Self, Self, Self) -> Self) -> Self;

    /// Returns the standard normal distribution `(Φ(x), φ(x))`: cumulative probability and density.
    #[inline(always)]
    fn normal(self) -> (Self, Self) {
        self.normal_with(|a, b, c| a * b + c)
    }

    /// Returns the normal distribution as [`Real::normal`] does, with `mul_add(a, b, c)` for every `a b + c`.
    fn normal_with(self, mul_add: impl Fn(Self, Self, Self) -> Self) -> (Self, Self);

    /// Returns the same matrix if it is of `f32` already, for kernels that know no other numbers.
    fn view_f32(x: ArrayView2<'_, Self>) -> Option<ArrayView2<'_, f32>>;

    /// Returns the same matrix for change if it is of `f32` already.
    fn view_f32_mut(x: ArrayViewMut2<'_, Self>) -> Option<ArrayViewMut2<'_, f32>>;
}

impl Real for f32 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn f64(self) -> f64 {
        f64::from(self)
    }

    /// Relative error below 2e-7; arguments are clamped to [-87, 88], so results are never subnormal or infinite.
    ///
    /// `eˣ = 2ⁿ · eʳ` with `n = round(x / ln 2)` and `|r| ≤ ln 2 / 2`, as in the Cephes library.
    #[inline(always)]
    fn fast_exp_with(self, mul_add: impl Fn(Self, Self, Self) -> Self) -> Self {
        const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it leaves the rounded integer in the low bits
        let x = self.clamp(-87.0, 88.0);
        let shifted = mul_add(x, std::f32::consts::LOG2_E, ROUND);
        let n = shifted - ROUND;
        let r = mul_add(n, 2.121_944_4e-4, mul_add(n, -0.693_359_4, x));
        let mut p = 1.987_569_2e-4;
        for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
            p = mul_add(p, r, c);
        }
        let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
        (mul_add(p * r, r, r) + 1.0) * scale
    }

    /// Absolute error below 4e-7: Abramowitz and Stegun, formula 7.1.26, which shares its exponential with the density.
    #[inline(always)]
    fn normal_with(self, mul_add: impl Fn(Self, Self, Self) -> Self) -> (Self, Self) {
        const INV_SQRT_2PI: f32 = 0.398_942_3;
        let z = self.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let gauss = (-z * z).fast_exp_with(&mul_add);
        let t = mul_add(0.327_591_1, z, 1.0).recip();
        let mut p = 1.061_405_4;
        for c in [-1.453_152, 1.421_413_7, -0.284_496_72, 0.254_829_6] {
            p = mul_add(p, t, c);
        }
        let tail = 0.5 * p * t * gauss;
        let cdf = if self < 0.0 { tail } else { 1.0 - tail };
        (cdf, INV_SQRT_2PI * gauss)
    }

    #[inline]
    fn view_f32(x: ArrayView2<'_, Self>) -> Option<ArrayView2<'_, f32>> {
        Some(x)
    }

    #[inline]
    fn view_f32_mut(x: ArrayViewMut2<'_, Self>) -> Option<ArrayViewMut2<'_, f32>> {
        Some(x)
    }
}

impl Real for f64 {
    #[inline]
    fn of(value: f64) -> Self {
        value
    }

    #[inline]
    fn f64(self) -> f64 {
        self
    }

    #[inline]
    fn fast_exp_with(self, _: impl Fn(Self, Self, Self) -> Self) -> Self {
        self.exp()
    }

    #[inline]
    fn normal_with(self, _: impl Fn(Self, Self, Self) -> Self) -> (Self, Self) {
        let cdf = 0.5 * libm::erfc(-self * std::f64::consts::FRAC_1_SQRT_2);
        let density = (-0.5 * self * self).exp() / (2.0 * std::f64::consts::PI).sqrt();
        (cdf, density)
    }

    #[inline]
    fn view_f32(_: ArrayView2<'_, Self>) -> Option<ArrayView2<'_, f32>> {
        None
    }

    #[inline]
    fn view_f32_mut(_: ArrayViewMut2<'_, Self>) -> Option<ArrayViewMut2<'_, f32>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> impl Iterator<Item = f32> {
        (-8700..8800).map(|i| i as f32 * 0.01)
    }

    #[test]
    fn fast_exp_agrees_with_the_library() {
        for x in grid() {
            let exact = f64::from(x).exp();
            let error = (f64::from(x.fast_exp()) - exact).abs() / exact;
            assert!(error < 2e-7, "exp({x}): relative error {error:e}");
        }
    }

    #[test]
    fn fast_exp_of_very_negative_numbers_is_almost_zero() {
        for x in [-88.0, -1e4, f32::MIN, f32::NEG_INFINITY] {
            assert!((0.0..1.7e-38).contains(&x.fast_exp()), "exp({x}) = {:e}", x.fast_exp());
        }
    }

    #[test]
    fn the_normal_distribution_agrees_with_double_precision() {
        for x in grid().map(|x| x * 0.2) {
            let (exact_cdf, exact_density) = f64::from(x).normal();
            for (cdf, density) in [x.normal(), x.normal_with(f32::mul_add)] {
                assert!((f64::from(cdf) - exact_cdf).abs() < 4e-7, "cdf({x})");
                assert!((f64::from(density) - exact_density).abs() < 4e-7, "density({x})");
            }
        }
    }
}
