//! The reference engine: the processor that everyone has.

use super::{DropoutKey, Engine, Snapshot};
use crate::kernels::Pool;
use crate::optim::{AdamW, AdamWStep};
use crate::{Architecture, Arena, Error, Layout, Mode, OutputGrads, Outputs, PackedBatch, Params, Precision};

/// Runs an architecture on the processor.
pub struct CpuEngine<A: Architecture> {
    architecture: A,
    pool: Pool,
    precision: Precision,
    params: Arena,
    grads: Arena,
    optimizer: AdamW,
    saved: Option<A::Saved<f32>>,
}

impl<A: Architecture> CpuEngine<A> {
    /// Makes an engine with `threads` threads, or as many as there are cores when it is 0, that trains in a precision.
    ///
    /// # Errors
    /// [`Error::Threads`] when the threads cannot be started.
    ///
    /// # Panics
    /// When `params` is of another layout.
    pub fn new(architecture: A, params: Arena, threads: usize, precision: Precision) -> Result<Self, Error> {
        let layout = architecture.layout();
        assert_eq!(params.data().len(), layout.num_parameters(), "the parameters are of another layout");
        let (grads, optimizer) = (Arena::zeros(layout), AdamW::new(layout));
        let pool = Pool::new(threads)?;
        Ok(CpuEngine { pool, precision, architecture, params, grads, optimizer, saved: None })
    }

    /// Returns the architecture.
    pub fn architecture(&self) -> &A {
        &self.architecture
    }

    /// Returns the gradient that has been summed since the last update.
    pub fn grads(&self) -> &Arena {
        &self.grads
    }
}

impl<A: Architecture> Engine for CpuEngine<A> {
    fn layout(&self) -> &Layout {
        self.architecture.layout()
    }

    fn evaluate(&self, batch: &PackedBatch) -> Outputs {
        // What is judged is what will be written down: the parameters as they are.
        let (architecture, params) = (&self.architecture, Params::new(&self.params, Precision::F32));
        self.pool.run(|| architecture.forward(&params, batch, Mode::Evaluate).0)
    }

    fn forward(&mut self, batch: &PackedBatch, key: DropoutKey) -> Outputs {
        let (architecture, params) = (&self.architecture, Params::new(&self.params, self.precision));
        let (outputs, saved) = self.pool.run(|| architecture.forward(&params, batch, Mode::Train(key)));
        self.saved = Some(saved);
        outputs
    }

    fn backward(&mut self, d_outputs: OutputGrads) -> Result<(), Error> {
        let saved = self.saved.take().ok_or(Error::BackwardWithoutForward)?;
        let (architecture, grads) = (&self.architecture, &mut self.grads);
        let params = Params::new(&self.params, self.precision);
        self.pool.run(|| architecture.backward(&params, saved, d_outputs, grads));
        Ok(())
    }

    fn update(&mut self, step: &AdamWStep) -> f64 {
        let (optimizer, params, grads) = (&mut self.optimizer, &mut self.params, &mut self.grads);
        let layout = self.architecture.layout();
        self.pool.run(|| optimizer.update(layout, params, grads, step))
    }

    fn params(&self) -> &Arena {
        &self.params
    }

    fn snapshot(&self) -> Snapshot {
        let AdamW { first_moment, second_moment, updates } = self.optimizer.clone();
        Snapshot { params: self.params.clone(), first_moment, second_moment, updates }
    }

    fn restore(&mut self, snapshot: Snapshot) {
        let Snapshot { params, first_moment, second_moment, updates } = snapshot;
        for arena in [&params, &first_moment, &second_moment] {
            assert_eq!(arena.data().len(), self.params.data().len(), "the snapshot is of another layout");
        }
        self.params = params;
        self.optimizer = AdamW { first_moment, second_moment, updates };
        self.grads.data_mut().fill(0.0);
        self.saved = None;
    }
}
