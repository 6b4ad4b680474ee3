//! How parameters start: at random, reproducibly.

use crate::arena::{Entry, Role};
use crate::kernels::fill;
use crate::{Arena, Layout};

/// Returns parameters as BERT starts them: matrices normal with the given deviation, biases zero, scales one.
///
/// Each number depends on the seed and on its place in the layout alone.
pub fn random(layout: &Layout, deviation: f64, seed: u64) -> Arena {
    let mut params = Arena::zeros(layout);
    draw(&mut params, layout.entries(), deviation, seed);
    params
}

/// Gives some tensors the numbers that they have in [`random`].
pub fn draw<'a>(params: &mut Arena, entries: impl IntoIterator<Item = &'a Entry>, deviation: f64, seed: u64) {
    for entry in entries {
        let first = entry.range().start;
        let values = &mut params.data_mut()[entry.range()];
        match entry.role {
            Role::Matrix | Role::Table => {
                fill(values, |i| (normal(seed, (first + i) as u64) * deviation) as f32);
            }
            Role::Bias => values.fill(0.0),
            Role::Scale => values.fill(1.0),
        }
    }
}

/// Returns the `index`-th number of a stream that is uniform in [0, 1).
pub(crate) fn uniform(seed: u64, index: u64) -> f64 {
    (split_mix(split_mix(seed).wrapping_add(index)) >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// Returns the `index`-th number of a standard normal stream (Box and Muller 1958).
pub(crate) fn normal(seed: u64, index: u64) -> f64 {
    let radius = (-2.0 * (1.0 - uniform(seed, 2 * index)).ln()).sqrt();
    radius * (2.0 * std::f64::consts::PI * uniform(seed, 2 * index + 1)).cos()
}

/// The output function of SplitMix64 (Steele, Lea and Flood 2014).
fn split_mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_stream_has_the_moments_of_a_normal_distribution() {
        let sample: Vec<f64> = (0..200_000).map(|i| normal(7, i)).collect();
        let moment = |power| sample.iter().map(|x| x.powi(power)).sum::<f64>() / sample.len() as f64;
        for (power, expected, tolerance) in [(1, 0.0, 0.01), (2, 1.0, 0.015), (3, 0.0, 0.04), (4, 3.0, 0.1)] {
            assert!((moment(power) - expected).abs() < tolerance, "moment {power}: {}", moment(power));
        }
    }

    #[test]
    fn another_seed_gives_other_weights_and_the_same_seed_the_same() {
        let mut layout = Layout::default();
        let mut scope = layout.scope("");
        scope.matrix("w", 3, 3);
        scope.scale("s", 2);
        assert_eq!(random(&layout, 0.02, 1), random(&layout, 0.02, 1));
        assert_ne!(random(&layout, 0.02, 1), random(&layout, 0.02, 2));
        assert_eq!(random(&layout, 0.02, 1).data()[9..], [1.0, 1.0]);
    }
    #[test]
    fn some_tensors_are_drawn_as_they_would_be_among_all_on_any_threads() {
        let mut layout = Layout::default();
        let mut scope = layout.scope("");
        let first = scope.matrix("first", 70, 300);
        scope.scale("scale", 2);
        let last = scope.matrix("last", 200, 100);
        let all = random(&layout, 0.02, 1);
        for threads in [1, 3] {
            let mut some = Arena::zeros(&layout);
            let threads = crate::Threads::new(threads).expect("threads start");
            threads.run(|| draw(&mut some, &layout.entries()[1..], 0.02, 1));
            assert!(some.data()[first.range()].iter().all(|&x| x == 0.0), "nobody asked for these");
            assert_eq!(some.data()[first.range().end..], all.data()[first.range().end..]);
        }
        assert!(all.data()[last.range()].iter().all(|&x| x != 0.0));
    }
}
