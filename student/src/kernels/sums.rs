//! Sums along a row: side by side, as vectors add, and in one order whatever the vectors.

use crate::Real;

/// Partial sums that run side by side: two vectors' worth, so that one addition need not wait for the last.
const LANES: usize = 32;

/// What is added together when fewer than [`LANES`] elements are left.
const PIECE: usize = 8;

/// Returns the sums over `i` of the `S` numbers that `term([a[i], b[i], …])` returns, in a fixed order.
///
/// # Panics
/// When the slices differ in length.
#[inline(always)]
pub(super) fn sums<F: Real, const K: usize, const S: usize>(
    x: [&[F]; K],
    term: impl Fn([F; K]) -> [F; S],
) -> [F; S] {
    let len = x[0].len();
    assert!(x.iter().all(|x| x.len() == len), "the slices have one length");
    let mut lanes = [[F::zero(); LANES]; S];
    let whole = len - len % LANES;
    for start in (0..whole).step_by(LANES) {
        add::<F, K, S, LANES>(&mut lanes, x, start, &term);
    }
    let pieces = len - len % PIECE;
    for start in (whole..pieces).step_by(PIECE) {
        add::<F, K, S, PIECE>(&mut lanes, x, start, &term);
    }
    for i in pieces..len {
        add::<F, K, S, 1>(&mut lanes, x, i, &term);
    }
    lanes.map(tree)
}

/// Adds the terms of `W` elements from `start` on to the first `W` lanes of each sum.
#[inline(always)]
fn add<F: Real, const K: usize, const S: usize, const W: usize>(
    lanes: &mut [[F; LANES]; S],
    x: [&[F]; K],
    start: usize,
    term: impl Fn([F; K]) -> [F; S],
) {
    let x: [&[F; W]; K] = x.map(|x| x[start..].first_chunk().expect("a piece lies within its slice"));
    for lane in 0..W {
        let terms = term(x.map(|x| x[lane]));
        lanes.iter_mut().zip(terms).for_each(|(lanes, term)| lanes[lane] += term);
    }
}

/// Returns the sum of the lanes, by halves.
#[inline(always)]
fn tree<F: Real>(mut lanes: [F; LANES]) -> F {
    let mut width = LANES / 2;
    while width > 0 {
        let (low, high) = lanes.split_at_mut(width);
        low.iter_mut().zip(&high[..width]).for_each(|(low, &high)| *low += high);
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::noise1;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_agree_with_the_definition(len in 0..200_usize, seed in 0..1000_u64) {
            let (x, y) = (noise1::<f64>(len, seed).to_vec(), noise1::<f64>(len, seed + 1).to_vec());
            let [sum, product] = sums([&x, &y], |[x, y]| [x, x * y]);
            let expected: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
            prop_assert!((sum - x.iter().sum::<f64>()).abs() < 1e-12);
            prop_assert!((product - expected).abs() < 1e-12);
        }
    }
}
