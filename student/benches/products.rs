//! The three products of a linear map, in both precisions, at the shapes of students.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::cell::RefCell;
use student::Precision;
use student::measure::{Product, ProductKind, Threads, Work};

/// As in the command: a step allocates what the step before it has freed.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// [N, in, out]: 32 texts of 64 tokens, in the widths of a small student and of one of 768.
const SHAPES: [[usize; 3]; 4] = [[2048, 312, 312], [2048, 312, 1200], [2048, 1200, 312], [2048, 768, 3072]];

fn products(criterion: &mut Criterion) {
    let threads = Threads::new(1).expect("a thread starts");
    for precision in [Precision::F32, Precision::Bf16] {
        for kind in ProductKind::ALL {
            let mut group = criterion.benchmark_group(format!("{kind:?} {precision}"));
            for shape @ [rows, input, output] in SHAPES {
                let product = RefCell::new(Product::new(kind, shape, precision));
                group.throughput(Throughput::Elements(product.borrow().flops() as u64));
                group.bench_function(BenchmarkId::from_parameter(format!("{rows}x{input}x{output}")), |b| {
                    b.iter_batched(
                        || product.borrow_mut().prepare(),
                        |()| threads.run(&mut *product.borrow_mut()),
                        BatchSize::PerIteration,
                    );
                });
            }
        }
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
