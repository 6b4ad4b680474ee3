//! The passes beside the products, one at a time, as the layers call them.

use super::Work;
use super::parts::MODE;
use crate::gradcheck::noise2;
use crate::layers::{Dropout, Gradient, Input, Linear, Shared, Sites};
use crate::optim::{AdamW, AdamWStep};
use crate::{Arena, Layout, Params, Precision, init};
use ndarray::Array2;
use std::hint::black_box;

/// A pass over every element of a matrix.
pub struct Pass {
    /// What it does.
    pub name: &'static str,
    /// Once over the matrix.
    pub work: Box<dyn Work>,
}

/// Returns the passes over a matrix of `[N, H]`, of which those beside a product depend on its precision.
pub fn passes(shape: [usize; 2], precision: Precision) -> Vec<Pass> {
    let works: [(&'static str, Box<dyn Work>); 5] = [
        ("round and pack an input", Box::new(PackInput { x: noise2(shape, 1).into_shared(), precision })),
        (
            "round and pack a gradient",
            Box::new(PackGradient { d_y: noise2(shape, 1), prepared: None, precision }),
        ),
        ("bias, GELU and its derivative", Box::new(Gelu::new(shape, precision))),
        ("dropout", Box::new(DropoutAlone::new(shape))),
        ("clipping and AdamW", Box::new(Update::new(shape))),
    ];
    works.map(|(name, work)| Pass { name, work }).into()
}

/// Packs the input of linear maps for every product that reads it.
struct PackInput {
    x: Shared<f32>,
    precision: Precision,
}

impl Work for PackInput {
    fn run(&mut self) {
        black_box(Input::new(self.x.clone(), self.precision));
    }
}

/// Packs the gradient of a linear map for both of its products, and sums its columns.
struct PackGradient {
    d_y: Array2<f32>,
    prepared: Option<Array2<f32>>,
    precision: Precision,
}

impl Work for PackGradient {
    fn prepare(&mut self) {
        self.prepared = Some(self.d_y.clone());
    }

    fn run(&mut self) {
        let d_y = self.prepared.take().expect("work is prepared before it runs");
        black_box(Gradient::new(d_y, self.precision).column_sums());
    }
}

/// The sink of a product: bias, activation, rounding and packing; forward, then backward. The product is the smallest that
/// there is: one square of depth.
struct Gelu {
    map: Linear,
    next: Linear,
    params: Arena,
    x: Input<f32>,
    d_y: Gradient<f32>,
    precision: Precision,
}

impl Gelu {
    fn new([rows, width]: [usize; 2], precision: Precision) -> Self {
        let mut layout = Layout::default();
        let map = Linear::declare(layout.scope("map"), 1, width);
        let next = Linear::declare(layout.scope("next"), width, 1);
        Gelu {
            map,
            next,
            params: init::random(&layout, 1.0, 1),
            x: Input::new(noise2([rows, 1], 2).into_shared(), precision),
            d_y: Gradient::new(noise2([rows, 1], 3), precision),
            precision,
        }
    }
}

impl Work for Gelu {
    fn run(&mut self) {
        let params = Params::new(&self.params, self.precision);
        let (y, derivative, _) = self.map.forward_gelu(&params, self.x.clone());
        black_box(y);
        black_box(self.d_y.times_derivative(params.matrix(self.next.weight), derivative));
    }
}

/// Draws a mask and applies it.
struct DropoutAlone {
    layer: Dropout,
    x: Array2<f32>,
    prepared: Option<Array2<f32>>,
}

impl DropoutAlone {
    fn new(shape: [usize; 2]) -> Self {
        DropoutAlone { layer: Dropout::new(0.1, &mut Sites::default()), x: noise2(shape, 1), prepared: None }
    }
}

impl Work for DropoutAlone {
    fn prepare(&mut self) {
        self.prepared = Some(self.x.clone());
    }

    fn run(&mut self) {
        let x = self.prepared.take().expect("work is prepared before it runs");
        black_box(self.layer.forward(x, MODE));
    }
}

/// The norm of a gradient, the update of its matrix, and the zeros for the next one.
struct Update {
    layout: Layout,
    optimizer: AdamW,
    params: Arena,
    grads: Arena,
    gradient: Vec<f32>,
}

impl Update {
    fn new([rows, columns]: [usize; 2]) -> Self {
        let mut layout = Layout::default();
        layout.scope("map").matrix("weight", rows, columns);
        Update {
            optimizer: AdamW::new(&layout),
            params: init::random(&layout, 0.02, 1),
            grads: Arena::zeros(&layout),
            gradient: noise2([rows, columns], 2).into_raw_vec_and_offset().0,
            layout,
        }
    }
}

impl Work for Update {
    fn prepare(&mut self) {
        self.grads.data_mut().copy_from_slice(&self.gradient);
    }

    fn run(&mut self) {
        let settings = AdamWStep::default();
        black_box(self.optimizer.update(&self.layout, &mut self.params, &mut self.grads, &settings));
    }
}
