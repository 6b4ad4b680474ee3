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

/// Examples of which the numbers of tokens are known.
pub trait Lengths: Sync {
    /// Returns the number of examples.
    fn count(&self) -> usize;

    /// Returns the number of tokens of each of these examples, in their order: faster than one by one, as the machine waits
    /// for several, which may lie anywhere, at once.
    fn of(&self, examples: &[usize]) -> Vec<usize>;
}

/// How a run goes through its examples.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How large a batch is.
    pub size: BatchSize,
    /// Batches to an update; an epoch's last has fewer.
    pub accumulate: usize,
    /// What the order belongs to.
    pub seed: u64,
    /// When the run ends.
    pub until: Until,
    /// The threads that count updates; 0 for all cores.
    pub threads: usize,
}

/// The course of a whole run: which batches make up which update.
pub struct Course<'a> {
    lengths: &'a dyn Lengths,
    plan: Plan,
    block_examples: usize,
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
    /// Lays a run out over these examples.
    ///
    /// Batches of a number of examples need no look at them; batches of a number of tokens one pass over the lengths, and the
    /// number of updates in a number of epochs one more for each, to count the batches.
    pub fn new(lengths: &'a dyn Lengths, plan: Plan) -> Self {
        let block_examples = match plan.size {
            BatchSize::Examples(count) => count.saturating_mul(BLOCK_BATCHES),
            BatchSize::Tokens(budget) => {
                let mean = (total(lengths, plan.threads) as f64 / lengths.count().max(1) as f64).max(1.0);
                (budget as f64 * BLOCK_BATCHES as f64 / mean) as usize + 1
            }
        };
        let (epochs, current) = (Vec::new(), None);
        let mut course = Course { lengths, plan, block_examples, total_steps: 0, epochs, current };
        course.total_steps = match plan.until {
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
            let first = (step - self.start_of(number)) as usize * self.plan.accumulate;
            if self.counted(number, first + 1) > first {
                break first;
            }
            number += 1;
        };
        let end = first + self.plan.accumulate;
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
        let examples = self.epochs[epoch].permutation.stretch(self.places(number));
        let mut examples: Vec<_> = self.lengths.of(&examples).into_iter().zip(examples).collect();
        examples.sort_by_key(|(length, _)| *length);
        let cuts = cut(examples.iter().map(|(length, _)| *length), self.plan.size);
        let order = Permutation::new(cuts.len(), &[self.plan.seed, epoch as u64, 1 + number as u64]);
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
        start..(start + self.block_examples).min(self.lengths.count())
    }

    /// Returns the first update of an epoch. Those before it are counted.
    fn start_of(&mut self, epoch: usize) -> u64 {
        while self.epochs.len() <= epoch {
            let start = match self.epochs.len().checked_sub(1) {
                Some(last) => {
                    let updates = self.count(last).div_ceil(self.plan.accumulate);
                    self.epochs[last].start + updates as u64
                }
                None => 0,
            };
            let permutation =
                Permutation::new(self.lengths.count(), &[self.plan.seed, self.epochs.len() as u64, 0]);
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
        let counts = threads::map(&rest, self.plan.threads, |&block| self.batches_of(permutation, block));
        let firsts = &mut self.epochs[epoch].first_batches;
        let mut batches = firsts[firsts.len() - 1];
        firsts.extend(counts.into_iter().map(|count| {
            batches += count;
            batches
        }));
        batches
    }

    fn num_blocks(&self) -> usize {
        self.lengths.count().div_ceil(self.block_examples)
    }

    /// Returns the number of batches of a block.
    fn batches_of(&self, permutation: &Permutation, block: usize) -> usize {
        match self.plan.size {
            BatchSize::Examples(count) => self.places(block).len().div_ceil(count),
            BatchSize::Tokens(_) => {
                let mut lengths = self.lengths.of(&permutation.stretch(self.places(block)));
                lengths.sort_unstable();
                cut(lengths.into_iter(), self.plan.size).len()
            }
        }
    }
}

/// Returns the tokens of all examples.
fn total(lengths: &dyn Lengths, threads: usize) -> usize {
    const STRETCH: usize = 1 << 12;
    let firsts: Vec<usize> = (0..lengths.count()).step_by(STRETCH).collect();
    let of = |&first: &usize| {
        let stretch: Vec<usize> = (first..lengths.count().min(first + STRETCH)).collect();
        lengths.of(&stretch).into_iter().sum::<usize>()
    };
    threads::map(&firsts, threads, of).into_iter().sum()
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
mod tests;
