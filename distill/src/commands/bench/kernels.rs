//! `distill bench kernels`: what the machine can do, and what products of a student's shapes make of it.

use super::Settings;
use super::table::Row;
use crate::console::Progress;
use crate::cost::clock::{Cost, cost_of, least_cost_of};
use student::Precision;
use student::Threads;
use student::engine::bf16_unit;
use student::measure::{self, Product, ProductKind, Triad, Work};

const WHAT: &str = "kernels";

/// Rounds that take some milliseconds of single precision, of a unit for bfloat16, and of the portable one.
const FMA_ROUNDS: usize = 4_000_000;
const UNIT_ROUNDS: usize = 400_000;
const PORTABLE_ROUNDS: usize = 1_000;

/// Numbers in each of the triad's three arrays: 128 MiB, beyond the caches of most machines.
const TRIAD_LEN: usize = 32 << 20;

/// The most that the machine can do in each precision.
#[derive(Clone, Copy)]
pub struct Peaks {
    f32: Peak,
    bf16: Peak,
}

/// The fastest of several runs of work that does nothing but multiply and add.
#[derive(Clone, Copy)]
struct Peak {
    cost: Cost,
    flops: f64,
}

impl Peaks {
    /// Measures the peaks.
    pub fn measure(threads: &Threads) -> Self {
        let peak = |work: &mut dyn Work| Peak { cost: least_cost_of(threads, work), flops: work.flops() };
        let rounds = if bf16_unit() == "portable" { PORTABLE_ROUNDS } else { UNIT_ROUNDS };
        Peaks {
            f32: peak(&mut measure::Peak::f32(threads, FMA_ROUNDS)),
            bf16: peak(&mut measure::Peak::bf16(threads, rounds)),
        }
    }

    /// Returns the peak of a precision, in 10⁹ operations in a second of processor time.
    pub fn of(self, precision: Precision) -> f64 {
        let Peak { cost, flops } = self.run(precision);
        cost.giga_per_cpu_second(flops)
    }

    fn run(self, precision: Precision) -> Peak {
        match precision {
            Precision::F32 => self.f32,
            Precision::Bf16 => self.bf16,
        }
    }

    fn row(self, name: String, precision: Precision) -> Row {
        let Peak { cost, flops } = self.run(precision);
        Row::new(WHAT, name, cost).with_flops(flops, precision, self.of(precision))
    }
}

/// Measures peaks and products.
pub fn rows(settings: &Settings, peaks: Peaks, progress: &mut Progress) -> Vec<Row> {
    let threads = &settings.threads;
    let mut rows = vec![
        peaks.row("peak, fused multiply-add".to_owned(), Precision::F32),
        peaks.row(format!("peak, {}", bf16_unit()), Precision::Bf16),
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

/// Returns the shapes of a layer's products, each [N, in, out].
fn shapes(settings: &Settings) -> [[usize; 3]; 3] {
    let (tokens, config) = (settings.draw_lengths(0).iter().sum(), &settings.config);
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
