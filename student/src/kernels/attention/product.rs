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
                left if left == 1 || U::SUMS < MANY => column::<U, F, 1>(unit, &a, b, c, strides, onto),
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

#[cfg(test)]
mod tests {
    use super::super::panel::Panel;
    use super::*;
    use crate::gradcheck::noise2;
    use crate::kernels::simd::Baseline;
    #[cfg(target_arch = "x86_64")]
    use crate::kernels::simd::{Avx2, Avx512};
    use ndarray::Array2;
    use proptest::prelude::*;

    fn panel(x: &Array2<f32>) -> Panel<f32> {
        let mut panel = Panel::new();
        panel.gather(x.view(), 1, 1.0);
        panel
    }

    /// Computes on a unit; `a` is given as it is, and transposed.
    fn on<U: Unit>(unit: U, [a, turned, b, before]: [&Panel<f32>; 4], [m, n]: [usize; 2], onto: Onto) {
        let expected = {
            let (a, b, before) = (a.all(), b.all(), before.all());
            let at = |x: &Rows<'_, f32>, i: usize, j: usize| x.lanes[i * x.stride + j / LANES][j % LANES];
            let sum =
                |i, j| (0..b.rows).map(|k| f64::from(at(&a, i, k)) * f64::from(at(&b, k, j))).sum::<f64>();
            let before = |i, j| if onto == Onto::Sum { f64::from(at(&before, i, j)) } else { 0.0 };
            Array2::from_shape_fn([m, n], |(i, j)| before(i, j) + sum(i, j))
        };
        for left in [Left::rows(a.all()), Left::columns(turned.all())] {
            let mut c = Panel::new();
            c.reshape(m, n);
            c.lanes_mut().copy_from_slice(before.all().lanes);
            unit.run(Product { c: c.all_mut(), a: left, b: b.all(), onto });
            for ((i, j), &expected) in expected.indexed_iter() {
                let found = c.row(i).as_flattened()[j];
                assert!((f64::from(found) - expected).abs() <= 1e-5, "[{i}, {j}]: {found}, not {expected}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_unit_multiplies_panels_of_every_shape(m in 1_usize..35, depth in 1_usize..40, n in 1_usize..100, sum: bool) {
            let [a, b, before] = [([m, depth], 1), ([depth, n], 2), ([m, n], 3)].map(|(shape, seed)| noise2(shape, seed));
            let turned = a.t().as_standard_layout().into_owned();
            let panels = [&a, &turned, &b, &before].map(panel);
            let (panels, onto) = (panels.each_ref(), if sum { Onto::Sum } else { Onto::Nothing });
            on(Baseline, panels, [m, n], onto);
            #[cfg(target_arch = "x86_64")]
            {
                Avx2::detect().into_iter().for_each(|unit| on(unit, panels, [m, n], onto));
                Avx512::detect().into_iter().for_each(|unit| on(unit, panels, [m, n], onto));
            }
        }
    }
}
