//! The reference engine: the processor that everyone has.

use super::rounded::Rounded;
use super::{DropoutKey, Engine, Snapshot};
use crate::kernels::Pool;
use crate::optim::{AdamW, AdamWStep, LazyAdamW};
use crate::quant::Scheme;
use crate::{
    Architecture, Arena, Asked, Error, Layout, Mode, OutputGrads, Outputs, PackedBatch, Params, Precision,
};
use std::collections::BTreeMap;

/// Runs an architecture on the processor.
pub struct CpuEngine<A: Architecture> {
    architecture: A,
    pool: Pool,
    precision: Precision,
    params: Arena,
    rounded: Option<Rounded>,
    grads: Arena,
    optimizer: LazyAdamW,
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
        let (grads, optimizer) = (Arena::zeros(layout), LazyAdamW::new(layout, AdamW::new(layout)));
        let pool = Pool::new(threads)?;
        let (rounded, saved) = (None, None);
        Ok(CpuEngine { pool, precision, architecture, params, rounded, grads, optimizer, saved })
    }

    /// Computes with rounded parameters from now on, and trains those that they are rounded from.
    ///
    /// The gradient of a number is that of what it is rounded to (the straight-through estimator, Bengio et al. 2013,
    /// section 4; Jacob et al. 2018, section 3), so that a student learns to be right after rounding. `schemes`: how each
    /// tensor is rounded, by name; others are used as they are. Activations are not rounded.
    pub fn rounding(mut self, schemes: &BTreeMap<String, Scheme>) -> Self {
        self.rounded = Some(Rounded::new(self.architecture.layout(), schemes));
        self
    }

    /// Computes with the parameters as they are from now on.
    pub fn exact(mut self) -> Self {
        self.rounded = None;
        self
    }

    /// Returns the architecture.
    pub fn architecture(&self) -> &A {
        &self.architecture
    }

    /// Returns the architecture with its parameters.
    pub fn model(&mut self) -> (&A, &Arena) {
        self.settle();
        (&self.architecture, &self.params)
    }

    /// Returns the gradient that has been summed since the last update.
    pub fn grads(&self) -> &Arena {
        &self.grads
    }

    /// Makes every update that has been put off.
    fn settle(&mut self) -> &AdamW {
        let (optimizer, params) = (&mut self.optimizer, &mut self.params);
        self.pool.run(|| optimizer.settle(params))
    }
}

impl<A: Architecture> Engine for CpuEngine<A> {
    fn layout(&self) -> &Layout {
        self.architecture.layout()
    }

    fn evaluate(&mut self, batch: &PackedBatch, asked: &Asked) -> Outputs {
        let (architecture, params, optimizer) = (&self.architecture, &mut self.params, &mut self.optimizer);
        let rounded = &mut self.rounded;
        self.pool.run(|| {
            optimizer.refresh(params, batch.ids());
            let params = used(rounded, params, batch);
            // What is judged is what will be written down: the parameters as they are.
            architecture.forward(&Params::new(params, Precision::F32), batch, asked, Mode::Evaluate).0
        })
    }

    fn forward(&mut self, batch: &PackedBatch, asked: &Asked, key: DropoutKey) -> Outputs {
        let (architecture, params, optimizer) = (&self.architecture, &mut self.params, &mut self.optimizer);
        let (precision, rounded) = (self.precision, &mut self.rounded);
        let (outputs, saved) = self.pool.run(|| {
            optimizer.touch(params, batch.ids());
            let params = used(rounded, params, batch);
            architecture.forward(&Params::new(params, precision), batch, asked, Mode::Train(key))
        });
        self.saved = Some(saved);
        outputs
    }

    fn backward(&mut self, d_outputs: OutputGrads) -> Result<(), Error> {
        let saved = self.saved.take().ok_or(Error::BackwardWithoutForward)?;
        let (architecture, grads) = (&self.architecture, &mut self.grads);
        let used = self.rounded.as_ref().map_or(&self.params, Rounded::last);
        let params = Params::new(used, self.precision);
        self.pool.run(|| architecture.backward(&params, saved, d_outputs, grads));
        Ok(())
    }

    fn update(&mut self, step: &AdamWStep) -> f64 {
        let (optimizer, params, grads) = (&mut self.optimizer, &mut self.params, &mut self.grads);
        let layout = self.architecture.layout();
        self.rounded.iter_mut().for_each(Rounded::outdate);
        self.pool.run(|| optimizer.update(layout, params, grads, step))
    }

    fn params(&mut self) -> &Arena {
        self.model().1
    }

    fn snapshot(&mut self) -> Snapshot {
        let AdamW { first_moment, second_moment, updates } = self.settle().clone();
        Snapshot { params: self.params.clone(), first_moment, second_moment, updates }
    }

    fn restore(&mut self, snapshot: Snapshot) {
        let Snapshot { params, first_moment, second_moment, updates } = snapshot;
        for arena in [&params, &first_moment, &second_moment] {
            assert_eq!(arena.data().len(), self.params.data().len(), "the snapshot is of another layout");
        }
        self.params = params;
        let state = AdamW { first_moment, second_moment, updates };
        self.optimizer = LazyAdamW::new(self.architecture.layout(), state);
        self.grads.data_mut().fill(0.0);
        self.rounded.iter_mut().for_each(Rounded::outdate);
        self.saved = None;
    }
}

