//! A whole training step of the default student: forward, backward, update, dropout on.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use student::bert::{Bert, Preset};
use student::engine::DropoutKey;
use student::measure::random_batch;
use student::optim::AdamWStep;
use student::{Architecture, Asked, CpuEngine, Engine, OutputGrads, Precision, init};

/// As in the command: a step allocates what the step before it has freed.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Words of BERT's vocabulary.
const VOCAB_SIZE: usize = 30_522;

fn step(criterion: &mut Criterion) {
    let labels = vec!["negative".into(), "positive".into()];
    let config = Preset::named("tinybert-4l-312").expect("the preset exists").config(VOCAB_SIZE, labels);
    for precision in [Precision::F32, Precision::Bf16] {
        let bert = Bert::new(config.clone()).expect("a preset is a model");
        let params = init::random(bert.layout(), config.initializer_range, 1);
        let mut engine = CpuEngine::new(bert, params, 1, precision).expect("a thread starts");
        let mut group = criterion.benchmark_group(format!("step of tinybert-4l-312, {precision}"));
        group.sample_size(20);
        for (sequences, length) in [(32, 64), (32, 13)] {
            let mut key = DropoutKey { seed: 1, pass: 0 };
            group.throughput(Throughput::Elements((sequences * length) as u64));
            group.bench_function(BenchmarkId::from_parameter(format!("{sequences}x{length}")), |b| {
                let next = || {
                    key.pass += 1;
                    (random_batch(VOCAB_SIZE, &vec![length; sequences], key.pass), key)
                };
                let step = |(batch, key)| {
                    let logits = engine.forward(&batch, &Asked::logits(), key).logits;
                    engine.backward(OutputGrads::of_logits(logits)).expect("forward came before");
                    engine.update(&AdamWStep::default())
                };
                b.iter_batched(next, step, BatchSize::PerIteration);
            });
        }
    }
}

criterion_group!(benches, step);
criterion_main!(benches);
