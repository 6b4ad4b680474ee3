//! Layer normalisation (Ba, Kiros and Hinton 2016).

use crate::kernels::{for_row_pairs, for_rows, sum_rows, vectorized};
use crate::{Arena, Real, Scope, Slot};
use ndarray::Array2;

/// Normalises each row to mean 0 and variance 1, then scales and shifts it.
pub struct LayerNorm {
    /// The address of the scale γ, `[H]`.
    pub weight: Slot<1>,
    /// The address of the shift β, `[H]`.
    pub bias: Slot<1>,
    /// What is added to the variance, ε.
    pub epsilon: f64,
}

/// What the backward pass of a [`LayerNorm`] needs.
pub struct LayerNormSaved<F> {
    normalized: Array2<F>,
    inverse_deviation: Array2<F>,
}

impl LayerNorm {
    /// Declares the normalisation of rows of `width`.
    pub fn declare(mut scope: Scope<'_>, width: usize, epsilon: f64) -> Self {
        LayerNorm { weight: scope.scale("weight", width), bias: scope.bias("bias", width), epsilon }
    }

    /// `x̂ = (x − mean x) / √(var x + ε)`, `y = γ x̂ + β`, row by row.  `x`, `y`: [N, H].
    pub fn forward<F: Real>(&self, params: &Arena<F>, mut x: Array2<F>) -> (Array2<F>, LayerNormSaved<F>) {
        let (gamma, beta) = (params.vector(self.weight), params.vector(self.bias));
        let epsilon = F::of(self.epsilon);
        let mut inverse_deviation = Array2::zeros((x.nrows(), 1));
        for_row_pairs(&mut x, &mut inverse_deviation, |_, x, inverse_deviation| {
            vectorized(|| inverse_deviation[0] = normalize(x, epsilon));
        });
        let mut y = Array2::zeros(x.dim());
        for_rows(&mut y, |n, y| {
            for (((y, &x), &gamma), &beta) in y.iter_mut().zip(x.row(n)).zip(gamma).zip(beta) {
                *y = gamma * x + beta;
            }
        });
        (y, LayerNormSaved { normalized: x, inverse_deviation })
    }

    /// `dx = (g − mean g − x̂ · mean(g x̂)) / σ` with `g = γ dy`; `dγ += Σₙ dy x̂`, `dβ += Σₙ dy`.
    pub fn backward<F: Real>(
        &self,
        params: &Arena<F>,
        saved: LayerNormSaved<F>,
        mut d_y: Array2<F>,
        grads: &mut Arena<F>,
    ) -> Array2<F> {
        let LayerNormSaved { normalized, inverse_deviation } = saved;
        let width = d_y.ncols();
        let sums = sum_rows(d_y.nrows(), 2 * width, |n, sum| {
            let (d_gamma, d_beta) = sum.split_at_mut(width);
            let rows = d_gamma.iter_mut().zip(d_beta).zip(d_y.row(n)).zip(normalized.row(n));
            rows.for_each(|(((d_gamma, d_beta), &d), &x)| {
                *d_gamma += d * x;
                *d_beta += d;
            });
        });
        let (d_gamma, d_beta) = sums.view().split_at(ndarray::Axis(0), width);
        let mut weight = grads.vector_mut(self.weight);
        weight += &d_gamma;
        let mut bias = grads.vector_mut(self.bias);
        bias += &d_beta;

        let gamma = params.vector(self.weight);
        let gamma = gamma.as_slice().expect("a vector of an arena is contiguous");
        for_rows(&mut d_y, |n, d| {
            let x = normalized.row(n);
            let x = x.to_slice().expect("rows are contiguous");
            vectorized(|| denormalize(d, x, gamma, inverse_deviation[[n, 0]]));
        });
        d_y
    }
}

/// Normalises a row in place and returns `1 / √(var + ε)`.
#[inline(always)]
fn normalize<F: Real>(x: &mut [F], epsilon: F) -> F {
    let width = F::of(x.len() as f64);
    let mean = sum(x, |x| x) / width;
    let variance = sum(x, |x| (x - mean) * (x - mean)) / width;
    let inverse_deviation = F::one() / (variance + epsilon).sqrt();
    x.iter_mut().for_each(|x| *x = (*x - mean) * inverse_deviation);
    inverse_deviation
}

/// Turns the gradient of a row's output into that of its input.
#[inline(always)]
fn denormalize<F: Real>(d: &mut [F], x: &[F], gamma: &[F], inverse_deviation: F) {
    let width = F::of(d.len() as f64);
    d.iter_mut().zip(gamma).for_each(|(d, &gamma)| *d *= gamma);
    let mean = sum(d, |d| d) / width;
    let mut products = [F::zero(); LANES];
    for (d, x) in d.chunks(LANES).zip(x.chunks(LANES)) {
        products.iter_mut().zip(d).zip(x).for_each(|((sum, &d), &x)| *sum += d * x);
    }
    let mean_product = products.into_iter().sum::<F>() / width;
    for (d, &x) in d.iter_mut().zip(x) {
        *d = (*d - mean - x * mean_product) * inverse_deviation;
    }
}

/// Partial sums that run side by side: a vector's worth, in a fixed order.
const LANES: usize = 16;

#[inline(always)]
fn sum<F: Real>(x: &[F], term: impl Fn(F) -> F) -> F {
    let mut lanes = [F::zero(); LANES];
    for chunk in x.chunks(LANES) {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &x)| *lane += term(x));
    }
    lanes.into_iter().sum()
}
