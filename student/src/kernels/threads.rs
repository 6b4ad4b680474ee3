//! The threads that loops run on.

use crate::Error;

/// Threads on which loops run: those of an engine, or of whoever makes a model's first numbers or measures.
pub struct Threads(rayon::ThreadPool);

impl Threads {
    /// Starts `threads` threads, or as many as there are cores when it is 0.
    ///
    /// # Errors
    /// [`Error::Threads`] when they cannot be started.
    pub fn new(threads: usize) -> Result<Self, Error> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("student-{i}"))
            .build()
            .map(Threads)
            .map_err(|error| Error::Threads { threads, reason: error.to_string() })
    }

    /// Runs `work` with every loop inside it on these threads.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.0.install(work)
    }

    /// Returns how many they are.
    pub fn count(&self) -> usize {
        self.0.current_num_threads()
    }
}
