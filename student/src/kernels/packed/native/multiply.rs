//! The product of two strips: as many sums as the registers hold, over the depth, tile by tile of a square.

use super::Row;
use super::vector::Vector;
use crate::Real;
use crate::kernels::Onto;
use crate::kernels::packed::line::prefetch;
use crate::kernels::packed::square::Square;
use crate::kernels::packed::tiles::SIDE;

/// Computes `c = Σ a b` or `c += Σ a b`, in tiles of `R` rows of `N` vectors, the last ones of `REST` rows unless that is 0,
/// and fetches what follows `a` and `b`.
///
/// # Safety
/// The processor has the vectors. `a` and `b` are equally long and aligned as the vectors are.
#[inline(always)]
pub(super) unsafe fn multiply<F: Real, V: Vector<F>, const R: usize, const REST: usize, const N: usize>(
    a: &[Row<F>],
    b: &[Row<F>],
    c: &mut Square<F>,
    onto: Onto,
) {
    const { assert!(SIDE % R == REST && SIDE.is_multiple_of(N * V::LEN)) };
    let columns = SIDE / (N * V::LEN);
    let tiles = SIDE.div_ceil(R) * columns;
    // Both following pieces are fetched evenly over all steps of all tiles: first the left one, then the right one.
    let half = (tiles / 2).max(1);
    let stride = SIDE.div_ceil(half);
    let ends = [a.as_ptr_range().end, b.as_ptr_range().end];
    for tile in 0..tiles {
        let (row, column) = (tile / columns * R, tile % columns * N * V::LEN);
        let ahead = Ahead {
            from: ends[(tile / half).min(1)].cast::<F>().wrapping_add(tile % half * a.len() * stride),
            stride,
        };
        // SAFETY: a row is 32 numbers, of which the tile takes `R` or the last `REST`, and `N` vectors; the square is 32 rows
        // of them.
        unsafe {
            let (a_first, b_first) = (a.as_ptr().cast::<F>().add(row), b.as_ptr().cast::<F>().add(column));
            let c = c.0.as_mut_ptr().add(row * SIDE + column);
            if REST == 0 || row + R <= SIDE {
                sum_tile::<F, V, R, N>(a_first, b_first, c, a.len(), onto, ahead);
            } else {
                sum_tile::<F, V, REST, N>(a_first, b_first, c, a.len(), onto, ahead);
            }
        }
    }
}

/// Where the lines lie that are fetched along the way.
struct Ahead<F> {
    from: *const F,
    /// Numbers from one step to the next.
    stride: usize,
}

/// # Safety
/// The processor has the vectors. `a` and `b` point into `depth` rows of 32 numbers, `c` into `R`, and the tile lies inside.
#[inline(always)]
unsafe fn sum_tile<F: Real, V: Vector<F>, const R: usize, const N: usize>(
    a: *const F,
    b: *const F,
    c: *mut F,
    depth: usize,
    onto: Onto,
    ahead: Ahead<F>,
) {
    // SAFETY: the caller promises the vectors and that all rows below lie inside.
    unsafe {
        let mut sums = [[V::splat(F::zero()); N]; R];
        for k in 0..depth {
            let (a, b) = (a.add(k * SIDE), b.add(k * SIDE));
            prefetch(ahead.from.wrapping_add(k * ahead.stride));
            // The fewer of both stay in registers.
            if const { R > N } {
                let b: [V; N] = std::array::from_fn(|v| V::load(b.add(v * V::LEN)));
                for (r, sums) in sums.iter_mut().enumerate() {
                    let a = V::splat(*a.add(r));
                    for v in 0..N {
                        sums[v] = sums[v].add_product(a, b[v]);
                    }
                }
            } else {
                let a: [V; R] = std::array::from_fn(|r| V::splat(*a.add(r)));
                for v in 0..N {
                    let b = V::load(b.add(v * V::LEN));
                    for (sums, &a) in sums.iter_mut().zip(&a) {
                        sums[v] = sums[v].add_product(a, b);
                    }
                }
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                let c = c.add(r * SIDE + v * V::LEN);
                (if onto == Onto::Sum { V::load(c).add(sum) } else { sum }).store(c);
            }
        }
    }
}
