//! Where a student runs: the door through which a trainer comes in.

mod cpu;
mod rounded;

pub use cpu::CpuEngine;

use crate::optim::AdamWStep;
use crate::{Arena, Asked, Error, Layout, OutputGrads, Outputs, PackedBatch};

pub use crate::kernels::{DropoutKey, bf16_unit, cpu_features};

/// Everything that training changes: with it a run can be continued to the same bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The parameters.
    pub params: Arena,
    /// Adam's running mean of the gradient.
    pub first_moment: Arena,
    /// Adam's running mean of the squared gradient.
    pub second_moment: Arena,
    /// The number of updates made.
    pub updates: u64,
}

/// A student that can be asked, corrected and updated, whatever it runs on.
///
/// Whatever reads parameters may change the engine: it may have put off a part of its updates, or hold its numbers on
/// another device. What it says and returns never depends on that.
pub trait Engine {
    /// Returns the table of all tensors.
    fn layout(&self) -> &Layout;

    /// Returns what the model says, as far as it is asked, without dropout.
    fn evaluate(&mut self, batch: &PackedBatch, asked: &Asked) -> Outputs;

    /// Returns what the model says while training, as far as it is asked, and keeps what `backward` needs.
    fn forward(&mut self, batch: &PackedBatch, asked: &Asked, key: DropoutKey) -> Outputs;

    /// Adds to the gradient of every parameter.
    ///
    /// # Errors
    /// [`Error::BackwardWithoutForward`] when no forward pass came before.
    fn backward(&mut self, d_outputs: OutputGrads) -> Result<(), Error>;

    /// Clips the gradient, updates the parameters, clears the gradient. Returns the norm before clipping; when it is
    /// not finite, nothing is updated.
    fn update(&mut self, step: &AdamWStep) -> f64;

    /// Returns the parameters.
    fn params(&mut self) -> &Arena;

    /// Returns everything that training changes.
    fn snapshot(&mut self) -> Snapshot;

    /// Continues from a snapshot.
    ///
    /// # Panics
    /// When the snapshot is of another layout.
    fn restore(&mut self, snapshot: Snapshot);
}
