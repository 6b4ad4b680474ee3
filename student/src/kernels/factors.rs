//! What a linear map multiplies, prepared once for all products that read it, in either precision.

use super::bf16::{self, Order, Unit};
use super::{Onto, Precision, gelu, matmul_add, matmul_onto, multiply, sum_rows};
use crate::Real;
use ndarray::{ArcArray2, Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2};
use std::sync::Arc;

/// The input of linear maps.
#[derive(Clone)]
pub struct Input<F>(Arc<InputKind<F>>);

enum InputKind<F> {
    Plain(ArcArray2<F>),
    Packed(bf16::Activation),
}

/// The derivative of an activation at every element.
pub struct Derivative<F>(DerivativeKind<F>);

enum DerivativeKind<F> {
    Plain(Array2<F>),
    Packed(bf16::Derivative),
}

/// The gradient of the output of a linear map.
pub struct Gradient<F>(GradientKind<F>);

enum GradientKind<F> {
    Plain(Array2<F>),
    Packed(bf16::Gradient),
}

impl<F: Real> Input<F> {
    /// Prepares `x`, [N, in], for products.
    pub fn new(x: ArcArray2<F>, precision: Precision) -> Self {
        let packed = match (precision, F::view_f32(x.view())) {
            (Precision::Bf16, Some(x)) => Some(bf16::Activation::pack(Unit::best(), x)),
            _ => None,
        };
        Input::from(packed.map_or_else(|| InputKind::Plain(x), InputKind::Packed))
    }

    fn from(kind: InputKind<F>) -> Self {
        Input(Arc::new(kind))
    }

    /// Returns `x wᵀ + b`, [N, out]. Shapes: `w`: [out, in], `b`: `[out]`.
    pub fn affine(&self, w: ArrayView2<'_, F>, b: ArrayView1<'_, F>) -> Array2<F> {
        match &*self.0 {
            InputKind::Plain(x) => {
                let mut y = Array2::zeros((x.nrows(), b.len()));
                y += &b;
                matmul_add(y.view_mut(), x.view(), w.t());
                y
            }
            InputKind::Packed(x) => {
                let unit = Unit::best();
                let w = bf16::pack(unit, f32_view(w), Order::RightTransposed);
                let shape = [x.shape[0], b.len()];
                F::from_f32(bf16::new_product(unit, &x.left, &w, shape, F::slice_f32(contiguous(&b))))
            }
        }
    }

    /// Returns `GELU(x wᵀ + b)`, [N, out], as the input of the next map, and the derivative of GELU.
    pub fn affine_gelu(&self, w: ArrayView2<'_, F>, b: ArrayView1<'_, F>) -> (Input<F>, Derivative<F>) {
        match &*self.0 {
            InputKind::Plain(_) => {
                let mut y = self.affine(w, b);
                let derivative = gelu(&mut y);
                (
                    Input::from(InputKind::Plain(y.into_shared())),
                    Derivative(DerivativeKind::Plain(derivative)),
                )
            }
            InputKind::Packed(x) => {
                let unit = Unit::best();
                let shape = [x.shape[0], b.len()];
                // SAFETY: a product gives every square of its result to its sink, which writes it.
                let (mut value, mut derivative) =
                    unsafe { (bf16::Activation::uninit(shape), bf16::Derivative::uninit(shape)) };
                let w = bf16::pack(unit, f32_view(w), Order::RightTransposed);
                let bias = F::slice_f32(contiguous(&b)).expect(PACKED);
                let sink = bf16::Gelu::new(unit, shape[0], bias, &mut value, &mut derivative);
                bf16::product(unit, &x.left, &w, &sink);
                (Input::from(InputKind::Packed(value)), Derivative(DerivativeKind::Packed(derivative)))
            }
        }
    }
}

impl<F: Real> Gradient<F> {
    /// Prepares `d_y`, [N, out], for products.
    pub fn new(d_y: Array2<F>, precision: Precision) -> Self {
        let packed = match (precision, F::view_f32(d_y.view())) {
            (Precision::Bf16, Some(d_y)) => Some(bf16::Gradient::pack(Unit::best(), d_y)),
            _ => None,
        };
        Gradient(packed.map_or_else(|| GradientKind::Plain(d_y), GradientKind::Packed))
    }

