//! What the machine can do at most.

use super::{Threads, Work};
use crate::kernels::peak;

/// Fused multiply-adds in `f32`, on every thread.
pub struct Fma {
    threads: usize,
    rounds: usize,
    flops: f64,
}

/// Multiplications of bfloat16 by the unit that the engine uses, on every thread.
pub struct Multiply {
    threads: usize,
    rounds: usize,
    flops: f64,
}

/// `a = b + s c` over arrays that no cache holds.
pub struct Triad {
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Fma {
    /// Makes work of `rounds` rounds on each thread.
    pub fn new(threads: &Threads, rounds: usize) -> Self {
        Fma { threads: threads.count(), rounds, flops: rounds as f64 * peak::fma(1) }
    }
}

impl Work for Fma {
    fn flops(&self) -> f64 {
        self.threads as f64 * self.flops
    }

    fn run(&mut self) {
        let rounds = self.rounds;
        peak::everywhere(|| {
            peak::fma(rounds);
        });
    }
}

impl Multiply {
    /// Makes work of `rounds` rounds on each thread.
    pub fn new(threads: &Threads, rounds: usize) -> Self {
        Multiply { threads: threads.count(), rounds, flops: rounds as f64 * peak::bf16(1) }
    }
}

impl Work for Multiply {
    fn flops(&self) -> f64 {
        self.threads as f64 * self.flops
    }

    fn run(&mut self) {
        let rounds = self.rounds;
        peak::everywhere(|| {
            peak::bf16(rounds);
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
