//! What the machine can do at most.

use super::Work;
use crate::Threads;
use crate::kernels::peak;

/// Multiplications and additions on registers alone, on every thread.
pub struct Peak {
    /// Does so many rounds and returns their floating-point operations.
    work: fn(usize) -> f64,
    threads: usize,
    rounds: usize,
}

/// `a = b + s c` over arrays that no cache holds.
pub struct Triad {
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Peak {
    /// Makes `rounds` rounds of fused multiply-adds in `f32` on each thread.
    pub fn f32(threads: &Threads, rounds: usize) -> Self {
        Peak { work: peak::fma, threads: threads.count(), rounds }
    }

    /// Makes `rounds` rounds of bfloat16, by the unit that the engine uses, on each thread.
    pub fn bf16(threads: &Threads, rounds: usize) -> Self {
        Peak { work: peak::bf16, threads: threads.count(), rounds }
    }
}

impl Work for Peak {
    fn flops(&self) -> f64 {
        (self.threads * self.rounds) as f64 * (self.work)(1)
    }

    fn run(&mut self) {
        let Peak { work, rounds, .. } = *self;
        peak::everywhere(|| {
            work(rounds);
        });
    }
}

impl Triad {
    /// Makes three arrays of `len` numbers.
    pub fn new(len: usize) -> Self {
        Triad { a: vec![0.5; len], b: vec![1.5; len], c: vec![2.5; len] }
    }
}

impl Work for Triad {
    fn flops(&self) -> f64 {
        2.0 * self.a.len() as f64
    }

    fn bytes(&self) -> f64 {
        (3 * size_of::<f32>() * self.a.len()) as f64
    }

    fn run(&mut self) {
        peak::triad(&mut self.a, &self.b, &self.c, 0.75);
    }
}
