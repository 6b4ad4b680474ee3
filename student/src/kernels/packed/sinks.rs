//! What becomes of the squares of a product while they are in the first-level cache.

use super::factors::{Activation, ActivationWriter, Gradient, GradientWriter};
use super::line::prefetch_to_write;
use super::product::{Sink, product};
use super::square::Square;
use super::tiles::{Order, SIDE, Tiles, Writer};
use super::unit::{Onto, Unit};
use crate::Real;
use crate::kernels::elementwise::gelu_of;
use crate::kernels::simd::{self, Work, on_best_unit};
use crate::kernels::vectorized;
use ndarray::{Array2, ArrayViewMut2};
use std::marker::PhantomData;

/// Writes a product to a matrix.
struct Store<'a, F> {
    to: *mut F,
    shape: [usize; 2],
    onto: Onto,
    bias: Option<&'a [F]>,
    matrix: PhantomData<&'a mut F>,
}

// SAFETY: a mutable borrow of plain numbers; `take` demands that no two threads write the same square.
unsafe impl<F: Sync> Sync for Store<'_, F> {}

impl<'a, F: Real> Store<'a, F> {
    fn new(to: *mut F, shape: [usize; 2], onto: Onto, bias: Option<&'a [F]>) -> Self {
        assert!(bias.is_none_or(|bias| bias.len() == shape[1]), "a bias has one number for each column");
        Store { to, shape, onto, bias, matrix: PhantomData }
    }
}

/// Returns `left right + bias`, of `shape` [m, n]; `bias`: `[n]`.
pub(crate) fn new_product<F: Real>(
    left: &Tiles<F>,
    right: &Tiles<F>,
    shape: [usize; 2],
    bias: Option<&[F]>,
) -> Array2<F> {
    let mut to = Array2::uninit(shape);
    product(left, right, &Store::new(to.as_mut_ptr().cast(), shape, Onto::Nothing, bias));
    // SAFETY: a product gives every square of its result to its sink, which writes it.
    unsafe { to.assume_init() }
}

/// Computes `to = left right` or `to += left right`. `to`: [m, n], with contiguous rows.
pub(crate) fn product_onto<F: Real>(
    left: &Tiles<F>,
    right: &Tiles<F>,
    mut to: ArrayViewMut2<'_, F>,
    onto: Onto,
) {
    assert!(to.is_standard_layout(), "a product is written to contiguous rows");
    let shape = [to.nrows(), to.ncols()];
    product(left, right, &Store::new(to.as_mut_ptr(), shape, onto, None));
}

impl<F: Real> Store<'_, F> {
    /// Calls `f` for each row of the square at `[row, column]` with where it goes, and how many numbers of it.
    #[inline(always)]
    fn for_rows(&self, [row, column]: [usize; 2], mut f: impl FnMut(*mut F, usize)) {
        let ([rows, columns], first) = (self.shape, column * SIDE);
        for n in row * SIDE..rows.min((row + 1) * SIDE) {
            f(self.to.wrapping_add(n * columns + first), SIDE.min(columns - first));
        }
    }
}

impl<F: Real> Sink<F> for Store<'_, F> {
    #[inline]
    fn expect(&self, place: [usize; 2]) {
        self.for_rows(place, |to, width| {
            let line = 64 / size_of::<F>();
            (0..width).step_by(line).for_each(|i| prefetch_to_write(to.wrapping_add(i)));
            prefetch_to_write(to.wrapping_add(width - 1));
        });
    }

    #[inline]
    unsafe fn take(&self, place: [usize; 2], square: &mut Square<F>) {
        let bias = part(self.bias.unwrap_or_default(), place[1]);
        let mut from = square.0.as_chunks::<SIDE>().0.iter();
        vectorized(
            #[inline(always)]
            || {
                self.for_rows(place, |to, width| {
                    // SAFETY: the row lies in the matrix, and no other thread has it. It may not be written yet, but then
                    // it is only written here.
                    let to = unsafe { std::slice::from_raw_parts_mut(to, width) };
                    let from = from.next().expect("a square has 32 rows");
                    // The length of almost all rows, known to the compiler.
                    match <&mut [F; SIDE]>::try_from(&mut *to) {
                        Ok(to) => write(to, from, &bias, self.onto),
                        Err(_) => write(to, from, &bias, self.onto),
                    }
                });
            },
        );
    }
}

#[inline(always)]
fn write<F: Real>(to: &mut [F], from: &[F; SIDE], bias: &[F; SIDE], onto: Onto) {
    for ((to, &from), &bias) in to.iter_mut().zip(from).zip(bias) {
        *to = if onto == Onto::Sum { *to + from + bias } else { from + bias };
    }
}

