use super::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const SIZES: [BatchSize; 3] = [BatchSize::Examples(1), BatchSize::Examples(7), BatchSize::Tokens(40)];

/// So many examples of lengths that are computed, and how many were asked for.
struct Made<F> {
    count: usize,
    of: F,
    asked: AtomicUsize,
}

impl<F: Fn(usize) -> usize + Sync> Lengths for Made<F> {
    fn count(&self) -> usize {
        self.count
    }

    fn of(&self, examples: &[usize]) -> Vec<usize> {
        self.asked.fetch_add(examples.len(), Relaxed);
        examples.iter().map(|&example| (self.of)(example)).collect()
    }
}

fn made<F: Fn(usize) -> usize + Sync>(count: usize, of: F) -> Made<F> {
    Made { count, of, asked: AtomicUsize::new(0) }
}

fn plan(size: BatchSize, until: Until) -> Plan {
    Plan { size, accumulate: 1, seed: 1, until, threads: 1 }
}

/// Returns the batches of one epoch.
fn epoch(lengths: &[usize], size: BatchSize, seed: u64, number: u64) -> Vec<Vec<usize>> {
    let lengths = made(lengths.len(), |example| lengths[example]);
    let mut course = Course::new(&lengths, Plan { seed, ..plan(size, Until::Steps(0)) });
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
        let lengths = made(lengths.len(), |example| lengths[example]);
        for size in SIZES {
            let new = || Course::new(&lengths, Plan { accumulate, ..plan(size, Until::Epochs(3)) });
            let mut walked = new();
            let mut seen = 0;
            for step in 0..walked.total_steps() {
                let (epoch, batches) = walked.step(step);
                prop_assert!((1..=accumulate).contains(&batches.len()));
                seen += batches.concat().len();
                prop_assert_eq!((epoch, batches), new().step(step));
            }
            prop_assert_eq!(seen, 3 * lengths.count());
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
    let means: Vec<usize> =
        batches.iter().map(|batch| batch.iter().map(|&i| lengths[i]).sum::<usize>() / batch.len()).collect();
    let rises = means.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!((means.len() / 3..2 * means.len() / 3).contains(&rises), "{rises} of {}", means.len());
}

#[test]
fn the_first_update_looks_at_one_block_unless_the_number_of_updates_must_be_known() {
    let count = 100_000;
    for (until, looks) in [(Until::Steps(5), 1), (Until::Epochs(1), 2), (Until::Epochs(2), 3)] {
        let lengths = made(count, |example| 1 + example % 7);
        Course::new(&lengths, plan(BatchSize::Tokens(64), until)).step(0);
        // Beside the whole passes there is the block that is cut, and if it was not counted before, counted.
        let block = 64 * 64 / 4 + 1;
        let asked = lengths.asked.into_inner();
        assert!((looks * count..=looks * count + 2 * block).contains(&asked), "{until:?}: {asked}");
    }
}

#[test]
fn threads_that_count_leave_no_trace() {
    let lengths = made(20_000, |example| 1 + example * example % 23);
    let steps = |threads, until| {
        let plan = Plan { accumulate: 3, threads, ..plan(BatchSize::Tokens(64), until) };
        let mut course = Course::new(&lengths, plan);
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
    let lengths = made(10, |_| 5);
    let mut course = Course::new(&lengths, plan(BatchSize::Examples(4), Until::Steps(8)));
    assert_eq!(course.total_steps(), 8);
    assert_eq!([0, 2, 3, 7].map(|step| course.step(step).0), [0, 0, 1, 2]);
}
