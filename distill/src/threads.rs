//! Work shared out over threads so that it leaves no trace in the result.

use std::thread;

/// Returns the number of threads that is asked for; 0 stands for all cores.
pub fn count(threads: usize) -> usize {
    if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads }
}

/// Returns what `work` makes of every item, in their order. Each thread (0: one on each core) takes a stretch of
/// neighbours.
pub fn map<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let stretch = items.len().div_ceil(count(threads)).max(1);
    if stretch >= items.len() {
        return items.iter().map(work).collect();
    }
    let work = |stretch: &[T]| stretch.iter().map(&work).collect::<Vec<R>>();
    thread::scope(|scope| {
        let threads: Vec<_> =
            items.chunks(stretch).map(|stretch| scope.spawn(move || work(stretch))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Vec<R>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().flat_map(join).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_whoever_worked() {
        for items in [0, 1, 7, 100] {
            let items: Vec<usize> = (0..items).collect();
            let squares: Vec<usize> = items.iter().map(|x| x * x).collect();
            for threads in [0, 1, 2, 3, 200] {
                assert_eq!(map(&items, threads, |x| x * x), squares, "{threads}");
            }
        }
        assert!(count(0) >= 1 && count(3) == 3);
    }
}
