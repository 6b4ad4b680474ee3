//! A shuffle that is computed and not stored: where one element goes can be asked without placing all others.
//!
//! A Feistel network over the pairs `(l, r)` of `Z_a x Z_b`, whose rounds add a hash of one half to the other, is a
//! bijection whatever the hash; `a b` is the least rectangle about a square that holds all elements, and what falls
//! outside of them is sent through again until it falls within (Black and Rogaway 2002, "Ciphers with arbitrary finite
//! domains", sections 4 and 5). A million epochs of a million examples cost no memory at all.

use std::ops::Range;

/// A bijection of `0..count`.
#[derive(Clone, Debug)]
pub struct Permutation {
    count: u64,
    sides: [u64; 2],
    keys: [u64; ROUNDS],
}

/// An even number: halves take turns.
const ROUNDS: usize = 8;

/// Elements that are computed at once.
const LANES: usize = 4;

impl Permutation {
    /// Returns the permutation that belongs to these numbers, a seed among them.
    pub fn new(count: usize, seeds: &[u64]) -> Self {
        let count = count as u64;
        let root = count.isqrt();
        let wide = if root * root < count { root + 1 } else { root.max(1) };
        let mut state = seeds.iter().fold(0, |state, &seed| mix(state ^ seed));
        let keys = std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(state)
        });
        Permutation { count, sides: [wide, count.div_ceil(wide)], keys }
    }

    /// Returns the element at a place below `count`.
    pub fn get(&self, place: usize) -> usize {
        assert!((place as u64) < self.count, "a place lies among the elements");
        self.walk(self.encipher([place as u64])[0])
    }

    /// Returns the elements at neighbouring places: faster than one by one, as several wait for their products at once.
    pub fn stretch(&self, places: Range<usize>) -> Vec<usize> {
        let mut elements = Vec::with_capacity(places.len());
        let whole = places.start..places.end - places.len() % LANES;
        for first in whole.clone().step_by(LANES) {
            let enciphered = self.encipher::<LANES>(std::array::from_fn(|lane| (first + lane) as u64));
            elements.extend(enciphered.map(|element| self.walk(element)));
        }
        elements.extend((whole.end..places.end).map(|place| self.get(place)));
        elements
    }

    /// Enciphers what fell outside of the elements again until it falls within.
    fn walk(&self, mut element: u64) -> usize {
        while element >= self.count {
            element = self.encipher([element])[0];
        }
        element as usize
    }

    #[inline(always)]
    fn encipher<const N: usize>(&self, elements: [u64; N]) -> [u64; N] {
        let [wide, high] = self.sides;
        let (mut changed, mut kept) =
            (elements.map(|element| element % wide), elements.map(|element| element / wide));
        for (round, key) in self.keys.iter().enumerate() {
            let side = self.sides[round % 2];
            for (half, other) in changed.iter_mut().zip(kept) {
                let moved = *half + below(side, mix(key ^ other));
                *half = moved.min(moved.wrapping_sub(side));
            }
            (changed, kept) = (kept, changed);
        }
        debug_assert!(kept.iter().all(|half| *half < high), "a half stays below its side");
        std::array::from_fn(|lane| changed[lane] + wide * kept[lane])
    }
}

/// Scales a hash to `0..bound` (Lemire 2019, without the rejection: the bias is below `bound / 2⁶⁴`).
pub(crate) fn below(bound: u64, hash: u64) -> u64 {
    ((u128::from(hash) * u128::from(bound)) >> 64) as u64
}

/// Mixes all bits of a number (Steele et al. 2014, the finalizer of SplitMix64).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_element_has_one_place(count in 0_usize..3000, seed: u64) {
            let permutation = Permutation::new(count, &[seed]);
            let mut elements: Vec<usize> = (0..count).map(|place| permutation.get(place)).collect();
            let (start, end) = (count / 3, count - count / 5);
            prop_assert_eq!(&permutation.stretch(start..end), &elements[start..end]);
            elements.sort_unstable();
            prop_assert_eq!(elements, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn each_element_comes_to_each_place_equally_often() {
        const SEEDS: u64 = 20_000;
        for count in [2_usize, 3, 7, 10, 31] {
            let mut seen = vec![0_u32; count * count];
            for seed in 0..SEEDS {
                let permutation = Permutation::new(count, &[seed, 3]);
                (0..count).for_each(|place| seen[place * count + permutation.get(place)] += 1);
            }
            let expected = SEEDS as f64 / count as f64;
            let (cells, chi_squared) = (
                (count * count) as f64,
                seen.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum::<f64>(),
            );
            // Its mean is below the number of cells, its standard deviation the root of twice that.
            assert!(chi_squared < cells + 6.0 * (2.0 * cells).sqrt(), "{count}: {chi_squared} of {cells}");
        }
    }

    #[test]
    fn neighbours_part() {
        // The distance of two elements drawn at random is a third of their number in the mean.
        let count = 100_000;
        let permutation = Permutation::new(count, &[1]);
        let distances = (1..count).map(|place| permutation.get(place).abs_diff(permutation.get(place - 1)));
        let mean = distances.sum::<usize>() as f64 / (count - 1) as f64;
        assert!((mean / count as f64 - 1.0 / 3.0).abs() < 0.01, "{mean}");
    }

    #[test]
    fn other_seeds_give_other_orders() {
        let order = |seeds: &[u64]| {
            let permutation = Permutation::new(100, seeds);
            (0..100).map(|place| permutation.get(place)).collect::<Vec<_>>()
        };
        assert_eq!(order(&[1, 2]), order(&[1, 2]));
        assert_ne!(order(&[1, 2]), order(&[2, 1]));
        assert_ne!(order(&[1, 2]), order(&[1, 3]));
    }
}
