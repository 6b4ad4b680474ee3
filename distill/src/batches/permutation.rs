//! A shuffle that is computed and not stored: where one element goes can be asked without placing all others.
//!
//! A Feistel network over the pairs `(l, r)` of `Z_a x Z_b`, whose rounds add a hash of one half to the other, is a
//! bijection whatever the hash; `a b` is the least rectangle about a square that holds all elements, and what falls
//! outside of them is sent through again until it falls within (Black and Rogaway 2002, "Ciphers with arbitrary finite
//! domains", sections 4 and 5). A million epochs of a million examples cost no memory at all.

/// A bijection of `0..count`.
#[derive(Clone, Debug)]
pub struct Permutation {
    count: u64,
    sides: [u64; 2],
    keys: [u64; ROUNDS],
}

const ROUNDS: usize = 8;

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
        let mut element = place as u64;
        assert!(element < self.count, "a place lies among the elements");
        loop {
            element = self.encipher(element);
            if element < self.count {
                return element as usize;
            }
        }
    }

    fn encipher(&self, element: u64) -> u64 {
        let [wide, high] = self.sides;
        let mut halves = [element % wide, element / wide];
        for (round, key) in self.keys.iter().enumerate() {
            let (changed, kept) = (round % 2, 1 - round % 2);
            let side = self.sides[changed];
            let moved = halves[changed] + below(side, mix(key ^ halves[kept]));
            halves[changed] = if moved < side { moved } else { moved - side };
        }
        debug_assert!(halves[1] < high, "a half stays below its side");
        halves[0] + wide * halves[1]
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
