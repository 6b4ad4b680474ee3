//! `distill bench kernels`: what the machine can do, and what products of a student's shapes make of it.

use super::Settings;
use super::clock::{Cost, cost_of};
use super::table::Row;
use crate::console::Progress;
use student::Precision;
use student::engine::bf16_unit;
use student::measure::{Fma, Multiply, Product, ProductKind, Threads, Triad, Work};

const WHAT: &str = "kernels";

/// Rounds that take some milliseconds; of the portable unit, which does not multiply on registers alone, fewer do.
const ROUNDS: usize = 200_000;
const PORTABLE_ROUNDS: usize = 2_000;

/// Numbers in each of the triad's three arrays: 128 MiB, beyond the caches of most machines.
const TRIAD_LEN: usize = 32 << 20;

/// The highest rates of one core, in 10⁹ floating-point operations a second.
#[derive(Clone, Copy)]
pub struct Peaks {
    f32: f64,
    bf16: f64,
}

impl Peaks {
    /// Measures the peaks.
    pub fn measure(threads: &Threads) -> Self {
        let rate = |work: &mut dyn Work| cost_of(threads, work).giga_per_cpu_second(work.flops());
        Peaks { f32: rate(&mut fma(threads)), bf16: rate(&mut multiply(threads)) }
    }

    /// Returns the peak of a precision.
    pub fn of(self, precision: Precision) -> f64 {
        match precision {
            Precision::F32 => self.f32,
            Precision::Bf16 => self.bf16,
        }
    }
}

/// Measures peaks and products.
pub fn rows(settings: &Settings, peaks: Peaks, progress: &mut Progress) -> Vec<Row> {
    let threads = &settings.threads;
    let mut rows = vec![
        peak_row("peak, fused multiply-add", Precision::F32, peaks, &mut fma(threads), threads),
        peak_row(&format!("peak, {}", bf16_unit()), Precision::Bf16, peaks, &mut multiply(threads), threads),
    ];
    progress.advance(2, || "peaks".to_owned());
    let mut triad = Triad::new(TRIAD_LEN);
    rows.push(Row::new(WHAT, "memory, triad", cost_of(threads, &mut triad)).with_bytes(triad.bytes()));
    progress.advance(1, || "memory".to_owned());
    for shape @ [tokens, input, output] in shapes(settings) {
        for precision in settings.product_precisions() {
            for kind in ProductKind::ALL {
                let mut product = Product::new(kind, shape, precision);
                let cost = cost_of(threads, &mut product);
                let name = format!("{} {tokens}x{input}x{output}", name(kind));
                let row =
                    Row::new(WHAT, name, cost).with_flops(product.flops(), precision, peaks.of(precision));
                rows.push(Row { tokens_per_second: Some(cost.per_second(tokens as f64)), ..row });
                progress.advance(1, || "products".to_owned());
            }
        }
    }
    rows
}

/// Returns the number of rows that there will be.
pub fn count(settings: &Settings) -> usize {
    3 + shapes(settings).len() * settings.product_precisions().len() * ProductKind::ALL.len()
}

fn peak_row(name: &str, precision: Precision, peaks: Peaks, work: &mut dyn Work, threads: &Threads) -> Row {
    let cost: Cost = cost_of(threads, work);
    Row::new(WHAT, name, cost).with_flops(work.flops(), precision, peaks.of(precision))
}

fn fma(threads: &Threads) -> Fma {
    Fma::new(threads, ROUNDS)
}

fn multiply(threads: &Threads) -> Multiply {
    Multiply::new(threads, if bf16_unit() == "portable" { PORTABLE_ROUNDS } else { ROUNDS })
}

/// Returns the shapes of a layer's products, each [N, in, out].
fn shapes(settings: &Settings) -> [[usize; 3]; 3] {
    let (tokens, config) = (settings.batch_size * settings.length, &settings.config);
    let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
    [[tokens, hidden, hidden], [tokens, hidden, intermediate], [tokens, intermediate, hidden]]
}

fn name(kind: ProductKind) -> &'static str {
    match kind {
        ProductKind::Forward => "x Wᵀ",
        ProductKind::ToInput => "dy W",
        ProductKind::ToWeight => "dyᵀ x",
    }
}
