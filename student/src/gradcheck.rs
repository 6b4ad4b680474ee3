//! Checks of gradients against central differences, for anyone who adds a layer or a loss.
//!
//! In `f64` the two agree to about nine digits; in `f32` noise hides real mistakes, which is why the mathematics of this
//! crate is generic over the number type.

use crate::Real;
use ndarray::{Array, Array1, Array2, Dimension};

/// How far an analytic gradient is from central differences.
#[derive(Clone, Copy, Debug)]
pub struct GradCheck {
    /// The largest error, relative to the largest component of the gradient that is at least this component's size.
    pub worst: f64,
    /// The index of the element with that error.
    pub at: usize,
}

impl GradCheck {
    /// Panics when the gradient is further off than `bound`.
    ///
    /// # Panics
    /// When the worst error is not below `bound`.
    pub fn assert_below(self, bound: f64) {
        assert!(
            self.worst < bound,
            "the gradient of element {} is off by {:e} (bound {bound:e})",
            self.at,
            self.worst
        );
    }
}

/// Compares the gradient that `f` returns at `x` with central differences of the value that it returns.
pub fn gradcheck<D: Dimension>(
    x: &Array<f64, D>,
    mut f: impl FnMut(&Array<f64, D>) -> (f64, Array<f64, D>),
) -> GradCheck {
    let (_, analytic) = f(x);
    let analytic: Vec<f64> = analytic.iter().copied().collect();
    let mut moved = x.clone();
    check_elements(&analytic, 0..x.len(), |i, delta| {
        let element = moved.iter_mut().nth(i).expect("the index is below the length");
        let before = *element;
        *element = before + delta;
        let value = f(&moved).0;
        *moved.iter_mut().nth(i).expect("the index is below the length") = before;
        value
    })
}

/// Compares `analytic` with central differences at the chosen elements. `value(i, delta)` returns the value of the
/// function with element `i` moved by `delta`.
pub fn check_elements(
    analytic: &[f64],
    elements: impl IntoIterator<Item = usize>,
    mut value: impl FnMut(usize, f64) -> f64,
) -> GradCheck {
    const STEP: f64 = 1e-5;
    let largest = analytic.iter().fold(0.0_f64, |max, g| max.max(g.abs()));
    let mut check = GradCheck { worst: 0.0, at: 0 };
    for i in elements {
        let numeric = (value(i, STEP) - value(i, -STEP)) / (2.0 * STEP);
        let floor = (0.01 * largest).max(1e-6);
        let error = (numeric - analytic[i]).abs() / numeric.abs().max(analytic[i].abs()).max(floor);
        if error > check.worst || error.is_nan() {
            check = GradCheck { worst: if error.is_nan() { f64::INFINITY } else { error }, at: i };
        }
    }
    check
}

/// Returns reproducible noise in [-1, 1).
pub fn noise1<F: Real>(len: usize, seed: u64) -> Array1<F> {
    Array1::from_shape_fn(len, |i| F::of(crate::init::uniform(seed, i as u64) * 2.0 - 1.0))
}

/// Returns a matrix of reproducible noise in [-1, 1).
pub fn noise2<F: Real>([rows, columns]: [usize; 2], seed: u64) -> Array2<F> {
    noise1(rows * columns, seed).into_shape_with_order((rows, columns)).expect("the length is the product")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_gradient_passes_and_a_planted_error_is_seen() {
        let x = noise2([3, 4], 1);
        let cube = |x: &Array2<f64>| (x.mapv(|x| x.powi(3)).sum(), x.mapv(|x| 3.0 * x * x));
        gradcheck(&x, cube).assert_below(1e-6);
        let planted = gradcheck(&x, |x| {
            let (value, mut gradient) = cube(x);
            gradient[[2, 1]] *= 1.001;
            (value, gradient)
        });
        assert!(planted.worst > 1e-4, "{planted:?}");
        assert!(gradcheck(&x, |x| (f64::NAN, x.clone())).worst.is_infinite());
    }
}
