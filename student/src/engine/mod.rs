//! Where a student runs: the door through which a trainer comes in.

mod cpu;
mod rounded;

pub use cpu::CpuEngine;

use crate::optim::{AdamW, AdamWStep};
use crate::{Arena, Asked, Error, Layout, OutputGrads, Outputs, PackedBatch};
use std::borrow::Cow;

pub use crate::kernels::{DropoutKey, bf16_unit, cpu_features};

/// Everything that training changes: with it a run can be continued to the same bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot<'a> {
    /// The parameters.
    pub params: Cow<'a, Arena>,
    /// Adam's running mean of the gradient.
    pub first_moment: Cow<'a, Arena>,
    /// Adam's running mean of the squared gradient.
    pub second_moment: Cow<'a, Arena>,
    /// The number of updates made.
    pub updates: u64,
}

impl Snapshot<'static> {
    /// Makes a snapshot of its parts.
    pub fn owned(params: Arena, optimizer: AdamW) -> Self {
        let AdamW { first_moment, second_moment, updates } = optimizer;
        let [params, first_moment, second_moment] = [params, first_moment, second_moment].map(Cow::Owned);
        Snapshot { params, first_moment, second_moment, updates }
    }
}

impl Snapshot<'_> {
    /// Returns the parameters and the optimiser's state; what is borrowed is copied.
    pub fn into_parts(self) -> (Arena, AdamW) {
        let [params, first_moment, second_moment] =
            [self.params, self.first_moment, self.second_moment].map(Cow::into_owned);
        (params, AdamW { first_moment, second_moment, updates: self.updates })
    }
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
    fn snapshot(&mut self) -> Snapshot<'_>;

    /// Continues from a snapshot.
    ///
    /// # Panics
    /// When the snapshot is of another layout.
    fn restore(&mut self, snapshot: Snapshot<'_>);

    /// Goes on with other parameters, and with an optimiser that has seen nothing.
    ///
    /// # Panics
    /// When they are of another layout.
    fn adopt(&mut self, params: Arena);
}
