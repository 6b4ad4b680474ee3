//! The small matrix products of attention, on panels.

use super::LANES;
use super::panel::{Rows, RowsMut};
use crate::Real;
use crate::kernels::Onto;
use crate::kernels::simd::{Unit, Work};

/// The left factor of a product, [m, depth]: a panel, or a panel transposed.
pub(super) struct Left<'a, F> {
    data: &'a [F],
    m: usize,
    depth: usize,
    row_stride: usize,
    depth_stride: usize,
}

impl<'a, F> Left<'a, F> {
    /// The panel as it is: m is its rows, depth its width.
    pub fn rows(panel: Rows<'a, F>) -> Self {
        let data = panel.lanes.as_flattened();
        Left { data, m: panel.rows, depth: panel.width, row_stride: panel.stride * LANES, depth_stride: 1 }
    }

    /// The panel transposed: m is its width, depth its rows.
    pub fn columns(panel: Rows<'a, F>) -> Self {
        let data = panel.lanes.as_flattened();
        Left { data, m: panel.width, depth: panel.rows, row_stride: 1, depth_stride: panel.stride * LANES }
    }
}

/// Computes `c = a b`, or `c += a b` with [`Onto::Sum`].
///
/// Shapes: `a`: [m, depth], `b`: [depth, n], `c`: [m, n]. What lies in `b` beyond its width ends in `c` beyond its width.
pub(super) struct Product<'a, F> {
    pub c: RowsMut<'a, F>,
    pub a: Left<'a, F>,
    pub b: Rows<'a, F>,
    pub onto: Onto,
}

impl<F: Real> Work for Product<'_, F> {
    type Output = ();

    #[inline(always)]
    fn on<U: Unit>(self, unit: U) {
        let Product { c, a, b, onto } = self;
        assert!(a.depth == b.rows && c.lanes.len() == a.m * c.stride, "the shapes of a product agree");
        let vectors = b.width.div_ceil(LANES);
        let strides = [b.stride, c.stride];
        let mut v = 0;
        while v < vectors {
            let (b, c) = (&b.lanes[v..], &mut c.lanes[v..]);
            v += match vectors - v {
                // Few registers hold more rows of one vector than of several, which spares loads.
                1 => column::<U, F, 1>(unit, &a, b, c, strides, onto),
                _ if U::SUMS < MANY => column::<U, F, 1>(unit, &a, b, c, strides, onto),
                2 | 4 => column::<U, F, 2>(unit, &a, b, c, strides, onto),
                _ => column::<U, F, 3>(unit, &a, b, c, strides, onto),
            };
        }
    }
}

/// As many sums as the largest tile has.
const MANY: usize = 24;

/// Computes `N` vectors of every row of `c`, with at most as many sums at a time as the registers hold; returns `N`.
#[inline(always)]
fn column<U: Unit, F: Real, const N: usize>(
    unit: U,
    a: &Left<'_, F>,
    b: &[[F; LANES]],
    c: &mut [[F; LANES]],
    strides: [usize; 2],
    onto: Onto,
) -> usize {
    let mut i = 0;
    while i < a.m {
        i += match (a.m - i).min(U::SUMS / N) {
            1 => tile::<U, F, 1, N>(unit, a, i, b, c, strides, onto),
            2 => tile::<U, F, 2, N>(unit, a, i, b, c, strides, onto),
            3..=4 => tile::<U, F, 4, N>(unit, a, i, b, c, strides, onto),
            5..=6 => tile::<U, F, 6, N>(unit, a, i, b, c, strides, onto),
            _ => tile::<U, F, 8, N>(unit, a, i, b, c, strides, onto),
        };
    }
    N
}

/// Computes `N` vectors of the rows from `first` on, at most `M`; returns `M`.
#[inline(always)]
fn tile<U: Unit, F: Real, const M: usize, const N: usize>(
    unit: U,
    a: &Left<'_, F>,
    first: usize,
    b: &[[F; LANES]],
    c: &mut [[F; LANES]],
    [b_stride, c_stride]: [usize; 2],
    onto: Onto,
) -> usize {
    let last = (a.m - 1) * a.row_stride + (a.depth - 1) * a.depth_stride;
    assert!(first < a.m && last < a.data.len(), "the left factor lies in its panel");
    assert!((a.depth - 1) * b_stride + N <= b.len(), "the right factor lies in its panel");
    // Rows beyond the last are the last one again, and are not stored.
    let rows: [usize; M] = std::array::from_fn(|r| (first + r).min(a.m - 1) * a.row_stride);
    let mut sums = [[[F::zero(); LANES]; N]; M];
    for k in 0..a.depth {
        for r in 0..M {
            // SAFETY: asserted above for the last row.
            let a = unsafe { *a.data.get_unchecked(rows[r] + k * a.depth_stride) };
            for v in 0..N {
                // SAFETY: asserted above for the last row.
                let b = unsafe { b.get_unchecked(k * b_stride + v) };
                for l in 0..LANES {
                    sums[r][v][l] = unit.mul_add(a, b[l], sums[r][v][l]);
                }
            }
        }
    }
    for r in 0..M {
        if first + r < a.m {
            let c = &mut c[(first + r) * c_stride..][..N];
            for v in 0..N {
                for l in 0..LANES {
                    let before = if onto == Onto::Sum { c[v][l] } else { F::zero() };
                    c[v][l] = before + sums[r][v][l];
                }
            }
        }
    }
    M
}
