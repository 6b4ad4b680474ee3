//! The passes beside the products: packing, GELU, dropout, AdamW; normalisation, embeddings and late updates as they are in a
//! step, forward and backward.

mod work;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use student::Precision;
use student::bert::BertConfig;
use student::measure::{Pass, Work, parts, passes, random_batch};

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

fn measure(criterion: &mut Criterion, name: &str, [rows, width]: [usize; 2], mut work: Box<dyn Work>) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements((rows * width) as u64));
    work::time(&mut group, format_args!("{rows}x{width}"), work.as_mut());
}

criterion_group!(benches, alone, in_a_step);
criterion_main!(benches);
