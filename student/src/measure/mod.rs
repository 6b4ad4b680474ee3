//! Work that others time: the peaks of the machine, single products and passes, the parts of a training step.
//!
//! There is no clock in here. Each [`Work`] knows what it does in one run and does it; what it needs fresh for each run
//! it makes in [`Work::prepare`], which is not to be timed.

mod batches;
mod parts;
mod passes;
mod peaks;
mod products;

pub use batches::{Lengths, random_batch};
pub use parts::{Part, parts, step_flops};
pub use passes::{Pass, passes};
pub use peaks::{Peak, Triad};
pub use products::{Product, ProductKind};

/// Something that can be done again and again.
pub trait Work: Send {
    /// Returns the floating-point operations of one run, where that is what it is about.
    fn flops(&self) -> f64 {
        0.0
    }

    /// Returns the bytes that one run moves, where that is what it is about.
    fn bytes(&self) -> f64 {
        0.0
    }

    /// Makes what the next run uses up.
    fn prepare(&mut self) {}

    /// Does the work, on the [`Threads`](crate::Threads) that it is called on.
    fn run(&mut self);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bert::Preset;
    use crate::{Precision, Threads};

    #[test]
    fn all_work_can_be_done_again() {
        let threads = Threads::new(2).unwrap();
        assert_eq!(threads.count(), 2);
        let config = Preset::named("bert-tiny").unwrap().config(50, vec!["a".into(), "b".into()]);
        let batch = random_batch(config.vocab_size, &[5; 3], 1);
        for precision in [Precision::F32, Precision::Bf16] {
            let mut all: Vec<Box<dyn Work>> = vec![
                Box::new(Peak::f32(&threads, 10)),
                Box::new(Peak::bf16(&threads, 10)),
                Box::new(Triad::new(1000)),
            ];
            for kind in ProductKind::ALL {
                all.push(Box::new(Product::new(kind, [7, 33, 65], precision)));
            }
            all.extend(passes([7, 33], precision).into_iter().map(|pass| pass.work));
            all.extend(parts(&config, &batch, precision).into_iter().map(|part| part.work));
            for work in &mut all {
                for _ in 0..2 {
                    work.prepare();
                    threads.run(|| work.run());
                }
                assert!(work.flops() >= 0.0 && work.bytes() >= 0.0);
            }
        }
    }

    #[test]
    fn a_step_counts_what_is_done_and_no_more() {
        let config = Preset::named("bert-tiny").unwrap().config(50, vec!["a".into()]);
        let batch = random_batch(config.vocab_size, &[6; 4], 1);

        // Six operations for each weight and row: 24 rows in the first layer; in the last one keys and values alone
        // see all of them, the rest of it and the head the first of each sequence. Attention: twelve for each feature
        // of each pair.
        let (h, i) = (128.0, 512.0);
        let full = 6.0 * 24.0 * (4.0 * h * h + 2.0 * h * i);
        let last = 6.0 * (24.0 * 2.0 * h * h + 4.0 * (2.0 * h * h + 2.0 * h * i));
        let attention = 12.0 * h * 4.0 * (36.0 + 6.0);
        let head = 6.0 * 4.0 * (h * h + h);
        assert_eq!(step_flops(&config, &batch), full + last + attention + head);
    }
}
