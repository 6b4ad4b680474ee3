//! Attention alone, forward and backward with dropout, for lengths and head widths.

mod work;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use student::Precision;
use student::bert::BertConfig;
use student::measure::{parts, random_batch};

/// Tokens of a batch, cut into as many texts of one length as fit.
const TOKENS: usize = 2048;
const LENGTHS: [usize; 8] = [8, 13, 24, 32, 40, 64, 128, 512];
const HEAD_WIDTHS: [usize; 3] = [26, 32, 64];

fn attention(criterion: &mut Criterion) {
    let precisions = [Precision::F32, Precision::Bf16];
    for (width, precision) in HEAD_WIDTHS.into_iter().flat_map(|width| precisions.map(|p| (width, p))) {
        let mut group = criterion.benchmark_group(format!("attention in {precision}, heads of {width}"));
        let config = BertConfig {
            vocab_size: 100,
            hidden_size: 12 * width,
            num_attention_heads: 12,
            num_hidden_layers: 2,
            intermediate_size: 1,
            ..BertConfig::default()
        };
        for length in LENGTHS {
            let batch = random_batch(config.vocab_size, &vec![length; TOKENS / length], 1);
            let part = parts(&config, &batch, precision).into_iter().find(|part| part.name == "attention");
            let mut work = part.expect("a model has attention").work;
            group.throughput(Throughput::Elements(work.flops() as u64));
            work::time(&mut group, length, work.as_mut());
        }
    }
}

criterion_group!(benches, attention);
criterion_main!(benches);
