//! In which order a run visits its examples: shuffled, but batches of similar lengths.
//!
//! An epoch is a [`Permutation`] of the examples, cut into blocks of about 64 batches. A block is a random sample of the
//! examples, so that it can be sorted by length, cut into batches and the batches shuffled, without looking at any other
//! block. The order is a function of the seed and the number of the epoch alone; so a run can be entered anywhere, needs
//! memory for one block, and starts at once however many examples there are.

mod permutation;

pub use permutation::Permutation;
pub(crate) use permutation::{below, mix};

use crate::threads;
use std::ops::Range;

/// How large a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// So many examples.
    Examples(usize),
    /// As many examples as fit into so many tokens, at least one.
    Tokens(usize),
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After every example was seen so often.
    Epochs(u32),
    /// After so many updates.
    Steps(u64),
}

/// Changes whenever the same seed begins to give another order: a run is not resumed in an order that it was not begun in.
pub const ORDER_VERSION: u32 = 2;

/// Batches whose examples are sorted by length together. Larger blocks give more even batches, smaller ones more chance.
const BLOCK_BATCHES: usize = 64;

/// The examples of a run: how many there are, and the tokens of each.
#[derive(Clone, Copy)]
pub struct Lengths<'a> {
    /// The number of examples.
    pub count: usize,
    /// Returns the number of tokens of an example.
    pub of: &'a (dyn Fn(usize) -> usize + Sync),
    /// The threads that may ask at once; 0 for all cores.
    pub threads: usize,
}

/// The course of a whole run: which batches make up which update.
pub struct Course<'a> {
    lengths: Lengths<'a>,
    size: BatchSize,
    block_examples: usize,
    accumulate: usize,
    seed: u64,
    total_steps: u64,
    /// The epochs that have been looked at.
    epochs: Vec<Epoch>,
    current: Option<Block>,
}

/// An epoch as far as it is kept.
struct Epoch {
    permutation: Permutation,
    /// Its first update.
    start: u64,
    /// The first batch of each block that was counted so far, and the number of their batches.
    first_batches: Vec<usize>,
}

/// A block's batches in their order.
struct Block {
    epoch: usize,
    number: usize,
    batches: Vec<Vec<usize>>,
}

