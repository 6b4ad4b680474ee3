//! Dropout masks out of a counter: nothing is stored, and backward draws the same mask again.
//!
//! Elements are numbered, and 32 neighbours share 16 hashes: each hash of 32 bits decides two elements with 16 bits
//! each. A rate is therefore rounded to a multiple of 2⁻¹⁶, and what is kept is scaled by the rounded rate.

use crate::Real;
#[cfg(target_arch = "x86_64")]
use crate::kernels::simd::Avx512;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_mm512_cmpge_epu32_mask, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_slli_epi32};

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
    keys: [u32; 2],
    threshold: u32,
    keep_scale: f64,
}

/// Hashes that are drawn together: a vector's worth.
const LANES: usize = 16;

/// Elements that these hashes decide: element `l` by the low half of hash `l`, element `16 + l` by the high half.
const BLOCK: usize = 2 * LANES;

impl Mask {
    /// Returns the mask of the layer numbered `site`. `rate`: the probability that an element is dropped, below 1.
    pub(crate) fn new(key: DropoutKey, site: u32, rate: f64) -> Self {
        let words =
            [key.seed as u32, (key.seed >> 32) as u32, key.pass as u32, (key.pass >> 32) as u32, site];
        let chain = |start: u32| {
            words.into_iter().fold(start, |hash, word| mix(hash ^ mix(word.wrapping_add(0x9e37_79b9), 0), 0))
        };
        let threshold = (rate * 65536.0).round().clamp(0.0, 65535.0);
        Mask {
            keys: [chain(0), chain(0x85eb_ca6b)],
            threshold: threshold as u32,
            keep_scale: 65536.0 / (65536.0 - threshold),
        }
    }

    /// Returns what kept elements are multiplied by: `1 / (1 - rate)`.
    pub(crate) fn keep_scale(self) -> f64 {
        self.keep_scale
    }

    /// Tells whether the element of this number is kept.
    #[inline(always)]
    pub(crate) fn keeps(self, number: u32) -> bool {
        let word = self.hash((number / BLOCK as u32) * LANES as u32 + number % LANES as u32);
        (word >> (number & LANES as u32)) & 0xffff >= self.threshold
    }

    /// Replaces each element of `x` by 0 or by `x / (1 - rate)`. `first`: the number of the first element.
    ///
    /// Fastest on long runs: an incomplete block at either end costs as much as several whole ones.
    #[inline(always)]
    pub(crate) fn apply<F: Real>(self, x: &mut [F], first: usize) {
        let keep = F::of(self.keep_scale());
        let start = first.next_multiple_of(BLOCK);
        let (head, rest) = x.split_at_mut((start - first).min(x.len()));
        self.apply_to_each(head, first, keep);
        let (blocks, tail) = rest.as_chunks_mut::<BLOCK>();
        let end = start + blocks.len() * BLOCK;
        for (block, number) in blocks.iter_mut().zip((start..).step_by(BLOCK)) {
            let (first_hash, (low, high)) = (number as u32 / 2, block.split_at_mut(LANES));
            for (lane, (low, high)) in low.iter_mut().zip(high).enumerate() {
                let word = self.hash(first_hash + lane as u32);
                *low = if word & 0xffff >= self.threshold { *low * keep } else { F::zero() };
                *high = if word >> 16 >= self.threshold { *high * keep } else { F::zero() };
            }
        }
        self.apply_to_each(tail, end, keep);
    }

    /// Fills `words` with a bit for each element, from number `first` on, that tells whether it is kept.
    ///
    /// # Panics
    /// When `first` is not a multiple of 32.
    pub(crate) fn kept(self, first: u32, words: &mut [u32]) {
        assert!(first.is_multiple_of(BLOCK as u32), "a word is a whole block");
        #[cfg(target_arch = "x86_64")]
        if Avx512::detect().is_some() {
            // SAFETY: the processor has AVX-512.
            return unsafe { self.kept_by_vector(first, words) };
        }
        for (i, word) in words.iter_mut().enumerate() {
            let number = first.wrapping_add((BLOCK * i) as u32);
            *word = (0..BLOCK as u32).fold(0, |bits, l| bits | u32::from(self.keeps(number + l)) << l);
        }
    }

