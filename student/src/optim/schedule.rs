//! The learning rate over the course of training.

/// Linear warm-up, then linear decay to zero (Devlin et al. 2019, appendix A.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The highest learning rate.
    pub peak: f64,
    /// The number of updates over which the rate rises.
    pub warmup_steps: u64,
    /// The number of updates in all; at least one.
    pub total_steps: u64,
}

impl Schedule {
    /// Returns the learning rate of update `step`, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        let (warmup, total) = (self.warmup_steps, self.total_steps);
        let share = if step < warmup {
            (step + 1) as f64 / warmup as f64
        } else {
            total.saturating_sub(step) as f64 / (total.saturating_sub(warmup)).max(1) as f64
        };
        self.peak * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_to_its_peak_and_falls_to_zero() {
        let schedule = Schedule { peak: 2.0, warmup_steps: 4, total_steps: 12 };
        let rates: Vec<f64> = [0, 1, 3, 4, 8, 11, 12, 99].into_iter().map(|step| schedule.at(step)).collect();
        assert_eq!(rates, [0.5, 1.0, 2.0, 2.0, 1.0, 0.25, 0.0, 0.0]);
    }

    #[test]
    fn without_warm_up_the_first_rate_is_the_peak() {
        assert_eq!(Schedule { peak: 3.0, warmup_steps: 0, total_steps: 10 }.at(0), 3.0);
        assert_eq!(Schedule { peak: 3.0, warmup_steps: 5, total_steps: 5 }.at(5), 0.0);
    }
}
