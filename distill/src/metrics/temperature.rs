//! Temperature scaling: one number that makes probabilities as sure as they are right (Guo et al. 2017, section 4.2).

use ndarray::{ArrayView1, ArrayView2};

/// What a temperature may be: beyond, probabilities are all alike or all 0 and 1.
pub const TEMPERATURES: std::ops::RangeInclusive<f64> = 0.01..=100.0;

/// Returns the temperature at which the labels are likeliest, `argmin_T −mean_b log softmax(logits_b / T)[gold_b]`.
///
/// In `β = 1/T` this is convex, so that Newton's method finds it, kept between bounds that close in. It is cut to
/// [`TEMPERATURES`], where it would otherwise be 0 or infinite: a model that is always right, or never. 1 on no rows.
///
/// Shapes: `logits`: [B, C]; `gold`: `[B]`.
pub fn fit_temperature(logits: ArrayView2<'_, f32>, gold: &[usize]) -> f64 {
    assert_eq!(logits.nrows(), gold.len(), "one row of logits is needed for each label");
    if gold.is_empty() {
        return 1.0;
    }
    let (mut low, mut high) = (1.0 / TEMPERATURES.end(), 1.0 / TEMPERATURES.start());
    let mut beta: f64 = 1.0;
    for _ in 0..STEPS {
        let (slope, curvature) = slope_and_curvature(logits, gold, beta);
        if slope > 0.0 {
            high = beta
        } else {
            low = beta
        }
        let newton = beta - slope / curvature;
        let next = if newton > low && newton < high { newton } else { (low * high).sqrt() };
        let moved = (next - beta).abs() / beta;
        beta = next;
        if moved < 1e-9 {
            break;
        }
    }
    1.0 / beta
}

/// Halving alone would take so many steps to nine digits.
const STEPS: usize = 60;

/// The first two derivatives of the negative log-likelihood with respect to β: `Σ_b (E_p[z] − z_gold)` and
/// `Σ_b Var_p[z]`.
fn slope_and_curvature(logits: ArrayView2<'_, f32>, gold: &[usize], beta: f64) -> (f64, f64) {
    let of_row = |(row, &gold): (ArrayView1<'_, f32>, &usize)| {
        let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let [mut sum, mut first, mut second] = [0.0; 3];
        for &logit in row {
            let away = f64::from(logit) - max;
            let weight = (beta * away).exp();
            sum += weight;
            first += weight * away;
            second += weight * away * away;
        }
        let mean = first / sum;
        (mean - (f64::from(row[gold]) - max), second / sum - mean * mean)
    };
    logits.rows().into_iter().zip(gold).map(of_row).fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d))
}
