//! Lazy updates against dense ones, bit for bit, whatever is read in between.

use super::{AdamW, AdamWStep, LazyAdamW};
use crate::init::{random, uniform};
use crate::{Arena, Layout, Real};
use proptest::prelude::*;

const ROWS: u32 = 12;
const COLUMNS: usize = 19;

#[derive(Clone, Debug)]
enum Event {
    /// An update from batches with these ids and gradients about as large as this.
    Update { batches: Vec<Vec<u32>>, size: f64, rate: f64 },
    /// Updates in which the table has no part.
    Idle { updates: usize, rate: f64 },
    /// An update from a gradient that is not a number.
    Broken(Vec<u32>),
    /// These rows are read.
    Evaluate(Vec<u32>),
    /// Everything is read.
    Snapshot,
    /// Everything is read, and another run goes on from there.
    Resume,
}

/// The same training twice: once dense, once lazy.
struct Twins<F: Real> {
    layout: Layout,
    dense: (AdamW<F>, Arena<F>, Arena<F>),
    lazy: (LazyAdamW<F>, Arena<F>, Arena<F>),
    settings: AdamWStep,
    drawn: u64,
}

impl<F: Real> Twins<F> {
    fn new(settings: AdamWStep) -> Self {
        let mut layout = Layout::default();
        let mut scope = layout.scope("");
        scope.matrix("before", 3, 5);
        scope.table("table", ROWS as usize, COLUMNS);
        scope.bias("after", 7);
        let (params, grads) = (random(&layout, 0.02, 3).cast(), Arena::zeros(&layout));
        let dense = (AdamW::new(&layout), params, grads);
        let lazy = (LazyAdamW::new(&layout, AdamW::new(&layout)), dense.1.clone(), dense.2.clone());
        Twins { layout, dense, lazy, settings, drawn: 0 }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Update { batches, size, rate } => {
                batches.iter().for_each(|ids| self.backward(ids, *size));
                self.update(*rate);
            }
            Event::Idle { updates, rate } => (0..*updates).for_each(|_| self.update(*rate)),
            Event::Broken(ids) => {
                self.backward(ids, f64::NAN);
                self.update(0.1);
            }
            Event::Evaluate(ids) => {
                self.lazy.0.refresh(&mut self.lazy.1, ids);
                for row in ids.iter().map(|&id| row(&self.layout, id)) {
                    assert_eq!(bits(&self.lazy.1.data()[row.clone()]), bits(&self.dense.1.data()[row]));
                }
            }
            Event::Snapshot => self.compare(),
            Event::Resume => {
                self.compare();
                let state = self.lazy.0.settle(&mut self.lazy.1).clone();
                self.lazy.0 = LazyAdamW::new(&self.layout, state);
            }
        }
    }

    /// Adds the same noise to both gradients, outside the table and in the rows that the ids name.
    fn backward(&mut self, ids: &[u32], size: f64) {
        self.lazy.0.touch(&mut self.lazy.1, ids);
        let table = self.layout.table().expect("there is a table").range();
        let outside = (0..table.start).chain(table.end..self.layout.num_parameters());
        for i in outside.chain(ids.iter().flat_map(|&id| row(&self.layout, id))) {
            self.drawn += 1;
            let noise = F::of((uniform(5, self.drawn) - 0.5) * size);
            self.dense.2.data_mut()[i] += noise;
            self.lazy.2.data_mut()[i] += noise;
        }
    }

    fn update(&mut self, learning_rate: f64) {
        let settings = AdamWStep { learning_rate, ..self.settings };
        let (optimizer, params, grads) = &mut self.dense;
        let dense = optimizer.update(&self.layout, params, grads, &settings);
        let (optimizer, params, grads) = &mut self.lazy;
        let lazy = optimizer.update(&self.layout, params, grads, &settings);
        assert_eq!(dense.to_bits(), lazy.to_bits(), "the norms are {dense} and {lazy}");
        assert_eq!(bits(grads.data()), vec![0; self.layout.num_parameters()], "the gradient is not cleared");
    }

    fn compare(&mut self) {
        let state = self.lazy.0.settle(&mut self.lazy.1);
        assert_eq!(state.updates, self.dense.0.updates);
        for (lazy, dense) in [
            (&self.lazy.1, &self.dense.1),
            (&state.first_moment, &self.dense.0.first_moment),
            (&state.second_moment, &self.dense.0.second_moment),
        ] {
            assert_eq!(bits(lazy.data()), bits(dense.data()));
        }
    }
}

fn row(layout: &Layout, id: u32) -> std::ops::Range<usize> {
    let start = layout.table().expect("there is a table").range().start + id as usize * COLUMNS;
    start..start + COLUMNS
}

fn bits<F: Real>(numbers: &[F]) -> Vec<u64> {
    numbers.iter().map(|x| x.f64().to_bits()).collect()
}

