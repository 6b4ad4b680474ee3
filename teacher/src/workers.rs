//! Shares batches out among workers on threads of their own.
//!
//! Batches are taken, longest first, from a common counter: a worker that is done early takes the next, so the last
//! to finish is late by one short batch at most.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};

use crate::Error;
use crate::batching::Batch;

/// Returns what `run` makes of each batch, in the order of the batches.
///
/// No more workers work than there are batches, and the first works on this thread. `progress` is told, from any of
/// them, how many more sequences are done.
///
/// # Errors
/// Where `run` fails; nobody takes another batch after that.
pub(crate) fn share<W: Send, R: Send>(
    workers: &mut [W],
    batches: &[Batch],
    run: impl Fn(&mut W, &Batch) -> Result<R, Error> + Sync,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Vec<R>, Error> {
    let next = AtomicUsize::new(0);
    let work = |worker: &mut W| -> Result<Vec<(usize, R)>, Error> {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(batch) = batches.get(number) else { return Ok(done) };
            let result = run(worker, batch).inspect_err(|_| next.store(batches.len(), Ordering::Relaxed))?;
            progress(batch.rows.len());
            done.push((number, result));
        }
    };
    let num_workers = workers.len().min(batches.len());
    let Some((first, others)) = workers[..num_workers].split_first_mut() else { return Ok(Vec::new()) };
    let outcomes: Vec<_> = thread::scope(|scope| {
        let others: Vec<_> = others.iter_mut().map(|worker| scope.spawn(|| work(worker))).collect();
        let first = work(first);
        std::iter::once(first).chain(others.into_iter().map(join)).collect()
    });
    let mut done = Vec::with_capacity(batches.len());
    for outcome in outcomes {
        done.extend(outcome?);
    }
    done.sort_unstable_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// Waits for a thread, and takes its panic over.
fn join<T>(handle: ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// Batches of 1, 2, 1, 2, … sequences.
    fn batches(num: usize) -> Vec<Batch> {
        (0..num).map(|number| Batch { rows: vec![0; 1 + number % 2], length: num - number }).collect()
    }

    fn length(_: &mut usize, batch: &Batch) -> Result<Array2<f32>, Error> {
        Ok(Array2::from_elem([batch.rows.len(), 1], batch.length as f32))
    }

    #[test]
    fn results_come_in_the_order_of_the_batches_whoever_worked() {
        let batches = batches(50);
        for num_workers in [1, 2, 7, 100] {
            let told = AtomicUsize::new(0);
            let progress = |rows| _ = told.fetch_add(rows, Ordering::Relaxed);
            let results = share(&mut vec![0; num_workers], &batches, length, &progress).expect("no error");
            let lengths: Vec<_> = results.iter().map(|result| result[[0, 0]] as usize).collect();
            assert_eq!(lengths, (1..=50).rev().collect::<Vec<_>>());
            assert_eq!(told.into_inner(), 75);
        }
    }

    #[test]
    fn no_more_workers_work_than_there_are_batches() {
        let mut workers = [0; 8];
        let count = |worker: &mut usize, batch: &Batch| {
            *worker += 1;
            length(worker, batch)
        };
        share(&mut workers, &batches(2), count, &|_| {}).expect("no error");
        assert_eq!(workers[2..], [0; 6]);
        assert!(share(&mut workers, &[], count, &|_| {}).expect("nothing to do").is_empty());
    }

    #[test]
    fn after_an_error_nobody_takes_another_batch() {
        let taken = AtomicUsize::new(0);
        let fail_at_third = |_: &mut usize, batch: &Batch| match taken.fetch_add(1, Ordering::Relaxed) {
            2 => Err(Error::EmptySequence { sequence: 2 }),
            _ => length(&mut 0, batch),
        };
        let error = share(&mut [0], &batches(50), fail_at_third, &|_| {}).expect_err("the third fails");
        assert!(matches!(error, Error::EmptySequence { sequence: 2 }), "{error}");
        assert_eq!(taken.into_inner(), 3);
    }
}
