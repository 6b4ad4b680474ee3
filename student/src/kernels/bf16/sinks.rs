//! What becomes of the squares of a product while they are in the first-level cache.

use super::convert::{Square, widen};
use super::factors::{Activation, ActivationWriter, Gradient, GradientWriter};
use super::product::{Sink, product};
use super::tiles::{Block, Order, SIDE, Tiles, Writer};
use super::unit::Unit;
use crate::kernels::elementwise::gelu_of;
use crate::kernels::{Onto, vectorized};
use ndarray::{Array2, ArrayViewMut2};
use std::marker::PhantomData;

/// Writes a product to a matrix of `f32`.
struct Store<'a> {
    to: *mut f32,
    shape: [usize; 2],
    onto: Onto,
    bias: Option<&'a [f32]>,
    matrix: PhantomData<&'a mut f32>,
}

// SAFETY: a mutable borrow of plain numbers; `take` demands that no two threads write the same square.
unsafe impl Sync for Store<'_> {}

impl<'a> Store<'a> {
    fn new(to: *mut f32, shape: [usize; 2], onto: Onto, bias: Option<&'a [f32]>) -> Self {
        assert!(bias.is_none_or(|bias| bias.len() == shape[1]), "a bias has one number for each column");
        Store { to, shape, onto, bias, matrix: PhantomData }
    }
}

/// Returns `left right + bias`, of `shape` [m, n]; `bias`: `[n]`.
pub(crate) fn new_product(
    unit: Unit,
    left: &Tiles,
    right: &Tiles,
    shape: [usize; 2],
    bias: Option<&[f32]>,
) -> Array2<f32> {
    let mut to = Array2::uninit(shape);
    product(unit, left, right, &Store::new(to.as_mut_ptr().cast(), shape, Onto::Nothing, bias));
    // SAFETY: a product gives every square of its result to its sink, which writes it.
    unsafe { to.assume_init() }
}

/// Computes `to = left right` or `to += left right`. `to`: [m, n], with contiguous rows.
pub(crate) fn product_onto(
    unit: Unit,
    left: &Tiles,
    right: &Tiles,
    mut to: ArrayViewMut2<'_, f32>,
    onto: Onto,
) {
    assert!(to.is_standard_layout(), "a product is written to contiguous rows");
    let shape = [to.nrows(), to.ncols()];
    product(unit, left, right, &Store::new(to.as_mut_ptr(), shape, onto, None));
}

impl Sink for Store<'_> {
    #[inline]
    unsafe fn take(&self, [row, column]: [usize; 2], square: &mut Square) {
        let [rows, columns] = self.shape;
        let (first, width) = (column * SIDE, SIDE.min(columns - column * SIDE));
        if let Some(bias) = self.bias {
            add_to_rows(square, &bias[first..first + width]);
        }
        for (n, from) in (row * SIDE..rows.min((row + 1) * SIDE)).zip(square.0.chunks_exact(SIDE)) {
            // SAFETY: row `n` and columns `first..first + width` lie in the matrix, and no other thread has them. They
            // may not be written yet, but then they are only written here.
            let to = unsafe { std::slice::from_raw_parts_mut(self.to.add(n * columns + first), width) };
            store(to, from, self.onto);
        }
    }
}

#[inline(always)]
fn store(to: &mut [f32], from: &[f32], onto: Onto) {
    match (onto, <&mut [f32; SIDE]>::try_from(&mut *to), <&[f32; SIDE]>::try_from(from)) {
        (Onto::Nothing, Ok(to), Ok(from)) => *to = *from,
        (Onto::Nothing, ..) => to.copy_from_slice(&from[..to.len()]),
        (Onto::Sum, ..) => to.iter_mut().zip(from).for_each(|(to, &from)| *to += from),
    }
}

/// The derivative of an activation at every element, in bfloat16, square by square.
pub(crate) struct Derivative(Tiles);

impl Derivative {
    /// Makes room for the derivative of `[rows, columns]`.
    ///
    /// # Safety
    /// Every square must be written before the derivative is read.
    pub unsafe fn uninit(shape: [usize; 2]) -> Self {
        // SAFETY: as the caller promises.
        Derivative(unsafe { Tiles::uninit(shape, Order::Left) })
    }
}

/// Adds a bias, applies GELU, and rounds the result for the next product and for the gradient of its weight.
pub(crate) struct Gelu<'a> {
    rows: usize,
    bias: &'a [f32],
    unit: Unit,
    value: ActivationWriter<'a>,
    derivative: Writer<'a>,
}

impl<'a> Gelu<'a> {
    /// Writes `GELU(x + bias)` and its derivative. Shapes: `bias`: `[columns]`, both results: [rows, columns].
    pub fn new(
        unit: Unit,
        rows: usize,
        bias: &'a [f32],
        value: &'a mut Activation,
        derivative: &'a mut Derivative,
    ) -> Self {
        Gelu { rows, bias, unit, value: value.writer(unit), derivative: derivative.0.writer(Order::Left) }
    }
}

impl Sink for Gelu<'_> {
    #[inline]
    unsafe fn take(&self, place @ [row, column]: [usize; 2], square: &mut Square) {
        let (first, end) = (column * SIDE, self.bias.len().min((column + 1) * SIDE));
        let rows = SIDE.min(self.rows - row * SIDE);
        let mut derivative = Square::ZERO;
        add_to_rows(square, &self.bias[first..end]);
        gelu(square, &mut derivative);
        // Beyond the last row there is no token, whatever the bias makes of it.
        square.0[rows * SIDE..].fill(0.0);
        // SAFETY: the caller has this place to itself.
        unsafe {
            self.value.write(place, square);
            self.derivative.write(self.unit, place, &derivative);
        }
    }
}

/// Multiplies by an activation's derivative, and rounds the gradient for the two products of its backward pass.
pub(crate) struct Multiply<'a> {
    derivative: &'a Derivative,
    gradient: GradientWriter<'a>,
}

impl<'a> Multiply<'a> {
    /// Writes the product times the derivative to `gradient`, of the same shape.
    pub fn new(unit: Unit, derivative: &'a Derivative, gradient: &'a mut Gradient) -> Self {
        Multiply { derivative, gradient: gradient.writer(unit) }
    }
}

impl Sink for Multiply<'_> {
    #[inline]
    unsafe fn take(&self, place @ [row, column]: [usize; 2], square: &mut Square) {
        let derivative = &self.derivative.0.strip(row)[column];
        multiply(square, derivative);
        // SAFETY: the caller has this place to itself.
        unsafe { self.gradient.write(place, square) };
    }
}

fn add_to_rows(square: &mut Square, bias: &[f32]) {
    vectorized(
        #[inline(always)]
        || {
            let mut whole = [0.0; SIDE];
            whole[..bias.len()].copy_from_slice(bias);
            for row in square.0.as_chunks_mut::<SIDE>().0 {
                row.iter_mut().zip(&whole).for_each(|(x, bias)| *x += bias);
            }
        },
    )
}

fn gelu(square: &mut Square, derivative: &mut Square) {
    vectorized(
        #[inline(always)]
        || {
            for (x, d) in square.0.iter_mut().zip(&mut derivative.0) {
                (*x, *d) = gelu_of(*x, |a, b, c| a * b + c);
            }
        },
    )
}

fn multiply(square: &mut Square, factor: &Block) {
    vectorized(
        #[inline(always)]
        || {
            for (x, &factor) in square.0.iter_mut().zip(&factor.0) {
                *x *= widen(factor);
            }
        },
    )
}
