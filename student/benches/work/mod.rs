//! How criterion runs work that is prepared before each run.

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId};
use std::cell::RefCell;
use student::Threads;
use student::measure::Work;

/// As in the command: a step allocates what the step before it has freed.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Times one thread at `work`.
pub fn time(group: &mut BenchmarkGroup<'_, WallTime>, what: impl std::fmt::Display, work: &mut dyn Work) {
    let threads = Threads::new(1).expect("a thread starts");
    let work = RefCell::new(work);
    group.bench_function(BenchmarkId::from_parameter(what), |b| {
        b.iter_batched(
            || work.borrow_mut().prepare(),
            |()| {
                let work = &mut **work.borrow_mut();
                threads.run(|| work.run());
            },
            BatchSize::PerIteration,
        );
    });
}
