//! Batches of random tokens to measure with.

use crate::{PackedBatch, init};

/// How long the sequences of a batch are, in tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lengths {
    /// All are equally long.
    Equal(usize),
    /// Log-normal with this mean and a deviation of the logarithm of 0.6, as short phrases are; no shorter than three
    /// tokens, no longer than `most`.
    Ragged {
        /// The mean, before the longest are cut.
        mean: usize,
        /// The longest.
        most: usize,
    },
}

impl Lengths {
    /// Returns the lengths of some sequences; another seed gives other ones, where they are ragged.
    pub fn draw(self, num_sequences: usize, seed: u64) -> Vec<usize> {
        const DEVIATION: f64 = 0.6;
        const LEAST: usize = 3;
        match self {
            Lengths::Equal(length) => vec![length; num_sequences],
            Lengths::Ragged { mean, most } => {
                let centre = (mean as f64).ln() - DEVIATION * DEVIATION / 2.0;
                let length = |i| (centre + DEVIATION * init::normal(seed, i)).exp().round() as usize;
                (0..num_sequences as u64).map(|i| length(i).max(LEAST).min(most)).collect()
            }
        }
    }
}

/// Returns a sequence of random tokens for each length; another seed gives other tokens.
pub fn random_batch(vocab_size: usize, lengths: &[usize], seed: u64) -> PackedBatch {
    let id = |token: usize| (init::uniform(seed, token as u64) * vocab_size as f64) as u32;
    let ids: Vec<u32> = (0..lengths.iter().sum()).map(id).collect();
    let type_ids = vec![0; lengths.iter().copied().max().unwrap_or(0)];
    let mut rest = ids.as_slice();
    let sequences = lengths.iter().map(|&length| {
        let (ids, behind) = rest.split_at(length);
        rest = behind;
        (ids, &type_ids[..length])
    });
    PackedBatch::pack(sequences.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ragged_lengths_have_their_mean_and_their_limits() {
        let lengths = Lengths::Ragged { mean: 13, most: 64 }.draw(20_000, 1);
        let mean = lengths.iter().sum::<usize>() as f64 / 20_000.0;
        assert!((mean - 13.0).abs() < 0.2, "{mean}");
        assert!(lengths.iter().all(|length| (3..=64).contains(length)));
        assert!(lengths.contains(&64) && lengths.contains(&3));
        assert_ne!(lengths[..9], Lengths::Ragged { mean: 13, most: 64 }.draw(9, 2));
        assert_eq!(Lengths::Ragged { mean: 13, most: 2 }.draw(2, 1), [2, 2]);
        assert_eq!(Lengths::Equal(5).draw(2, 1), [5, 5]);
    }

    #[test]
    fn a_random_batch_has_the_lengths_that_were_asked_for() {
        let batch = random_batch(50, &[2, 3], 1);
        assert_eq!(batch.offsets(), [0, 2, 5]);
        assert!(batch.ids().iter().all(|&id| id < 50));
        assert_ne!(batch.ids(), random_batch(50, &[2, 3], 2).ids());
    }
}