impl<'a> Course<'a> {
    /// Plans a run over these examples. `accumulate`: batches to an update; an epoch's last has fewer.
    ///
    /// Batches of a number of examples need no look at them; batches of a number of tokens one pass over the lengths, and the
    /// number of updates in a number of epochs one more for each, to count the batches.
    pub fn new(lengths: Lengths<'a>, size: BatchSize, accumulate: usize, seed: u64, until: Until) -> Self {
        let block_examples = match size {
            BatchSize::Examples(count) => count.saturating_mul(BLOCK_BATCHES),
            BatchSize::Tokens(budget) => {
                let total: usize = (0..lengths.count).map(lengths.of).sum();
                let mean = (total as f64 / lengths.count.max(1) as f64).max(1.0);
                (budget as f64 * BLOCK_BATCHES as f64 / mean) as usize + 1
            }
        };
        let (epochs, current) = (Vec::new(), None);
        let mut course =
            Course { lengths, size, block_examples, accumulate, seed, total_steps: 0, epochs, current };
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
    pub fn step(&mut self, step: u64) -> (usize, Vec<Vec<usize>>) {
        let mut number = 0;
        let first = loop {
            let first = (step - self.start_of(number)) as usize * self.accumulate;
            if self.counted(number, first + 1) > first {
                break first;
            }
            number += 1;
        };
        let end = first + self.accumulate;
        let end = end.min(self.counted(number, end));
        (number, (first..end).map(|batch| self.batch(number, batch)).collect())
    }

    /// Returns a batch of an epoch.
    fn batch(&mut self, epoch: usize, batch: usize) -> Vec<usize> {
        let firsts = &self.epochs[epoch].first_batches;
        let number = firsts.partition_point(|first| *first <= batch) - 1;
        let place = batch - firsts[number];
        let is_it = |block: &Block| (block.epoch, block.number) == (epoch, number);
        if !self.current.as_ref().is_some_and(is_it) {
            let batches = self.block(epoch, number);
            self.current = Some(Block { epoch, number, batches });
        }
        self.current.as_ref().map_or_else(Vec::new, |block| block.batches[place].clone())
    }

    /// Returns the batches of a block: sorted by length, cut, and the batches shuffled.
    fn block(&self, epoch: usize, number: usize) -> Vec<Vec<usize>> {
        let mut examples: Vec<(usize, usize)> =
            self.examples(&self.epochs[epoch].permutation, number).collect();
        examples.sort_by_key(|(length, _)| *length);
        let cuts = cut(examples.iter().map(|(length, _)| *length), self.size);
        let order = Permutation::new(cuts.len(), &[self.seed, epoch as u64, 1 + number as u64]);
        let batch = |place: usize| {
            let number = order.get(place);
            let start = if number == 0 { 0 } else { cuts[number - 1] };
            examples[start..cuts[number]].iter().map(|(_, example)| *example).collect()
        };
        (0..cuts.len()).map(batch).collect()
    }

    /// Returns the places of an epoch that make up a block.
    fn places(&self, block: usize) -> Range<usize> {
        let start = block * self.block_examples;
        start..(start + self.block_examples).min(self.lengths.count)
    }

    /// Returns the examples of a block with their lengths.
    fn examples(&self, permutation: &Permutation, block: usize) -> impl Iterator<Item = (usize, usize)> {
        // In two loops, so that the machine waits for many lengths, which may lie anywhere, at once.
        let examples = permutation.stretch(self.places(block));
        examples.into_iter().map(|example| ((self.lengths.of)(example), example))
    }

    /// Returns the first update of an epoch. Those before it are counted.
    fn start_of(&mut self, epoch: usize) -> u64 {
        while self.epochs.len() <= epoch {
            let start = match self.epochs.len().checked_sub(1) {
                Some(last) => {
                    let updates = self.count(last).div_ceil(self.accumulate);
                    self.epochs[last].start + updates as u64
                }
                None => 0,
            };
            let permutation = Permutation::new(self.lengths.count, &[self.seed, self.epochs.len() as u64, 0]);
            self.epochs.push(Epoch { permutation, start, first_batches: vec![0] });
        }
        self.epochs[epoch].start
    }

    /// Returns how many batches an epoch has, if fewer than `enough`: blocks are counted until there are so many.
    fn counted(&mut self, epoch: usize, enough: usize) -> usize {
        let blocks = self.num_blocks();
        loop {
            let firsts = &self.epochs[epoch].first_batches;
            let (block, batches) = (firsts.len() - 1, firsts[firsts.len() - 1]);
            if block == blocks || batches >= enough {
                return batches;
            }
            let next = batches + self.batches_of(&self.epochs[epoch].permutation, block);
            self.epochs[epoch].first_batches.push(next);
        }
    }

    /// Returns how many batches an epoch has. All its blocks are counted.
    fn count(&mut self, epoch: usize) -> usize {
        let Epoch { permutation, first_batches, .. } = &self.epochs[epoch];
        let rest: Vec<usize> = (first_batches.len() - 1..self.num_blocks()).collect();
        let counts = threads::map(&rest, self.lengths.threads, |&block| self.batches_of(permutation, block));
        let firsts = &mut self.epochs[epoch].first_batches;
        let mut batches = firsts[firsts.len() - 1];
        firsts.extend(counts.into_iter().map(|count| {
            batches += count;
            batches
        }));
        batches
    }

    fn num_blocks(&self) -> usize {
        self.lengths.count.div_ceil(self.block_examples)
    }

    /// Returns the number of batches of a block.
    fn batches_of(&self, permutation: &Permutation, block: usize) -> usize {
        match self.size {
            BatchSize::Examples(count) => self.places(block).len().div_ceil(count),
            BatchSize::Tokens(_) => {
                let mut lengths: Vec<usize> =
                    self.examples(permutation, block).map(|(length, _)| length).collect();
                lengths.sort_unstable();
                cut(lengths.into_iter(), self.size).len()
            }
        }
    }
}

/// Returns where the batches of a sorted block end.
fn cut(lengths: impl ExactSizeIterator<Item = usize>, size: BatchSize) -> Vec<usize> {
    let (mut ends, count) = (Vec::with_capacity(2 * BLOCK_BATCHES), lengths.len());
    let (mut start, mut tokens) = (0, 0);
    for (place, length) in lengths.enumerate() {
        let full = match size {
            BatchSize::Examples(most) => place - start == most,
            BatchSize::Tokens(budget) => place > start && tokens + length > budget,
        };
        if full {
            ends.push(place);
            (start, tokens) = (place, 0);
        }
        tokens += length;
    }
    if count > 0 {
        ends.push(count);
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    const SIZES: [BatchSize; 3] = [BatchSize::Examples(1), BatchSize::Examples(7), BatchSize::Tokens(40)];

    /// Returns the batches of one epoch.
    fn epoch(lengths: &[usize], size: BatchSize, seed: u64, number: u64) -> Vec<Vec<usize>> {
        let of = |example: usize| lengths[example];
        let lengths = Lengths { count: lengths.len(), of: &of, threads: 1 };
        let mut course = Course::new(lengths, size, 1, seed, Until::Steps(0));
        let (start, end) = (course.start_of(number as usize), course.start_of(number as usize + 1));
        (start..end).flat_map(|step| course.step(step).1).collect()
    }

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
            let of = |example: usize| lengths[example];
            for size in SIZES {
                let new = || {
                    let lengths = Lengths { count: lengths.len(), of: &of, threads: 1 };
                    Course::new(lengths, size, accumulate, 5, Until::Epochs(3))
                };
                let mut walked = new();
                let mut seen = 0;
                for step in 0..walked.total_steps() {
                    let (epoch, batches) = walked.step(step);
                    prop_assert!((1..=accumulate).contains(&batches.len()));
                    seen += batches.concat().len();
                    prop_assert_eq!((epoch, batches), new().step(step));
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
    fn lengths_rise_and_fall_throughout_an_epoch() {
        let lengths: Vec<usize> = (0..4000).map(|i| 1 + (i * 7919) % 100).collect();
        let batches = epoch(&lengths, BatchSize::Examples(32), 1, 0);
        let means: Vec<usize> = batches
            .iter()
            .map(|batch| batch.iter().map(|&i| lengths[i]).sum::<usize>() / batch.len())
            .collect();
        let rises = means.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((means.len() / 3..2 * means.len() / 3).contains(&rises), "{rises} of {}", means.len());
    }

    #[test]
    fn the_first_update_looks_at_one_block_unless_the_number_of_updates_must_be_known() {
        let asked = AtomicUsize::new(0);
        let of = |example: usize| {
            asked.fetch_add(1, Relaxed);
            1 + example % 7
        };
        let count = 100_000;
        for (until, looks) in [(Until::Steps(5), 1), (Until::Epochs(1), 2), (Until::Epochs(2), 3)] {
            asked.store(0, Relaxed);
            let mut course =
                Course::new(Lengths { count, of: &of, threads: 1 }, BatchSize::Tokens(64), 1, 1, until);
            course.step(0);
            // Beside the whole passes there is the block that is cut, and if it was not counted before, counted.
            let block = 64 * 64 / 4 + 1;
            assert!(
                (looks * count..=looks * count + 2 * block).contains(&asked.load(Relaxed)),
                "{until:?}: {asked:?}"
            );
        }
    }

    #[test]
    fn threads_that_count_leave_no_trace() {
        let of = |example: usize| 1 + example * example % 23;
        let steps = |threads, until| {
            let lengths = Lengths { count: 20_000, of: &of, threads };
            let mut course = Course::new(lengths, BatchSize::Tokens(64), 3, 1, until);
            let last = course.total_steps() - 1;
            (last, course.step(last), course.step(0), course.step(last / 2))
        };
        for until in [Until::Epochs(3), Until::Steps(7000)] {
            let alone = steps(1, until);
            assert!([0, 2, 5].into_iter().all(|threads| steps(threads, until) == alone), "{until:?}");
        }
    }

    #[test]
    fn a_number_of_updates_may_end_within_an_epoch_or_after_many() {
        let lengths = Lengths { count: 10, of: &|_| 5, threads: 1 };
        let mut course = Course::new(lengths, BatchSize::Examples(4), 1, 1, Until::Steps(8));
        assert_eq!(course.total_steps(), 8);
        assert_eq!([0, 2, 3, 7].map(|step| course.step(step).0), [0, 0, 1, 2]);
    }
}
