//! The three products of a linear map, one at a time.

use super::Work;
use crate::gradcheck::noise2;
use crate::layers::{Gradient, Input, Linear};
use crate::{Arena, Layout, Params, Precision, init};
use std::hint::black_box;

/// Which product of a linear map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProductKind {
    /// `y = x Wᵀ + b`.
    Forward,
    /// `dx = dy W`.
    ToInput,
    /// `dW += dyᵀ x`.
    ToWeight,
}

impl ProductKind {
    /// All three, in the order of a step.
    pub const ALL: [ProductKind; 3] = [ProductKind::Forward, ProductKind::ToInput, ProductKind::ToWeight];
}

/// One product of a linear map; `x` and `dy` are prepared for products beforehand, the weight is not.
pub struct Product {
    kind: ProductKind,
    shape: [usize; 3],
    precision: Precision,
    map: Linear,
    params: Arena,
    grads: Arena,
    x: Input<f32>,
    d_y: Gradient<f32>,
}

impl Product {
    /// Makes a product for `[N, in, out]`: `x` is [N, in], `W` [out, in], `dy` [N, out].
    pub fn new(kind: ProductKind, shape @ [rows, input, output]: [usize; 3], precision: Precision) -> Self {
        let mut layout = Layout::default();
        let map = Linear::declare(layout.scope("map"), input, output);
        Product {
            kind,
            shape,
            precision,
            map,
            params: init::random(&layout, 0.02, 1),
            grads: Arena::zeros(&layout),
            x: Input::new(noise2([rows, input], 2).into_shared(), precision),
            d_y: Gradient::new(noise2([rows, output], 3), precision),
        }
    }
}

impl Work for Product {
    fn flops(&self) -> f64 {
        2.0 * self.shape.iter().map(|&size| size as f64).product::<f64>()
    }

    fn run(&mut self) {
        let params = Params::new(&self.params, self.precision);
        let (weight, bias) = (params.matrix(self.map.weight), params.vector(self.map.bias));
        match self.kind {
            ProductKind::Forward => {
                black_box(self.x.affine(weight, bias));
            }
            ProductKind::ToInput => {
                black_box(self.d_y.times(weight));
            }
            ProductKind::ToWeight => {
                self.d_y.add_weight_gradient(&self.x, self.grads.matrix_mut(self.map.weight));
            }
        }
    }
}