    /// See [`Mask::kept`]: a comparison of vectors is a word of bits.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn kept_by_vector(self, first: u32, words: &mut [u32]) {
        let threshold = _mm512_set1_epi32((self.threshold << 16) as i32);
        for (i, word) in words.iter_mut().enumerate() {
            let first_hash = first.wrapping_add((BLOCK * i) as u32) / 2;
            let mut hashes = [0_u32; LANES];
            for (hash, number) in hashes.iter_mut().zip(first_hash..) {
                *hash = self.hash(number);
            }
            // SAFETY: the array is the vector's 64 bytes.
            let high = unsafe { _mm512_loadu_si512(hashes.as_ptr().cast()) };
            let low = _mm512_slli_epi32::<16>(high);
            let [low, high] = [low, high].map(|half| u32::from(_mm512_cmpge_epu32_mask(half, threshold)));
            *word = low | high << LANES;
        }
    }

    #[inline(always)]
    fn apply_to_each<F: Real>(self, x: &mut [F], first: usize, keep: F) {
        for (i, x) in x.iter_mut().enumerate() {
            *x = if self.keeps((first + i) as u32) { *x * keep } else { F::zero() };
        }
    }

    #[inline(always)]
    fn hash(self, number: u32) -> u32 {
        mix(number.wrapping_add(self.keys[0]), self.keys[1])
    }
}

