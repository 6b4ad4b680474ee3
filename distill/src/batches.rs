//! In which order a run visits its examples: shuffled, but batches of similar lengths.
//!
//! The order is a function of the seed and the number of the epoch alone, so that a run can be continued anywhere.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// How large a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// So many examples.
    Examples(usize),
    /// As many examples as fit into so many tokens, at least one.
    Tokens(usize),
}

/// Batches whose examples are sorted by length together. Larger blocks give more even batches, smaller ones more chance.
const BLOCK_BATCHES: usize = 64;

/// Returns the batches of one epoch as indices of examples; each example stands in exactly one.
///
/// Examples are shuffled, sorted by length within blocks of 64 batches, cut into batches, and the batches shuffled.
/// `lengths`: the tokens of each example.
pub fn epoch(lengths: &[usize], size: BatchSize, seed: u64, epoch: u64) -> Vec<Vec<usize>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch);
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.shuffle(&mut rng);
    let mut batches = Vec::new();
    for block in order.chunks_mut(block_examples(lengths, size)) {
        block.sort_by_key(|&example| lengths[example]);
        match size {
            BatchSize::Examples(count) => batches.extend(block.chunks(count).map(<[usize]>::to_vec)),
            BatchSize::Tokens(budget) => cut(block, lengths, budget, &mut batches),
        }
    }
    batches.shuffle(&mut rng);
    batches
}

fn block_examples(lengths: &[usize], size: BatchSize) -> usize {
    match size {
        BatchSize::Examples(count) => count * BLOCK_BATCHES,
        BatchSize::Tokens(budget) => {
            let total: usize = lengths.iter().sum();
            (budget * BLOCK_BATCHES * lengths.len() / total.max(1)).max(1)
        }
    }
}

fn cut(block: &[usize], lengths: &[usize], budget: usize, batches: &mut Vec<Vec<usize>>) {
    let (mut batch, mut tokens) = (Vec::new(), 0);
    for &example in block {
        if !batch.is_empty() && tokens + lengths[example] > budget {
            batches.push(std::mem::take(&mut batch));
            tokens = 0;
        }
        batch.push(example);
        tokens += lengths[example];
    }
    batches.push(batch);
}

/// The course of a whole run: which batches make up which update.
pub struct Course<'a> {
    lengths: &'a [usize],
    size: BatchSize,
    accumulate: usize,
    seed: u64,
    total_steps: u64,
    /// The first update of each epoch that has been looked at, and of the next one.
    starts: Vec<u64>,
    current: Option<(usize, Vec<Vec<usize>>)>,
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After every example was seen so often.
    Epochs(u32),
    /// After so many updates.
    Steps(u64),
}

impl<'a> Course<'a> {
    /// Plans a run over examples of these lengths. `accumulate`: batches to an update; an epoch's last has fewer.
    pub fn new(lengths: &'a [usize], size: BatchSize, accumulate: usize, seed: u64, until: Until) -> Self {
        let mut course =
            Course { lengths, size, accumulate, seed, total_steps: 0, starts: vec![0], current: None };
        course.total_steps = match until {
            Until::Steps(steps) => steps,
            Until::Epochs(epochs) => course.start_of(epochs as usize),
        };
        course
    }

    /// Returns the number of updates.
    pub fn total_steps(&self) -> u64 {
        self.total_steps
    }

    /// Returns the epoch to which update `step` belongs, and the batches of the update.
    pub fn step(&mut self, step: u64) -> (usize, &[Vec<usize>]) {
        let mut epoch = 0;
        while self.start_of(epoch + 1) <= step {
            epoch += 1;
        }
        let first = (step - self.starts[epoch]) as usize * self.accumulate;
        if self.current.as_ref().is_none_or(|(current, _)| *current != epoch) {
            self.current = Some((epoch, self::epoch(self.lengths, self.size, self.seed, epoch as u64)));
        }
        let batches = self.current.as_ref().map_or(&[][..], |(_, batches)| batches);
        (epoch, &batches[first..(first + self.accumulate).min(batches.len())])
    }

    fn start_of(&mut self, epoch: usize) -> u64 {
        while self.starts.len() <= epoch {
            let last = self.starts.len() - 1;
            let batches = match self.size {
                BatchSize::Examples(count) => self.lengths.len().div_ceil(count),
                BatchSize::Tokens(_) => self::epoch(self.lengths, self.size, self.seed, last as u64).len(),
            };
            self.starts.push(self.starts[last] + batches.div_ceil(self.accumulate) as u64);
        }
        self.starts[epoch]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZES: [BatchSize; 3] = [BatchSize::Examples(1), BatchSize::Examples(7), BatchSize::Tokens(40)];

    proptest! {
        #[test]
        fn every_example_is_visited_once_an_epoch(lengths in prop::collection::vec(1_usize..60, 1..600), seed: u64) {
            for size in SIZES {
                let batches = epoch(&lengths, size, seed, 3);
                let mut visited = batches.concat();
                visited.sort_unstable();
                prop_assert_eq!(visited, (0..lengths.len()).collect::<Vec<_>>());
                for batch in &batches {
                    let tokens: usize = batch.iter().map(|&example| lengths[example]).sum();
                    let fits = match size {
                        BatchSize::Examples(count) => (1..=count).contains(&batch.len()),
                        BatchSize::Tokens(budget) => batch.len() == 1 || tokens <= budget,
                    };
                    prop_assert!(fits);
                }
            }
        }

        #[test]
        fn a_course_is_the_same_wherever_it_is_entered(
            lengths in prop::collection::vec(1_usize..60, 1..200),
            accumulate in 1_usize..4,
        ) {
            for size in SIZES {
                let new = || Course::new(&lengths, size, accumulate, 5, Until::Epochs(3));
                let mut walked = new();
                let mut seen = 0;
                for step in 0..walked.total_steps() {
                    let (epoch, batches) = walked.step(step);
                    seen += batches.concat().len();
                    let mut entered = new();
                    prop_assert_eq!((epoch, batches), entered.step(step));
                }
                prop_assert_eq!(seen, 3 * lengths.len());
            }
        }
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let lengths = vec![5; 100];
        let order = |seed, number| epoch(&lengths, BatchSize::Examples(10), seed, number);
        assert_eq!(order(1, 0), order(1, 0));
        assert_ne!(order(1, 0), order(1, 1));
        assert_ne!(order(1, 0), order(2, 0));
    }

    #[test]
    fn batches_are_of_similar_lengths() {
        let lengths: Vec<usize> = (0..4000).map(|i| 1 + (i * 7919) % 100).collect();
        let padded: usize = epoch(&lengths, BatchSize::Examples(32), 1, 0)
            .iter()
            .map(|batch| batch.len() * batch.iter().map(|&i| lengths[i]).max().unwrap())
            .sum();
        let real: usize = lengths.iter().sum();
        assert!((padded as f64) < 1.1 * real as f64, "{padded} padded tokens for {real}");
    }

    #[test]
    fn a_number_of_updates_may_end_within_an_epoch_or_after_many() {
        let lengths = vec![5; 10];
        let mut course = Course::new(&lengths, BatchSize::Examples(4), 1, 1, Until::Steps(8));
        assert_eq!(course.total_steps(), 8);
        assert_eq!([0, 2, 3, 7].map(|step| course.step(step).0), [0, 0, 1, 2]);
    }
}