fn ids() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(0..ROWS, 0..6)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let rate = || proptest::sample::select(vec![0.0, 1e-5, 1e-3, 0.1]);
    let size = proptest::sample::select(vec![1e-25, 1e-12, 1e-4, 1.0, 1e4]);
    let update = (proptest::collection::vec(ids(), 1..4), size, rate());
    let event = prop_oneof![
        6 => update.prop_map(|(batches, size, rate)| Event::Update { batches, size, rate }),
        2 => (1..500_usize, rate()).prop_map(|(updates, rate)| Event::Idle { updates, rate }),
        1 => ids().prop_map(Event::Broken),
        2 => ids().prop_map(Event::Evaluate),
        1 => Just(Event::Snapshot),
        1 => Just(Event::Resume),
    ];
    proptest::collection::vec(event, 1..40)
}

fn settings() -> impl Strategy<Value = AdamWStep> {
    let betas = vec![(0.9, 0.999), (0.9, 0.98), (0.0, 0.5), (0.5, 0.0), (0.99, 0.9999)];
    let options = (
        proptest::sample::select(betas),
        proptest::sample::select(vec![0.0, 0.01, 0.5]),
        proptest::sample::select(vec![0.1, 1.0, f64::INFINITY]),
        proptest::sample::select(vec![1e-8, 1e-6, 1e-300]),
    );
    options.prop_map(|((beta1, beta2), weight_decay, max_grad_norm, epsilon)| AdamWStep {
        learning_rate: 0.0,
        beta1,
        beta2,
        epsilon,
        weight_decay,
        max_grad_norm,
    })
}

fn check<F: Real>(settings: AdamWStep, events: &[Event]) {
    let mut twins = Twins::<F>::new(settings);
    events.iter().for_each(|event| twins.happen(event));
    twins.compare();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn lazy_updates_are_the_dense_ones_whatever_happens(settings in settings(), events in events()) {
        check::<f32>(settings, &events);
        check::<f64>(settings, &events);
    }
}

#[test]
fn rows_read_always_once_and_never_survive_a_long_training_with_warm_up_and_decay() {
    let mut twins = Twins::<f32>::new(AdamWStep::default());
    let schedule = super::Schedule { peak: 1e-3, warmup_steps: 300, total_steps: 3000 };
    for step in 0..3000 {
        // Row 0 in every step, row 1 once, row 2 now and then, row 3 twice within one step, the others never.
        let mut batches = vec![vec![0]];
        match step {
            500 => batches.push(vec![1]),
            1700 => batches = vec![vec![3, 3], vec![0, 3]],
            _ if step % 97 == 0 => batches.push(vec![2, 0]),
            _ => {}
        }
        twins.happen(&Event::Update { batches, size: 1e-2, rate: schedule.at(step) });
    }
    twins.compare();
    let [once, never] = [1, 4].map(|id| row(&twins.layout, id));
    assert!(twins.dense.0.first_moment.data()[once.clone()].iter().all(|&m| m == 0.0), "momentum at rest");
    assert!(twins.dense.0.second_moment.data()[once].iter().all(|&v| v > 0.0));
    assert!(twins.dense.0.second_moment.data()[never].iter().all(|&v| v == 0.0));
}

#[test]
fn an_update_leaves_rows_alone_that_were_not_touched_until_they_are_read() {
    let mut twins = Twins::<f32>::new(AdamWStep::default());
    let params = |twins: &Twins<f32>| bits(&twins.lazy.1.data()[row(&twins.layout, 1)]);
    for ids in [1, 2] {
        twins.happen(&Event::Update { batches: vec![vec![ids]], size: 1.0, rate: 0.1 });
    }
    let put_off = params(&twins);
    twins.happen(&Event::Update { batches: vec![vec![2]], size: 1.0, rate: 0.1 });
    assert_eq!(params(&twins), put_off);
    twins.happen(&Event::Evaluate(vec![1]));
    assert_ne!(params(&twins), put_off);
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing_but_itself() {
    let mut twins = Twins::<f32>::new(AdamWStep::default());
    twins.happen(&Event::Update { batches: vec![vec![1, 2]], size: 1.0, rate: 0.1 });
    let before = (twins.dense.0.clone(), twins.dense.1.clone());
    twins.happen(&Event::Broken(vec![2, 3]));
    assert_eq!((&twins.dense.0, &twins.dense.1), (&before.0, &before.1));
    twins.compare();
}

#[test]
fn a_model_without_a_table_is_updated_whatever_ids_it_reads() {
    let mut layout = Layout::default();
    layout.scope("").matrix("w", 2, 2);
    let mut params = random(&layout, 0.02, 1);
    let mut grads = Arena::from_vec(&layout, vec![1.0; 4]).expect("lengths agree");
    let mut optimizer = LazyAdamW::new(&layout, AdamW::new(&layout));
    optimizer.touch(&mut params, &[7, 9]);
    let before = params.clone();
    assert_eq!(optimizer.update(&layout, &mut params, &mut grads, &AdamWStep::default()), 2.0);
    assert_ne!(*optimizer.settle(&mut params), AdamW::new(&layout));
    assert_ne!(params, before);
}
