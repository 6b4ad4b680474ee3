//! What work costs: the processor time of this process, and the time that passed.

use std::time::{Duration, Instant};
use student::Threads;
use student::measure::Work;

/// The cost of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Processor time of all threads, in milliseconds.
    pub cpu_ms: f64,
    /// Time that passed, in milliseconds.
    pub wall_ms: f64,
}

/// How long the runs of a part are repeated.
pub const SHORT: Duration = Duration::from_millis(250);
/// How long the runs of a whole are repeated, which needs some runs to settle.
pub const LONG: Duration = Duration::from_secs(3);
/// At least, and at most so many runs.
const RUNS: std::ops::RangeInclusive<usize> = 3..=51;

/// Returns what `work` gives, and what it cost.
pub fn timed<R>(work: impl FnOnce() -> R) -> (R, Cost) {
    let (wall, cpu) = (Instant::now(), cpu_time());
    let result = work();
    let (cpu_after, wall) = (cpu_time(), wall.elapsed());
    let cpu = match (cpu, cpu_after) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => wall,
    };
    (result, Cost { cpu_ms: 1e3 * cpu.as_secs_f64(), wall_ms: 1e3 * wall.as_secs_f64() })
}

/// Returns what runs give, repeated for this long. The first run, which warms up, is not among them.
///
/// # Errors
/// When a run fails: nothing is run after that.
pub fn repeated<R, E>(budget: Duration, mut run: impl FnMut() -> Result<R, E>) -> Result<Vec<R>, E> {
    run()?;
    let start = Instant::now();
    let mut costs = Vec::new();
    while costs.len() < *RUNS.start() || (costs.len() < *RUNS.end() && start.elapsed() < budget) {
        costs.push(run()?);
    }
    Ok(costs)
}

/// Returns the median of the costs, of processor time and of passed time each.
pub fn median(costs: &[Cost]) -> Cost {
    let of = |time: fn(&Cost) -> f64| crate::measure::median(&mut costs.iter().map(time).collect::<Vec<_>>());
    Cost { cpu_ms: of(|cost| cost.cpu_ms), wall_ms: of(|cost| cost.wall_ms) }
}

/// Returns the median cost of a run of `work`.
pub fn cost_of(threads: &Threads, work: &mut dyn Work) -> Cost {
    median(&costs_of(threads, work))
}

/// Returns the cost of the fastest run of `work`.
pub fn least_cost_of(threads: &Threads, work: &mut dyn Work) -> Cost {
    let costs = costs_of(threads, work).into_iter();
    costs.min_by(|a, b| a.cpu_ms.total_cmp(&b.cpu_ms)).unwrap_or_default()
}

fn costs_of(threads: &Threads, work: &mut dyn Work) -> Vec<Cost> {
    let Ok(costs) = repeated(SHORT, || -> Result<Cost, std::convert::Infallible> {
        work.prepare();
        Ok(timed(|| threads.run(|| work.run())).1)
    });
    costs
}

impl Cost {
    /// Returns the cost of several runs.
    pub fn times(self, runs: usize) -> Cost {
        Cost { cpu_ms: runs as f64 * self.cpu_ms, wall_ms: runs as f64 * self.wall_ms }
    }

    /// Returns the cost of both, one after the other.
    pub fn plus(self, other: Cost) -> Cost {
        Cost { cpu_ms: self.cpu_ms + other.cpu_ms, wall_ms: self.wall_ms + other.wall_ms }
    }

    /// Returns what is left of it without `other`: nothing, when noise made that the larger one.
    pub fn minus(self, other: Cost) -> Cost {
        Cost {
            cpu_ms: (self.cpu_ms - other.cpu_ms).max(0.0),
            wall_ms: (self.wall_ms - other.wall_ms).max(0.0),
        }
    }

    /// Returns how many of `amount` are done in a second of processor time, in 10⁹.
    pub fn giga_per_cpu_second(self, amount: f64) -> f64 {
        amount / self.cpu_ms.max(1e-6) / 1e6
    }

    /// Returns how many of `amount` are done in a second.
    pub fn per_second(self, amount: f64) -> f64 {
        1e3 * amount / self.wall_ms.max(1e-6)
    }
}

/// Returns the processor time that this process has used; nothing where the system does not tell.
fn cpu_time() -> Option<Duration> {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
    }
    #[cfg(not(unix))]
    {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_repeated_often_enough_and_the_first_one_is_left_out() {
        let mut runs = 0;
        let costs = repeated(SHORT, || -> Result<Cost, ()> {
            runs += 1;
            Ok(Cost { cpu_ms: f64::from(runs), wall_ms: 0.0 })
        });
        let costs = costs.unwrap();
        assert!(RUNS.contains(&costs.len()) && costs[0].cpu_ms == 2.0);
        assert_eq!(median(&costs[..3]).cpu_ms, 3.0);
    }

    #[test]
    fn rates_follow_from_costs() {
        let cost = Cost { cpu_ms: 500.0, wall_ms: 250.0 };
        assert_eq!((cost.giga_per_cpu_second(1e9), cost.per_second(100.0)), (2.0, 400.0));
        assert_eq!(cost.times(2).minus(cost).plus(cost), cost.times(2));
        assert_eq!(cost.minus(cost.times(2)), Cost::default());
    }

    #[test]
    fn a_failing_run_ends_the_repetition() {
        assert_eq!(repeated(SHORT, || Err::<(), _>("no")), Err("no"));
    }
}
