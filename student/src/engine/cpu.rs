//! The reference engine: the processor that everyone has.

use super::rounded::Rounded;
use super::{DropoutKey, Engine, Snapshot};
use crate::kernels::Threads;
use crate::optim::{AdamW, AdamWStep, LazyAdamW};
use crate::quant::Scheme;
use crate::{
    Architecture, Arena, Asked, Error, Layout, Mode, OutputGrads, Outputs, PackedBatch, Params, Precision,
};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Runs an architecture on the processor.
pub struct CpuEngine<A: Architecture> {
    architecture: A,
    threads: Threads,
    precision: Precision,
    params: Arena,
    rounded: Option<Rounded>,
    training: Option<Training>,
    saved: Option<A::Saved<f32>>,
}

/// What only an engine needs that learns.
struct Training {
    grads: Arena,
    optimizer: LazyAdamW,
}

impl Training {
    /// Returns what is there, or what there is before the first update.
    fn begun<'a>(training: &'a mut Option<Self>, layout: &Layout) -> &'a mut Self {
        training.get_or_insert_with(|| Training::resume(layout, AdamW::new(layout)))
    }

    fn resume(layout: &Layout, state: AdamW) -> Self {
        Training { grads: Arena::zeros(layout), optimizer: LazyAdamW::new(layout, state) }
    }
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
        let threads = Threads::new(threads)?;
        Ok(CpuEngine { threads, precision, architecture, params, rounded: None, training: None, saved: None })
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

    /// Returns the architecture.
    pub fn architecture(&self) -> &A {
        &self.architecture
    }

    /// Returns the architecture with its parameters.
    pub fn model(&mut self) -> (&A, &Arena) {
        self.settle();
        (&self.architecture, &self.params)
    }

    /// Returns the architecture with its parameters, not rounded, and frees everything else.
    pub fn into_model(mut self) -> (A, Arena) {
        self.settle();
        (self.architecture, self.params)
    }

    /// Makes every update that has been put off.
    fn settle(&mut self) {
        let (training, params) = (&mut self.training, &mut self.params);
        if let Some(training) = training {
            self.threads.run(|| training.optimizer.settle(params));
        }
    }
}

impl<A: Architecture> Engine for CpuEngine<A> {
    fn layout(&self) -> &Layout {
        self.architecture.layout()
    }

    fn evaluate(&mut self, batch: &PackedBatch, asked: &Asked) -> Outputs {
        let (architecture, params, training) = (&self.architecture, &mut self.params, &mut self.training);
        let rounded = &mut self.rounded;
        self.threads.run(|| {
            training.iter_mut().for_each(|training| training.optimizer.refresh(params, batch.ids()));
            let params = used(rounded, params, batch);
            // What is judged is what will be written down: the parameters as they are.
            architecture.forward(&Params::new(params, Precision::F32), batch, asked, Mode::Evaluate).0
        })
    }

    fn forward(&mut self, batch: &PackedBatch, asked: &Asked, key: DropoutKey) -> Outputs {
        let (architecture, params) = (&self.architecture, &mut self.params);
        let training = Training::begun(&mut self.training, architecture.layout());
        let (precision, rounded) = (self.precision, &mut self.rounded);
        let (outputs, saved) = self.threads.run(|| {
            training.optimizer.touch(params, batch.ids());
            let params = used(rounded, params, batch);
            architecture.forward(&Params::new(params, precision), batch, asked, Mode::Train(key))
        });
        self.saved = Some(saved);
        outputs
    }

    fn backward(&mut self, d_outputs: OutputGrads) -> Result<(), Error> {
        let saved = self.saved.take().ok_or(Error::BackwardWithoutForward)?;
        let architecture = &self.architecture;
        let training = Training::begun(&mut self.training, architecture.layout());
        let used = self.rounded.as_ref().map_or(&self.params, Rounded::last);
        let params = Params::new(used, self.precision);
        self.threads.run(|| architecture.backward(&params, saved, d_outputs, &mut training.grads));
        Ok(())
    }

