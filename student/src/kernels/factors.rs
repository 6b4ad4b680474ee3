//! What a linear map multiplies, packed once for all products that read it.

use super::Precision;
use super::packed::{self, Activation, Onto, Order, Unit};
use crate::Real;
use ndarray::{ArcArray2, Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2};
use std::sync::Arc;

/// The input of linear maps.
#[derive(Clone)]
pub struct Input<F>(Arc<Activation<F>>);

/// The derivative of an activation at every element.
pub struct Derivative<F>(packed::Derivative<F>);

/// The gradient of the output of a linear map.
pub struct Gradient<F>(packed::Gradient<F>);

impl<F: Real> Input<F> {
    /// Prepares `x`, [N, in], for products.
    pub fn new(x: ArcArray2<F>, precision: Precision) -> Self {
        Input(Arc::new(Activation::pack(Unit::of::<F>(precision), x.view())))
    }

    /// Returns `x wᵀ + b`, [N, out]. Shapes: `w`: [out, in], `b`: `[out]`.
    pub fn affine(&self, w: ArrayView2<'_, F>, b: ArrayView1<'_, F>) -> Array2<F> {
        let Activation { shape: [rows, _], left, .. } = &*self.0;
        let w = packed::pack(left.unit(), w, Order::RightTransposed);
        packed::new_product(left, &w, [*rows, b.len()], Some(contiguous(&b)))
    }

    /// Returns `GELU(x wᵀ + b)`, [N, out], as the input of the next map, and the derivative of GELU.
    pub fn affine_gelu(&self, w: ArrayView2<'_, F>, b: ArrayView1<'_, F>) -> (Input<F>, Derivative<F>) {
        let Activation { shape: [rows, _], left, .. } = &*self.0;
        let (unit, shape) = (left.unit(), [*rows, b.len()]);
        let w = packed::pack(unit, w, Order::RightTransposed);
        // SAFETY: a product gives every square of its result to its sink, which writes it.
        let (mut value, mut derivative) =
            unsafe { (Activation::uninit(unit, shape), packed::Derivative::uninit(unit, shape)) };
        packed::product(left, &w, &packed::Gelu::new(contiguous(&b), &mut value, &mut derivative));
        (Input(Arc::new(value)), Derivative(derivative))
    }
}

impl<F: Real> Gradient<F> {
    /// Prepares `d_y`, [N, out], for products.
    pub fn new(d_y: Array2<F>, precision: Precision) -> Self {
        Gradient(packed::Gradient::pack(Unit::of::<F>(precision), d_y.view()))
    }

    /// Returns `Σₙ dy`, `[out]`.
    pub fn column_sums(&self) -> Array1<F> {
        self.0.column_sums()
    }

    /// Adds `dyᵀ x` to `d_w`, [out, in]. `x`: [N, in].
    pub fn add_weight_gradient(&self, x: &Input<F>, d_w: ArrayViewMut2<'_, F>) {
        packed::product_onto(&self.0.transposed, &x.0.right, d_w, Onto::Sum);
    }

    /// Returns `dx = dy w`, [N, in]. `w`: [out, in].
    pub fn times(&self, w: ArrayView2<'_, F>) -> Array2<F> {
        let shape = [self.0.shape[0], w.ncols()];
        packed::new_product(&self.0.left, &self.on_the_right(w), shape, None)
    }

    /// Adds `dy w` to `d_x`, [N, in]. `w`: [out, in].
    pub fn add_times(&self, w: ArrayView2<'_, F>, d_x: &mut Array2<F>) {
        packed::product_onto(&self.0.left, &self.on_the_right(w), d_x.view_mut(), Onto::Sum);
    }

    /// Returns `(dy w) ∘ derivative`, [N, in], as the gradient of the output of the map before.
    pub fn times_derivative(&self, w: ArrayView2<'_, F>, derivative: Derivative<F>) -> Gradient<F> {
        let shape = [self.0.shape[0], w.ncols()];
        // SAFETY: a product gives every square of its result to its sink, which writes it.
        let mut gradient = unsafe { packed::Gradient::uninit(self.0.left.unit(), shape) };
        let sink = packed::Multiply::new(&derivative.0, &mut gradient);
        packed::product(&self.0.left, &self.on_the_right(w), &sink);
        Gradient(gradient)
    }

    fn on_the_right(&self, w: ArrayView2<'_, F>) -> packed::Tiles<F> {
        packed::pack(self.0.left.unit(), w, Order::Right)
    }
}

fn contiguous<'a, F>(x: &'a ArrayView1<'_, F>) -> &'a [F] {
    x.as_slice().expect("a vector of an arena is contiguous")
}