/// Returns the parameters that a pass over `batch` computes with.
fn used<'a>(rounded: &'a mut Option<Rounded>, params: &'a Arena, batch: &PackedBatch) -> &'a Arena {
    match rounded {
        Some(rounded) => rounded.of(params, batch.ids()),
        None => params,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bert::{Bert, BertConfig};
    use crate::export::Format;
    use crate::export::onnx::{Model, Storage};
    use crate::gradcheck::noise2;
    use crate::init::{random, uniform};

    fn engine() -> CpuEngine<Bert> {
        sized(12, 16)
    }

    /// An engine whose matrices are large enough to be rounded.
    fn wide() -> CpuEngine<Bert> {
        sized(48, 64)
    }

    fn sized(hidden_size: usize, intermediate_size: usize) -> CpuEngine<Bert> {
        let config = BertConfig {
            vocab_size: 60,
            hidden_size,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            intermediate_size,
            max_position_embeddings: 8,
            ..BertConfig::default()
        };
        let bert = Bert::new(config).expect("the sizes make a model");
        let params = random(bert.layout(), 0.3, 1);
        CpuEngine::new(bert, params, 2, Precision::F32).expect("threads start")
    }

    /// Two sequences of four ids, most of them small, so that rows are read at very different times.
    fn batch(number: u64) -> PackedBatch {
        let ids: Vec<u32> = (0..8).map(|i| (60.0 * uniform(number, i).powi(4)) as u32).collect();
        PackedBatch::pack(ids.chunks(4).map(|ids| (ids, &[0; 4][..])))
    }

    fn learn(engine: &mut CpuEngine<Bert>, pass: u64) -> Outputs {
        let outputs = engine.forward(&batch(pass), &Asked::logits(), DropoutKey { seed: 1, pass });
        engine.backward(OutputGrads::of_logits(noise2([2, 2], pass))).expect("forward came before");
        outputs
    }

    /// Updates as the definition of the optimiser says: every parameter, now.
    fn update_densely(engine: &mut CpuEngine<Bert>, step: &AdamWStep) -> f64 {
        let Snapshot { mut params, first_moment, second_moment, updates } = engine.snapshot();
        let (mut grads, mut optimizer) =
            (engine.grads().clone(), AdamW { first_moment, second_moment, updates });
        let norm = optimizer.update(engine.layout(), &mut params, &mut grads, step);
        let AdamW { first_moment, second_moment, updates } = optimizer;
        engine.restore(Snapshot { params, first_moment, second_moment, updates });
        norm
    }

    #[test]
    fn an_engine_that_puts_off_updates_says_and_learns_what_one_does_that_does_not() {
        let (mut lazy, mut dense) = (engine(), engine());
        for number in 0..400 {
            for pass in [2 * number, 2 * number + 1] {
                assert_eq!(learn(&mut lazy, pass), learn(&mut dense, pass));
            }
            let step = AdamWStep { learning_rate: 1e-2 * uniform(7, number), ..AdamWStep::default() };
            assert_eq!(lazy.update(&step), update_densely(&mut dense, &step));
            if number % 29 == 0 {
                assert_eq!(
                    lazy.evaluate(&batch(1000 + number), &Asked::logits()),
                    dense.evaluate(&batch(1000 + number), &Asked::logits())
                );
            }
            match number % 83 {
                40 => assert_eq!(lazy.params(), dense.params()),
                60 => assert_eq!(lazy.snapshot(), dense.snapshot()),
                80 => {
                    let snapshot = lazy.snapshot();
                    lazy = engine();
                    lazy.restore(snapshot);
                }
                _ => {}
            }
        }
        assert_eq!(lazy.snapshot(), dense.snapshot());
    }

    /// How a student is stored in whole numbers, by name; of an engine with these parameters.
    fn schemes(engine: &mut CpuEngine<Bert>, format: Format) -> BTreeMap<String, Scheme> {
        let (bert, params) = engine.model();
        let model = Model::lower(bert, params, &BTreeMap::new()).expect("the model is small");
        model.rounding(&Storage::of(format))
    }

    #[test]
    fn a_rounding_engine_says_what_a_student_with_rounded_parameters_says_and_trains_the_exact_ones() {
        for format in [Format::Int8, Format::Int8Embeddings, Format::Int4] {
            let schemes = schemes(&mut wide(), format);
            assert_eq!(schemes.len(), if format == Format::Int8 { 7 } else { 8 }, "{schemes:?}");
            let (mut engine, mut plain) = (wide().rounding(&schemes), wide());
            for number in 0..3 {
                let mut rounded = engine.params().clone();
                let layout = engine.layout().clone();
                for entry in layout.entries() {
                    let Some(scheme) = schemes.get(&entry.name) else { continue };
                    let columns = entry.shape[1];
                    rounded.data_mut()[entry.range()].chunks_mut(columns).for_each(|row| scheme.apply(row));
                }
                let mut snapshot = plain.snapshot();
                snapshot.params = rounded;
                plain.restore(snapshot);
                assert_eq!(
                    engine.evaluate(&batch(number), &Asked::logits()),
                    plain.evaluate(&batch(number), &Asked::logits()),
                    "{format}"
                );
                assert_eq!(learn(&mut engine, number), learn(&mut plain, number), "{format}");
                assert_eq!(engine.grads(), plain.grads(), "{format}");
                let before = engine.params().clone();
                engine.update(&AdamWStep { learning_rate: 1e-4, ..AdamWStep::default() });
                assert_ne!(&before, engine.params());
            }
            let params = engine.params().clone();
            let mut exact = engine.exact();
            let mut same = wide();
            let mut snapshot = same.snapshot();
            snapshot.params = params;
            same.restore(snapshot);
            assert_eq!(
                exact.evaluate(&batch(9), &Asked::logits()),
                same.evaluate(&batch(9), &Asked::logits())
            );
        }
    }
}
