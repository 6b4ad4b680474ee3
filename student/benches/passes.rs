//! The passes beside the products: packing, GELU, dropout, AdamW; normalisation, embeddings and late updates as they are in a
//! step, forward and backward.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::cell::RefCell;
use student::Precision;
use student::bert::BertConfig;
use student::measure::{Pass, Threads, Work, parts, passes, random_batch};

/// As in the command: a step allocates what the step before it has freed.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 32 texts of 64 tokens.
const TEXTS: usize = 32;
const LENGTH: usize = 64;
const WIDTHS: [usize; 2] = [312, 768];

fn alone(criterion: &mut Criterion) {
    for (precision, width) in
        [Precision::F32, Precision::Bf16].into_iter().flat_map(|p| WIDTHS.map(|w| (p, w)))
    {
        let shape = [TEXTS * LENGTH, width];
        for Pass { name, work } in passes(shape, precision) {
            measure(criterion, &format!("{name}, {precision}"), shape, work);
        }
    }
}

fn in_a_step(criterion: &mut Criterion) {
    for width in WIDTHS {
        let config = BertConfig {
            vocab_size: 30_522,
            hidden_size: width,
            num_attention_heads: 12,
            num_hidden_layers: 2,
            intermediate_size: 1,
            ..BertConfig::default()
        };
        let batch = random_batch(config.vocab_size, &[LENGTH; TEXTS], 1);
        let mut parts = parts(&config, &batch, Precision::F32);
        for name in ["normalisation", "embeddings", "late updates"] {
            let place = parts.iter().position(|part| part.name == name).expect("a step has the part");
            measure(criterion, name, [TEXTS * LENGTH, width], parts.swap_remove(place).work);
        }
    }
}

fn measure(criterion: &mut Criterion, name: &str, [rows, width]: [usize; 2], work: Box<dyn Work>) {
    let threads = Threads::new(1).expect("a thread starts");
    let work = RefCell::new(work);
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements((rows * width) as u64));
    group.bench_function(BenchmarkId::from_parameter(format!("{rows}x{width}")), |b| {
        b.iter_batched(
            || work.borrow_mut().prepare(),
            |()| threads.run(work.borrow_mut().as_mut()),
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, alone, in_a_step);
criterion_main!(benches);