/// Returns the part of a bias that belongs to a column of squares; beyond it, or without one, there are zeros.
#[inline(always)]
fn part<F: Real>(bias: &[F], column: usize) -> [F; SIDE] {
    let mut part = [F::zero(); SIDE];
    let bias = bias.get(column * SIDE..).unwrap_or_default();
    let len = bias.len().min(SIDE);
    part[..len].copy_from_slice(&bias[..len]);
    part
}

/// The derivative of an activation at every element, square by square.
pub(crate) struct Derivative<F>(Tiles<F>);

impl<F: Real> Derivative<F> {
    /// Makes room for the derivative of `[rows, columns]`.
    ///
    /// # Safety
    /// Every square must be written before the derivative is read.
    pub unsafe fn uninit(unit: Unit, shape: [usize; 2]) -> Self {
        // SAFETY: as the caller promises.
        Derivative(unsafe { Tiles::uninit(unit, shape, Order::Left) })
    }
}

/// Adds a bias, applies GELU, and packs the result for the next product and for the gradient of its weight.
pub(crate) struct Gelu<'a, F> {
    rows: usize,
    bias: &'a [F],
    value: ActivationWriter<'a, F>,
    derivative: Writer<'a, F>,
}

impl<'a, F: Real> Gelu<'a, F> {
    /// Writes `GELU(x + bias)` and its derivative. Shapes: `bias`: `[columns]`, both results: [rows, columns].
    pub fn new(bias: &'a [F], value: &'a mut Activation<F>, derivative: &'a mut Derivative<F>) -> Self {
        Gelu { rows: value.shape[0], bias, value: value.writer(), derivative: derivative.0.writer() }
    }
}

impl<F: Real> Sink<F> for Gelu<'_, F> {
    #[inline]
    fn expect(&self, place: [usize; 2]) {
        self.value.expect(place);
        self.derivative.expect(place);
    }

    #[inline]
    unsafe fn take(&self, place @ [row, column]: [usize; 2], square: &mut Square<F>) {
        let (bias, rows) = (part(self.bias, column), SIDE.min(self.rows - row * SIDE));
        let mut derivative = Square::zero();
        on_best_unit(Activate { x: square, bias: &bias, derivative: &mut derivative });
        // Beyond the last row there is no token, whatever the bias makes of it.
        square.0[rows * SIDE..].fill(F::zero());
        // SAFETY: the caller has this place to itself.
        unsafe {
            self.value.write(place, square);
            self.derivative.keep(place, &derivative);
        }
    }
}

/// Replaces `x` by `GELU(x + bias)`, and computes the derivative.
struct Activate<'a, F> {
    x: &'a mut Square<F>,
    bias: &'a [F; SIDE],
    derivative: &'a mut Square<F>,
}

impl<F: Real> Work for Activate<'_, F> {
    type Output = ();

    #[inline(always)]
    fn on<U: simd::Unit>(self, unit: U) {
        let rows = self.x.0.as_chunks_mut::<SIDE>().0.iter_mut();
        for (x, derivative) in rows.zip(self.derivative.0.as_chunks_mut::<SIDE>().0) {
            for ((x, derivative), &bias) in x.iter_mut().zip(derivative).zip(self.bias) {
                (*x, *derivative) = gelu_of(*x + bias, |a, b, c| unit.mul_add(a, b, c));
            }
        }
    }
}

/// Multiplies by an activation's derivative, and packs the gradient for the two products of its backward pass.
pub(crate) struct Multiply<'a, F> {
    derivative: &'a Derivative<F>,
    gradient: GradientWriter<'a, F>,
}

impl<'a, F: Real> Multiply<'a, F> {
    /// Writes the product times the derivative to `gradient`, of the same shape.
    pub fn new(derivative: &'a Derivative<F>, gradient: &'a mut Gradient<F>) -> Self {
        assert_eq!(derivative.0.unit(), gradient.left.unit(), "both are of one format");
        Multiply { derivative, gradient: gradient.writer() }
    }
}

impl<F: Real> Sink<F> for Multiply<'_, F> {
    #[inline]
    fn expect(&self, place: [usize; 2]) {
        self.gradient.expect(place);
    }

    #[inline]
    unsafe fn take(&self, place: [usize; 2], square: &mut Square<F>) {
        let derivative = &self.derivative.0;
        // SAFETY: the derivative was kept by the sink above; the caller has this place to itself.
        unsafe {
            derivative.unit().scale(square, derivative.block(place));
            self.gradient.write(place, square);
        }
    }
}
