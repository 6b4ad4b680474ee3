//! Random numbers in a row, from some numbers that name the row: the same on any machine and with any number of threads.

use crate::batches::{below, mix};

/// A stream of random numbers (Steele et al. 2014, SplitMix64).
#[derive(Clone, Debug)]
pub struct Draws {
    state: u64,
}

impl Draws {
    /// Starts the stream that belongs to these numbers, a seed among them.
    pub fn new(seeds: &[u64]) -> Self {
        Draws { state: seeds.iter().fold(0, |state, &seed| mix(state ^ mix(seed ^ GAMMA))) }
    }

    /// Returns 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// Returns a number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "there is something to draw from");
        below(bound as u64, self.bits()) as usize
    }

    /// Returns a number in (0, 1].
    pub fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Says yes with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() <= probability
    }
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_told_apart_by_every_number_and_its_place() {
        let first = |seeds: &[u64]| Draws::new(seeds).bits();
        let streams = [&[0][..], &[0, 0], &[1, 0], &[0, 1], &[1, 1], &[2, 1], &[1, 2], &[0, 0, 0]].map(first);
        for (place, bits) in streams.iter().enumerate() {
            assert!(!streams[..place].contains(bits), "{place}");
        }
        assert_eq!(first(&[7, 8]), first(&[7, 8]));
    }

    #[test]
    fn draws_are_even() {
        const COUNT: usize = 100_000;
        let mut draws = Draws::new(&[1]);
        let mut seen = [0_u32; 10];
        (0..COUNT).for_each(|_| seen[draws.below(10)] += 1);
        // A standard deviation is 95.
        assert!(seen.iter().all(|&count| count.abs_diff(COUNT as u32 / 10) < 500), "{seen:?}");
        let yes = (0..COUNT).filter(|_| draws.chance(0.1)).count();
        assert!(yes.abs_diff(COUNT / 10) < 500, "{yes}");
        assert!((0..100).all(|_| draws.chance(1.0)) && !(0..100).any(|_| draws.chance(0.0)));
    }
}
