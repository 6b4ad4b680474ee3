//! The three products of a linear map, in both precisions, at the shapes of students.

mod work;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use student::Precision;
use student::measure::{Product, ProductKind, Work};

/// [N, in, out]: 32 texts of 64 tokens, in the widths of a small student and of one of 768.
const SHAPES: [[usize; 3]; 4] = [[2048, 312, 312], [2048, 312, 1200], [2048, 1200, 312], [2048, 768, 3072]];

fn products(criterion: &mut Criterion) {
    for precision in [Precision::F32, Precision::Bf16] {
        for kind in ProductKind::ALL {
            let mut group = criterion.benchmark_group(format!("{kind:?} {precision}"));
            for shape @ [rows, input, output] in SHAPES {
                let mut product = Product::new(kind, shape, precision);
                group.throughput(Throughput::Elements(product.flops() as u64));
                work::time(&mut group, format_args!("{rows}x{input}x{output}"), &mut product);
            }
        }
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