    /// Returns `Σₙ dy`, `[out]`.
    pub fn column_sums(&self) -> Array1<F> {
        match &self.0 {
            GradientKind::Plain(d_y) => sum_rows(d_y.nrows(), d_y.ncols(), |n, sum| {
                sum.iter_mut().zip(d_y.row(n)).for_each(|(sum, &d)| *sum += d);
            }),
            GradientKind::Packed(d_y) => d_y.column_sums().mapv(|sum| F::of(f64::from(sum))),
        }
    }

    /// Adds `dyᵀ x` to `d_w`, [out, in]. `x`: [N, in].
    pub fn add_weight_gradient(&self, x: &Input<F>, d_w: ArrayViewMut2<'_, F>) {
        match (&self.0, &*x.0) {
            (GradientKind::Plain(d_y), InputKind::Plain(x)) => matmul_add(d_w, d_y.t(), x.view()),
            (GradientKind::Packed(d_y), InputKind::Packed(x)) => {
                let d_w = F::view_f32_mut(d_w).expect(PACKED);
                bf16::product_onto(Unit::best(), &d_y.transposed, &x.right, d_w, Onto::Sum);
            }
            _ => unreachable!("input and gradient of one map are of one precision"),
        }
    }

    /// Returns `dx = dy w`, [N, in]. `w`: [out, in].
    pub fn times(&self, w: ArrayView2<'_, F>) -> Array2<F> {
        match &self.0 {
            GradientKind::Plain(d_y) => {
                let mut d_x = Array2::zeros((d_y.nrows(), w.ncols()));
                matmul_onto(d_x.view_mut(), d_y.view(), w, Onto::Nothing);
                d_x
            }
            GradientKind::Packed(d_y) => {
                let (unit, shape) = (Unit::best(), [d_y.shape[0], w.ncols()]);
                let w = bf16::pack(unit, f32_view(w), Order::Right);
                F::from_f32(bf16::new_product(unit, &d_y.left, &w, shape, None))
            }
        }
    }

    /// Adds `dy w` to `d_x`, [N, in]. `w`: [out, in].
    pub fn add_times(&self, w: ArrayView2<'_, F>, d_x: &mut Array2<F>) {
        match &self.0 {
            GradientKind::Plain(d_y) => matmul_add(d_x.view_mut(), d_y.view(), w),
            GradientKind::Packed(d_y) => {
                let unit = Unit::best();
                let w = bf16::pack(unit, f32_view(w), Order::Right);
                let d_x = F::view_f32_mut(d_x.view_mut()).expect(PACKED);
                bf16::product_onto(unit, &d_y.left, &w, d_x, Onto::Sum);
            }
        }
    }

    /// Returns `(dy w) ∘ derivative`, [N, in], as the gradient of the output of the map before.
    pub fn times_derivative(&self, w: ArrayView2<'_, F>, derivative: Derivative<F>) -> Gradient<F> {
        match (&self.0, derivative.0) {
            (GradientKind::Plain(d_y), DerivativeKind::Plain(derivative)) => {
                let mut d = Array2::zeros(derivative.dim());
                matmul_onto(d.view_mut(), d_y.view(), w, Onto::Nothing);
                multiply(&mut d, &derivative);
                Gradient(GradientKind::Plain(d))
            }
            (GradientKind::Packed(d_y), DerivativeKind::Packed(derivative)) => {
                let unit = Unit::best();
                // SAFETY: a product gives every square of its result to its sink, which writes it.
                let mut gradient = unsafe { bf16::Gradient::uninit([d_y.shape[0], w.ncols()]) };
                let w = bf16::pack(unit, f32_view(w), Order::Right);
                bf16::product(unit, &d_y.left, &w, &bf16::Multiply::new(unit, &derivative, &mut gradient));
                Gradient(GradientKind::Packed(gradient))
            }
            _ => unreachable!("derivative and gradient of one map are of one precision"),
        }
    }
}

const PACKED: &str = "packed factors are made of `f32` alone";

fn f32_view<F: Real>(x: ArrayView2<'_, F>) -> ArrayView2<'_, f32> {
    F::view_f32(x).expect(PACKED)
}

fn contiguous<'a, F>(x: &'a ArrayView1<'_, F>) -> &'a [F] {
    x.as_slice().expect("a vector of an arena is contiguous")
}
