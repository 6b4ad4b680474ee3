//! Panels: small matrices in whole vectors, aligned, that live in a cache while a head is worked on.

use super::LANES;
use crate::Real;
use ndarray::{ArrayView2, ArrayViewMut2};
use std::ops::Range;

/// A small matrix whose rows begin at a vector; the last vector of a row may reach beyond the row.
pub(super) struct Panel<F> {
    data: Vec<F>,
    aligned: usize,
    stride: usize,
    rows: usize,
    width: usize,
}

/// Some rows of a [`Panel`].
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, F> {
    /// The vectors of the rows, `stride` for each row.
    pub lanes: &'a [[F; LANES]],
    /// Vectors from one row to the next.
    pub stride: usize,
    /// Number of rows.
    pub rows: usize,
    /// Elements of a row.
    pub width: usize,
}

/// Some rows of a [`Panel`], to be written.
pub(super) struct RowsMut<'a, F> {
    /// The vectors of the rows, `stride` for each row.
    pub lanes: &'a mut [[F; LANES]],
    /// Vectors from one row to the next.
    pub stride: usize,
}

impl<F: Real> Panel<F> {
    /// Makes a panel without rows.
    pub fn new() -> Self {
        Panel { data: Vec::new(), aligned: 0, stride: 0, rows: 0, width: 0 }
    }

    /// Gives the panel a shape. What it holds is left over from its last use.
    pub fn reshape(&mut self, rows: usize, width: usize) {
        let vectors = width.div_ceil(LANES);
        // An even number of vectors, in a long row, would put a column into few sets of the cache.
        let stride = if vectors < 8 { vectors } else { vectors | 1 };
        let len = (rows * stride + 1) * LANES;
        if self.data.len() < len {
            self.data = vec![F::zero(); len];
            self.aligned = self.data.as_ptr().align_offset(64).min(LANES);
        }
        (self.stride, self.rows, self.width) = (stride, rows, width);
    }

    /// Gives the panel the shape of another.
    pub fn reshape_like(&mut self, other: &Panel<F>) {
        self.reshape(other.rows, other.width);
    }

    /// Returns all rows.
    pub fn all(&self) -> Rows<'_, F> {
        self.some(0..self.rows)
    }

    /// Returns a range of the rows.
    pub fn some(&self, rows: Range<usize>) -> Rows<'_, F> {
        let (lanes, _) = self.data[self.aligned..].as_chunks();
        let lanes = &lanes[rows.start * self.stride..rows.end * self.stride];
        Rows { lanes, stride: self.stride, rows: rows.len(), width: self.width }
    }

    /// Returns the vectors of all rows.
    pub fn lanes_mut(&mut self) -> &mut [[F; LANES]] {
        let rows = 0..self.rows;
        self.some_mut(rows).lanes
    }

    /// Returns all rows, to be written.
    pub fn all_mut(&mut self) -> RowsMut<'_, F> {
        self.some_mut(0..self.rows)
    }

    /// Returns a range of the rows, to be written.
    pub fn some_mut(&mut self, rows: Range<usize>) -> RowsMut<'_, F> {
        let (lanes, _) = self.data[self.aligned..].as_chunks_mut();
        let lanes = &mut lanes[rows.start * self.stride..rows.end * self.stride];
        RowsMut { lanes, stride: self.stride }
    }

    /// Returns the vectors of a row.
    pub fn row(&self, row: usize) -> &[[F; LANES]] {
        self.some(row..row + 1).lanes
    }

    /// Returns the vectors of a row, to be written.
    pub fn row_mut(&mut self, row: usize) -> &mut [[F; LANES]] {
        self.some_mut(row..row + 1).lanes
    }

    /// Returns the number of elements of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the number of vectors from one row to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Takes the rows of `heads` heads that lie side by side in `x`, times `scale`: head after head.
    #[inline(always)]
    pub fn gather(&mut self, x: ArrayView2<'_, F>, heads: usize, scale: F) {
        self.reshape(heads * x.nrows(), x.ncols() / heads);
        let (width, stride) = (self.width, self.stride);
        let lanes = self.lanes_mut();
        for (i, x_row) in x.rows().into_iter().enumerate() {
            let x_row = x_row.to_slice().expect("rows are contiguous");
            for (head, x_head) in x_row.chunks_exact(width).enumerate() {
                let row = &mut lanes[(head * x.nrows() + i) * stride..][..stride];
                copy_scaled(&mut row.as_flattened_mut()[..width], x_head, scale);
            }
        }
    }

    /// Takes the shape and the elements of `x` transposed; what lies beyond the rows is zero.
    #[inline(always)]
    pub fn transpose(&mut self, x: Rows<'_, F>) {
        self.reshape(x.width, x.rows);
        let stride = self.stride;
        let out = self.lanes_mut();
        for (block, x_rows) in x.lanes.chunks(LANES * x.stride).enumerate() {
            for vector in 0..x.width.div_ceil(LANES) {
                let mut square = [[F::zero(); LANES]; LANES];
                for (square, row) in square.iter_mut().zip(x_rows.chunks_exact(x.stride)) {
                    *square = row[vector];
                }
                let first = vector * LANES;
                for d in 0..LANES.min(x.width - first) {
                    out[(first + d) * stride + block] = std::array::from_fn(|l| square[l][d]);
                }
            }
        }
    }

    /// Writes the rows of several heads side by side into `x`, row `i` of the panel times `scale(i)`.
    #[inline(always)]
    pub fn scatter(&self, mut x: ArrayViewMut2<'_, F>, scale: impl Fn(usize) -> F) {
        let rows = x.nrows();
        for (i, mut x) in x.rows_mut().into_iter().enumerate() {
            let x = x.as_slice_mut().expect("rows are contiguous");
            for (head, x) in x.chunks_exact_mut(self.width).enumerate() {
                let row = head * rows + i;
                copy_scaled(x, &self.row(row).as_flattened()[..self.width], scale(row));
            }
        }
    }
}

/// Fills `out` with `x` times `scale`.
#[inline(always)]
fn copy_scaled<F: Real>(out: &mut [F], x: &[F], scale: F) {
    for v in 0..x.len().div_ceil(LANES) {
        store(out, v, load(x, v).map(|x| x * scale));
    }
}

/// Returns vector `v` of a row. The last one ends where the row ends, and so overlaps with the one before: for so few
/// elements a loop over the rest would cost more than all other work.
#[inline(always)]
pub(super) fn load<F: Real>(x: &[F], v: usize) -> [F; LANES] {
    let mut vector = [F::zero(); LANES];
    if x.len() < LANES {
        vector[..x.len()].copy_from_slice(x);
    } else {
        vector.copy_from_slice(&x[(v * LANES).min(x.len() - LANES)..][..LANES]);
    }
    vector
}

/// Writes vector `v` of a row, as [`load`] reads it.
#[inline(always)]
pub(super) fn store<F: Real>(x: &mut [F], v: usize, vector: [F; LANES]) {
    let len = x.len();
    if len < LANES {
        x.copy_from_slice(&vector[..len]);
    } else {
        x[(v * LANES).min(len - LANES)..][..LANES].copy_from_slice(&vector);
    }
}
