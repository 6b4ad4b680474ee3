//! How rare each token is.

use crate::examples::Examples;

/// A weight for each token, larger for rarer ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Rarity {
    weights: Vec<f64>,
}

/// The examples that are counted at once.
const BLOCK: usize = 1024;

impl Rarity {
    /// The power of DistilBERT.
    pub const POWER: f64 = 0.7;

    /// Weighs tokens by `max(count, 1)^-power`. `counts`: how often each id is there, `[V]`.
    pub fn of(counts: &[u64], power: f64) -> Self {
        let weight = |&count: &u64| libm::pow(count.max(1) as f64, -power);
        Rarity { weights: counts.iter().map(weight).collect() }
    }

    /// Counts the tokens of examples and weighs them by DistilBERT's power. `size`: the number of ids, V.
    pub fn among(examples: &Examples, size: usize) -> Self {
        let mut counts = vec![0; size];
        for start in (0..examples.len()).step_by(BLOCK) {
            let encodings = examples.encodings(start..(start + BLOCK).min(examples.len()));
            for row in 0..encodings.len() {
                encodings.get(row).0.iter().for_each(|&id| counts[id as usize] += 1);
            }
        }
        Rarity::of(&counts, Rarity::POWER)
    }

    /// Returns the weight of a token; that of one which was not counted is 1.
    pub fn weight(&self, id: u32) -> f64 {
        self.weights.get(id as usize).copied().unwrap_or(1.0)
    }
}
