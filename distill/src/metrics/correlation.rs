//! How well two series of numbers go together.

/// Returns Pearson's correlation. Shapes: `[B]`, `[B]`. `None` if either is constant or not finite, or B is below 2.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    weighted_pearson(x, y, |_| 1.0)
}

/// Returns Spearman's correlation: Pearson's of the ranks, equal values sharing the mean of theirs.
///
/// Shapes: `[B]`, `[B]`. `None` if either is constant or not finite, or B is below 2.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "one value is needed for each other");
    let finite = x.iter().chain(y).all(|value| value.is_finite());
    if finite { pearson(&Ranking::of(x).ranks(|_| 1.0), &Ranking::of(y).ranks(|_| 1.0)) } else { None }
}

/// Returns Pearson's correlation where each row counts as often as its weight says.
///
/// Shapes: `[B]`, `[B]`. `None` if either is constant on the rows that count or not finite, or fewer than two count.
pub fn weighted_pearson(x: &[f64], y: &[f64], weight: impl Fn(usize) -> f64) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "one value is needed for each other");
    let counting = || (0..x.len()).map(|row| (row, weight(row))).filter(|(_, weight)| *weight > 0.0);
    let (first, _) = counting().next()?;
    // A constant is told by its values: about its rounded mean it need not have variance 0.
    let varies = |values: &[f64]| counting().any(|(row, _)| values[row] != values[first]);
    if !varies(x) || !varies(y) {
        return None;
    }
    let total: f64 = counting().map(|(_, weight)| weight).sum();
    let mean = |values: &[f64]| counting().map(|(row, weight)| weight * values[row]).sum::<f64>() / total;
    let (mean_x, mean_y) = (mean(x), mean(y));
    let [mut xx, mut yy, mut xy] = [0.0; 3];
    for (row, weight) in counting() {
        let (x, y) = (x[row] - mean_x, y[row] - mean_y);
        xx += weight * x * x;
        yy += weight * y * y;
        xy += weight * x * y;
    }
    Some(xy / (xx.sqrt() * yy.sqrt())).filter(|r| r.is_finite()).map(|r| r.clamp(-1.0, 1.0))
}

/// The order of a series of numbers, found once and used for the ranks of every choice of them.
pub struct Ranking {
    /// The rows, least value first.
    order: Vec<u32>,
    /// Where the rows of equal values end, in `order`.
    ends: Vec<u32>,
}

impl Ranking {
    /// Sorts numbers, which are finite. At most 2³² of them.
    pub fn of(values: &[f64]) -> Self {
        let mut order: Vec<u32> = (0..values.len() as u32).collect();
        order.sort_by(|a, b| values[*a as usize].total_cmp(&values[*b as usize]));
        let mut ends = Vec::new();
        for equals in order.chunk_by(|a, b| values[*a as usize] == values[*b as usize]) {
            ends.push(ends.last().unwrap_or(&0) + equals.len() as u32);
        }
        Ranking { order, ends }
    }

    /// Returns the rank of each row where each counts as often as its weight says: equal values share the mean of theirs.
    pub fn ranks(&self, weight: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut ranks = vec![0.0; self.order.len()];
        let (mut before, mut start) = (0.0, 0);
        for &end in &self.ends {
            let equals = &self.order[start as usize..end as usize];
            let count: f64 = equals.iter().map(|&row| weight(row as usize)).sum();
            // Ranks before+1 to before+n share their mean.
            let rank = before + (count + 1.0) / 2.0;
            equals.iter().for_each(|&row| ranks[row as usize] = rank);
            before += count;
            start = end;
        }
        ranks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_counts_a_row_as_often_as_if_it_were_there_as_often() {
        let (x, y) = ([4.75, 3.2, 0.0, 5.0, 2.4, 2.4], [4.1, 3.9, 0.6, 4.8, 2.0, 2.9]);
        let weights = [2.0, 0.0, 1.0, 3.0, 1.0, 2.0];
        let repeated = |values: &[f64]| -> Vec<f64> {
            values.iter().zip(weights).flat_map(|(value, count)| vec![*value; count as usize]).collect()
        };
        let weight = |row: usize| weights[row];
        let (rank_x, rank_y) = (Ranking::of(&x).ranks(weight), Ranking::of(&y).ranks(weight));
        for (found, expected) in [
            (weighted_pearson(&x, &y, weight), pearson(&repeated(&x), &repeated(&y))),
            (weighted_pearson(&rank_x, &rank_y, weight), spearman(&repeated(&x), &repeated(&y))),
        ] {
            assert!((found.unwrap() - expected.unwrap()).abs() < 1e-12);
        }
    }
}