    fn update(&mut self, step: &AdamWStep) -> f64 {
        let (params, layout) = (&mut self.params, self.architecture.layout());
        let Training { grads, optimizer } = Training::begun(&mut self.training, layout);
        self.rounded.iter_mut().for_each(Rounded::outdate);
        self.threads.run(|| optimizer.update(layout, params, grads, step))
    }

    fn params(&mut self) -> &Arena {
        self.model().1
    }

    fn snapshot(&mut self) -> Snapshot<'_> {
        let (params, layout) = (&mut self.params, self.architecture.layout());
        let training = Training::begun(&mut self.training, layout);
        let state = self.threads.run(|| training.optimizer.settle(params));
        Snapshot {
            params: Cow::Borrowed(params),
            first_moment: Cow::Borrowed(&state.first_moment),
            second_moment: Cow::Borrowed(&state.second_moment),
            updates: state.updates,
        }
    }

    fn restore(&mut self, snapshot: Snapshot<'_>) {
        let (params, state) = snapshot.into_parts();
        for moment in [&state.first_moment, &state.second_moment] {
            assert_eq!(moment.data().len(), params.data().len(), "the snapshot is of another layout");
        }
        self.adopt(params);
        self.training = Some(Training::resume(self.architecture.layout(), state));
    }

    fn adopt(&mut self, params: Arena) {
        assert_eq!(params.data().len(), self.params.data().len(), "the parameters are of another layout");
        self.params = params;
        self.training = None;
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
    use crate::quant::TableBits;

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

    /// The gradient that has been summed since the last update.
    fn grads(engine: &CpuEngine<Bert>) -> &Arena {
        &engine.training.as_ref().expect("the engine learns").grads
    }

    /// Updates as the definition of the optimiser says: every parameter, now.
    fn update_densely(engine: &mut CpuEngine<Bert>, step: &AdamWStep) -> f64 {
        let (mut params, mut optimizer) = engine.snapshot().into_parts();
        let mut grads = grads(engine).clone();
        let norm = optimizer.update(engine.layout(), &mut params, &mut grads, step);
        engine.restore(Snapshot::owned(params, optimizer));
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
                    let (params, optimizer) = lazy.snapshot().into_parts();
                    lazy = engine();
                    lazy.restore(Snapshot::owned(params, optimizer));
                }
                _ => {}
            }
        }
        assert_eq!(lazy.snapshot(), dense.snapshot());
    }

    /// How a student is stored in whole numbers, by name; of an engine with these parameters.
    fn schemes(engine: &mut CpuEngine<Bert>, format: Format, tables: TableBits) -> BTreeMap<String, Scheme> {
        let (bert, params) = engine.model();
        let model = Model::lower(bert, params, &BTreeMap::new()).expect("the model is small");
        model.rounding(&Storage { tables, ..Storage::of(format) })
    }

    #[test]
    fn a_rounding_engine_says_what_a_student_with_rounded_parameters_says_and_trains_the_exact_ones() {
        let (eight, four) = (TableBits::Eight, TableBits::Four);
        let all = [
            (Format::Int8, eight),
            (Format::Int8Embeddings, eight),
            (Format::Int4, eight),
            (Format::Int4, four),
        ];
        for (format, tables) in all {
            let schemes = schemes(&mut wide(), format, tables);
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
                let (_, optimizer) = plain.snapshot().into_parts();
                plain.restore(Snapshot::owned(rounded, optimizer));
                assert_eq!(
                    engine.evaluate(&batch(number), &Asked::logits()),
                    plain.evaluate(&batch(number), &Asked::logits()),
                    "{format}"
                );
                assert_eq!(learn(&mut engine, number), learn(&mut plain, number), "{format}");
                assert_eq!(grads(&engine), grads(&plain), "{format}");
                let before = engine.params().clone();
                engine.update(&AdamWStep { learning_rate: 1e-4, ..AdamWStep::default() });
                assert_ne!(&before, engine.params());
            }
            let params = engine.params().clone();
            let (bert, trained) = engine.into_model();
            let mut exact =
                CpuEngine::new(bert, trained, 1, Precision::F32).expect("a thread can be started");
            let mut same = wide();
            same.adopt(params);
            assert_eq!(
                exact.evaluate(&batch(9), &Asked::logits()),
                same.evaluate(&batch(9), &Asked::logits())
            );
        }
    }
}
