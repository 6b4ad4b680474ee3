//! The examples in which teacher and student differ most: a few of them, however many there are.

use std::cmp::Ordering;

/// The examples that are kept of each kind.
pub const KEPT: usize = 20;

/// An example in which two models differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Its place in the data.
    pub row: usize,
    /// What is right, what the teacher says and what the student says: classes, or the values of a regression.
    pub values: [f64; 3],
    /// How sure the student is of what it says; of a regression, by how much its error is larger or smaller.
    pub surprise: f64,
}

/// The most surprising examples, the most surprising first, and how many there were.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Best {
    /// At most [`KEPT`] of them.
    pub cases: Vec<Case>,
    /// All that were seen.
    pub seen: u64,
}

impl Best {
    /// Takes an example; of those that are equally surprising the first ones in the data are kept.
    pub fn add(&mut self, case: Case) {
        self.seen += 1;
        let before = |other: &Case| match other.surprise.total_cmp(&case.surprise) {
            Ordering::Equal => other.row < case.row,
            order => order == Ordering::Greater,
        };
        let place = self.cases.partition_point(before);
        if place < KEPT {
            self.cases.truncate(KEPT - 1);
            self.cases.insert(place, case);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_surprising_are_kept_in_their_order() {
        let mut best = Best::default();
        for row in 0..100 {
            best.add(Case { row, values: [0.0; 3], surprise: ((row * 37) % 50) as f64 });
        }
        let kept: Vec<(usize, f64)> = best.cases.iter().map(|case| (case.row, case.surprise)).collect();
        assert_eq!((kept.len(), best.seen), (KEPT, 100));
        assert!(kept.is_sorted_by(|a, b| a.1 > b.1 || (a.1 == b.1 && a.0 < b.0)), "{kept:?}");
        assert_eq!(kept[0].1, 49.0);
    }
}
