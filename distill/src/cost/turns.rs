//! The order in which models are timed: in turns, so that a noisy machine is fair to all.
//!
//! In each round every model has one turn, and each round begins with the next model. A turn begins with runs that are not
//! counted, since they find the caches full of the model before: what follows is what a server with this model alone would
//! see.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// How often models are run.
#[derive(Clone, Debug)]
pub struct Turns {
    /// How long each turn is warmed up, by one run at least.
    pub warm_up: Duration,
    /// The runs that count of each turn.
    pub runs: usize,
    /// At least, and at most so many rounds.
    pub rounds: RangeInclusive<usize>,
    /// The time after which no further round begins.
    pub budget: Duration,
}

impl Turns {
    /// Returns what the runs of each of `count` models give, in the order in which they were made.
    ///
    /// `run` is told which model; `after_turn` is called between the turns.
    ///
    /// # Errors
    /// When a run fails: nothing is run after that.
    pub fn take<T, E>(
        &self,
        count: usize,
        mut run: impl FnMut(usize) -> Result<T, E>,
        mut after_turn: impl FnMut(usize),
    ) -> Result<Vec<Vec<T>>, E> {
        let mut results: Vec<Vec<T>> = (0..count).map(|_| Vec::new()).collect();
        let start = Instant::now();
        for round in 0..*self.rounds.end() {
            if round >= *self.rounds.start() && start.elapsed() >= self.budget {
                break;
            }
            for model in order(count, round) {
                let turn = Instant::now();
                run(model)?;
                while turn.elapsed() < self.warm_up {
                    run(model)?;
                }
                for _ in 0..self.runs {
                    results[model].push(run(model)?);
                }
                after_turn(model);
            }
        }
        Ok(results)
    }
}

/// Returns the models in the order of their turns in a round.
fn order(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| (turn + round) % count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn taken(turns: &Turns, count: usize) -> (Vec<usize>, Vec<usize>) {
        let mut calls = Vec::new();
        let run = |model| {
            calls.push(model);
            Ok::<_, Infallible>(())
        };
        let Ok(results) = turns.take(count, run, |_| {});
        (calls, results.iter().map(Vec::len).collect())
    }

    #[test]
    fn models_take_turns_and_another_begins_each_round() {
        let turns = Turns { warm_up: Duration::ZERO, runs: 1, rounds: 3..=3, budget: Duration::ZERO };
        let (calls, counted) = taken(&turns, 3);
        assert_eq!(calls, [0, 0, 1, 1, 2, 2, 1, 1, 2, 2, 0, 0, 2, 2, 0, 0, 1, 1]);
        assert_eq!(counted, [3, 3, 3], "the first run of a turn does not count");
        let warm_up = Duration::from_millis(1);
        let (calls, counted) = taken(&Turns { warm_up, ..turns }, 3);
        assert!(calls.len() > 18 && counted == [3, 3, 3], "more runs that do not count");
    }

    #[test]
    fn every_model_is_run_equally_often_and_within_the_bounds() {
        for (budget, rounds) in [(Duration::ZERO, 2), (Duration::from_secs(3600), 5)] {
            for count in [1, 2, 7] {
                let turns = Turns { warm_up: Duration::ZERO, runs: 4, rounds: 2..=5, budget };
                assert_eq!(taken(&turns, count).1, vec![4 * rounds; count]);
            }
        }
        assert_eq!(
            taken(&Turns { warm_up: Duration::ZERO, runs: 1, rounds: 1..=1, budget: Duration::ZERO }, 0).0,
            [0_usize; 0]
        );
    }

    #[test]
    fn a_failing_run_ends_the_turns() {
        let turns = Turns { warm_up: Duration::ZERO, runs: 2, rounds: 1..=9, budget: Duration::ZERO };
        let mut calls = 0;
        let fail = |model| {
            calls += 1;
            if model == 1 { Err("no") } else { Ok(()) }
        };
        assert_eq!(turns.take(2, fail, |_| {}), Err("no"));
        assert_eq!(calls, 4);
    }
}
