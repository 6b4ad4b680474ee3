//! Dropout masks out of a counter: nothing is stored, and backward draws the same mask again.

use crate::Real;

/// Where in a run a forward pass stands; with it every dropout mask of the pass is determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropoutKey {
    /// The seed of the run.
    pub seed: u64,
    /// The number of the forward pass within the run.
    pub pass: u64,
}

/// The mask of one dropout layer in one forward pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask {
    key: u32,
    threshold: u32,
    keep_scale: f64,
}

impl Mask {
    /// Returns the mask of the layer numbered `site`. `rate`: the probability that an element is dropped, below 1.
    pub(crate) fn new(key: DropoutKey, site: u32, rate: f64) -> Self {
        let words =
            [key.seed as u32, (key.seed >> 32) as u32, key.pass as u32, (key.pass >> 32) as u32, site];
        Mask {
            key: words.into_iter().fold(0, |hash, word| mix(hash ^ mix(word.wrapping_add(0x9e37_79b9)))),
            threshold: (rate * f64::from(u32::MAX)) as u32,
            keep_scale: 1.0 / (1.0 - rate),
        }
    }

    /// Multiplies each element of `x` by 0 or by `1 / (1 - rate)`. `first`: the number of the first element.
    #[inline(always)]
    pub(crate) fn apply<F: Real>(self, x: &mut [F], first: usize) {
        let (keep, first) = (F::of(self.keep_scale), first as u32);
        for (i, x) in x.iter_mut().enumerate() {
            *x = if self.keeps(first.wrapping_add(i as u32)) { *x * keep } else { F::zero() };
        }
    }

    /// Tells whether the element of this number is kept.
    #[inline(always)]
    pub(crate) fn keeps(self, number: u32) -> bool {
        mix(mix(number).wrapping_add(self.key)) >= self.threshold
    }

    /// Returns what kept elements are multiplied by: `1 / (1 - rate)`.
    pub(crate) fn keep_scale(self) -> f64 {
        self.keep_scale
    }
}

/// A bijective hash of 32 bits with low bias (constants by Wellons, "Prospecting for Hash Functions", 2018).
#[inline(always)]
fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(key: DropoutKey, site: u32, rate: f64) -> Vec<bool> {
        let mut ones = vec![1.0_f32; 20_000];
        Mask::new(key, site, rate).apply(&mut ones, 0);
        ones.iter().map(|&x| x != 0.0).collect()
    }

    #[test]
    fn the_share_of_dropped_elements_is_the_rate_and_the_mean_is_kept() {
        for rate in [0.0, 0.1, 0.5] {
            let mut ones = vec![1.0_f64; 100_000];
            Mask::new(DropoutKey { seed: 1, pass: 2 }, 3, rate).apply(&mut ones, 7);
            let dropped = ones.iter().filter(|&&x| x == 0.0).count() as f64 / 1e5;
            let mean = ones.iter().sum::<f64>() / 1e5;
            assert!(
                (dropped - rate).abs() < 0.006 && (mean - 1.0).abs() < 0.012,
                "{rate}: {dropped}, {mean}"
            );
        }
    }

    #[test]
    fn masks_of_other_seeds_passes_and_sites_are_independent() {
        let base = kept(DropoutKey { seed: 1, pass: 1 }, 1, 0.5);
        for (seed, pass, site) in [(2, 1, 1), (1, 2, 1), (1, 1, 2), (1 << 40, 1, 1), (1, 1 << 40, 1)] {
            let other = kept(DropoutKey { seed, pass }, site, 0.5);
            let equal = base.iter().zip(&other).filter(|(a, b)| a == b).count() as f64 / 20_000.0;
            assert!((equal - 0.5).abs() < 0.02, "seed {seed}, pass {pass}, site {site}: {equal}");
        }
    }

    #[test]
    fn a_mask_does_not_depend_on_how_the_elements_are_cut() {
        let mask = Mask::new(DropoutKey { seed: 9, pass: 9 }, 0, 0.3);
        let (mut whole, mut parts) = (vec![1.0_f32; 100], vec![1.0_f32; 100]);
        mask.apply(&mut whole, 0);
        mask.apply(&mut parts[..37], 0);
        mask.apply(&mut parts[37..], 37);
        assert_eq!(whole, parts);
    }
}
