//! A pool of threads that belongs to one engine.

use crate::Error;

/// The threads of one engine.
pub(crate) struct Pool(rayon::ThreadPool);

impl Pool {
    /// Starts `threads` threads, or as many as there are cores when it is 0.
    pub(crate) fn new(threads: usize) -> Result<Self, Error> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("student-{i}"))
            .build()
            .map(Pool)
            .map_err(|error| Error::Threads { threads, reason: error.to_string() })
    }

    /// Runs `work` with every parallel loop inside it on this pool.
    pub(crate) fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.0.install(work)
    }

    /// Returns the number of threads.
    pub(crate) fn num_threads(&self) -> usize {
        self.0.current_num_threads()
    }
}
