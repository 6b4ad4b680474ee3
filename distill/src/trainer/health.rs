//! When to give up: a loss that is not finite, or that grows without bound.

use serde::{Deserialize, Serialize};

/// What is remembered of the losses so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Health {
    seen: u64,
    first: f64,
    recent: f64,
}

/// The updates over which the first loss is averaged, and whose weight the recent one has.
const MEMORY: u64 = 20;

/// How many times its first value the loss may grow to. Real runs fall; one that explodes passes any bound.
const GROWTH: f64 = 10.0;

impl Health {
    /// Takes note of a loss; returns what is wrong when training has diverged.
    pub(super) fn observe(&mut self, loss: f64) -> Result<(), String> {
        if !loss.is_finite() {
            return Err("the loss or its gradient is not a finite number".into());
        }
        self.seen += 1;
        let share = 1.0 / self.seen.min(MEMORY) as f64;
        self.recent += share * (loss - self.recent);
        if self.seen <= MEMORY {
            self.first = self.recent;
        } else if self.recent > GROWTH * self.first.max(0.1) {
            return Err(format!("the loss has grown from {:.3} to {:.3}", self.first, self.recent));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_failure(losses: impl Iterator<Item = f64>) -> Option<usize> {
        let mut health = Health::default();
        losses.map(|loss| health.observe(loss)).position(|result| result.is_err())
    }

    #[test]
    fn a_noisy_loss_that_falls_is_healthy() {
        let losses = (0..500).map(|i| 1.0 / (1.0 + f64::from(i) / 50.0) + f64::from(i % 7) * 0.3);
        assert_eq!(first_failure(losses), None);
        assert_eq!(first_failure((0..500).map(|i| if i == 300 { 50.0 } else { 1.0 })), None);
    }

    #[test]
    fn a_loss_that_explodes_or_is_not_finite_is_not() {
        assert_eq!(first_failure([0.5, f64::NAN].into_iter()), Some(1));
        assert_eq!(first_failure([f64::INFINITY].into_iter()), Some(0));
        let exploding = first_failure((0..500).map(|i| 1.05_f64.powi(i))).unwrap();
        assert!((40..120).contains(&exploding), "{exploding}");
    }
}
