//! Work on many texts, divided among threads.

use crate::threads;
use anyhow::{Result, anyhow};

/// Gives each of `threads` threads (0: all cores) as many of the texts, and returns what they make of them in the order
/// of the texts.
pub(super) fn in_parts<T: Sync, R: Send>(
    texts: &[T],
    threads: usize,
    work: impl Fn(&[T]) -> Result<R> + Sync,
) -> Vec<Result<R>> {
    let chunk = texts.len().div_ceil(threads::count(threads)).max(1);
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = texts.chunks(chunk).map(|texts| scope.spawn(move || work(texts))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| Err(anyhow!("a tokenizer thread panicked"))))
            .collect()
    })
}