/// A hash of 32 bits with low bias, bijective for each key.
///
/// The constants are those of Wellons, "Prospecting for Hash Functions", 2018, where the key is 0. The key changes the
/// number in the middle, so that the hashes under one key are not those under another, shifted.
#[inline(always)]
fn mix(mut x: u32, key: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= (x >> 15) ^ key;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(key: DropoutKey, site: u32, rate: f64, len: usize) -> Vec<bool> {
        let mut ones = vec![1.0_f32; len];
        Mask::new(key, site, rate).apply(&mut ones, 0);
        ones.iter().map(|&x| x != 0.0).collect()
    }

    /// Returns χ² of the table of how often pairs are (kept, kept), (kept, dropped) and so on, were they independent.
    fn chi_squared(pairs: impl Iterator<Item = (bool, bool)>, rate: f64) -> f64 {
        let mut counts = [0.0_f64; 4];
        pairs.for_each(|(a, b)| counts[2 * usize::from(a) + usize::from(b)] += 1.0);
        let (total, keep) = (counts.iter().sum::<f64>(), 1.0 - rate);
        let expected = [rate * rate, rate * keep, keep * rate, keep * keep].map(|share| share * total);
        counts.iter().zip(expected).map(|(count, expected)| (count - expected).powi(2) / expected).sum()
    }

    /// χ² with three degrees of freedom exceeds this once in ten million.
    const UNLIKELY: f64 = 35.9;

    #[test]
    fn a_word_of_kept_elements_is_what_each_of_them_says() {
        let mask = Mask::new(DropoutKey { seed: 1, pass: 2 }, 3, 0.4);
        for first in [0, 64, 32 * 1_000_003, u32::MAX - 31] {
            let mut words = [0; 5];
            mask.kept(first, &mut words);
            for l in 0..160 {
                let kept = words[l / 32] >> (l % 32) & 1 == 1;
                assert_eq!(kept, mask.keeps(first.wrapping_add(l as u32)), "{l} after {first}");
            }
        }
    }

    #[test]
    fn the_share_of_dropped_elements_is_the_rate_and_the_mean_is_kept() {
        for rate in [0.0, 0.1, 0.5, 0.9] {
            let mut ones = vec![1.0_f64; 1_000_000];
            Mask::new(DropoutKey { seed: 1, pass: 2 }, 3, rate).apply(&mut ones, 7);
            let dropped = ones.iter().filter(|&&x| x == 0.0).count() as f64 / 1e6;
            let mean = ones.iter().sum::<f64>() / 1e6;
            let deviation = (rate * (1.0 - rate)).sqrt() * 1e-3;
            assert!(
                (dropped - rate).abs() <= 5.0 * deviation
                    && (mean - 1.0).abs() <= 5.0 * deviation / (1.0 - rate) + 1e-9,
                "{rate}: {dropped}, {mean}"
            );
        }
    }

    #[test]
    fn a_rate_is_rounded_to_a_multiple_of_one_in_65536_and_kept_elements_are_scaled_by_the_rounded_rate() {
        let scale = |rate| Mask::new(DropoutKey { seed: 1, pass: 1 }, 0, rate).keep_scale();
        assert_eq!(scale(0.1), 65536.0 / (65536.0 - 6554.0));
        assert_eq!(scale(1e-9), 1.0);
        assert_eq!(scale(1.0 - 1e-9), 65536.0);
    }

    #[test]
    fn masks_of_other_seeds_passes_and_sites_are_independent() {
        for rate in [0.1, 0.5] {
            let len = 1 << 18;
            let base = kept(DropoutKey { seed: 1, pass: 1 }, 1, rate, len);
            for (seed, pass, site) in [(2, 1, 1), (1, 2, 1), (1, 1, 2), (1 << 40, 1, 1), (1, 1 << 40, 1)] {
                let other = kept(DropoutKey { seed, pass }, site, rate, len);
                let statistic = chi_squared(base.iter().copied().zip(other), rate);
                assert!(statistic < UNLIKELY, "seed {seed}, pass {pass}, site {site}: {statistic}");
            }
        }
    }

    #[test]
    fn elements_of_a_mask_are_independent_of_their_neighbours_and_of_those_in_other_rows() {
        for (rate, seed) in [(0.1, 1), (0.1, 2), (0.5, 3), (0.02, 4)] {
            let mask = kept(DropoutKey { seed, pass: 9 }, 4, rate, 1 << 20);
            for lag in
                [1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 48, 64, 128, 256, 312, 384, 512, 768, 1200, 3072]
            {
                let pairs = mask.iter().zip(&mask[lag..]).map(|(&a, &b)| (a, b));
                let statistic = chi_squared(pairs, rate);
                assert!(statistic < UNLIKELY, "rate {rate}, lag {lag}: {statistic}");
            }
        }
    }

    #[test]
    fn the_number_of_dropped_elements_in_a_run_varies_as_much_as_that_of_independent_ones() {
        let (rate, runs) = (0.1, 1 << 14);
        for len in [16, 32, 64, 312] {
            let mask = kept(DropoutKey { seed: 5, pass: 5 }, 5, rate, len * runs);
            let expected = len as f64 * rate;
            let squares = mask.chunks(len).map(|run| {
                let dropped = run.iter().filter(|&&kept| !kept).count() as f64;
                (dropped - expected).powi(2)
            });
            let ratio = squares.sum::<f64>() / runs as f64 / (expected * (1.0 - rate));
            assert!((ratio - 1.0).abs() < 0.07, "runs of {len}: {ratio} of the variance");
        }
    }

    proptest! {
        #[test]
        fn a_mask_does_not_depend_on_how_the_elements_are_cut(
            first in 0..200_usize,
            len in 0..200_usize,
            at in 0.0..1.0,
            rate in 0.0..1.0,
        ) {
            let mask = Mask::new(DropoutKey { seed: 9, pass: 9 }, 0, rate);
            let cut = (len as f64 * at) as usize;
            let (mut whole, mut parts) = (vec![1.0_f64; len], vec![1.0_f64; len]);
            mask.apply(&mut whole, first);
            mask.apply(&mut parts[..cut], first);
            mask.apply(&mut parts[cut..], first + cut);
            prop_assert_eq!(&whole, &parts);
            for (i, x) in whole.into_iter().enumerate() {
                let expected = if mask.keeps((first + i) as u32) { mask.keep_scale() } else { 0.0 };
                prop_assert_eq!(x, expected);
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so_where_it_is_kept() {
        let mask = Mask::new(DropoutKey { seed: 1, pass: 1 }, 0, 0.5);
        for value in [f32::NAN, f32::INFINITY] {
            let mut x = [value; 100];
            mask.apply(&mut x, 3);
            let seen: Vec<bool> = x.iter().map(|x| !x.is_finite()).collect();
            let kept: Vec<bool> = (3..103).map(|number| mask.keeps(number)).collect();
            assert_eq!(seen, kept);
        }
    }
}
