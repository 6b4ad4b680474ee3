//! The assignment problem: who does what, so that the total gain is greatest.

/// Returns for each of `n` rows a column of its own, such that the sum of `gain(row, column)` is greatest.
///
/// Gains must be finite. The Hungarian method with potentials (Kuhn 1955; Jonker and Volgenant 1987), `O(n³)` time and
/// `O(n)` memory: rows are added one at a time, each by a shortest augmenting path over reduced costs.
pub(super) fn best_assignment(n: usize, gain: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    // Index 0 stands for "none yet"; rows and columns count from 1.
    let (mut row_potential, mut column_potential) = (vec![0.0; n + 1], vec![0.0; n + 1]);
    let mut row_of = vec![0; n + 1];
    for row in 1..=n {
        row_of[0] = row;
        let mut slack = vec![f64::INFINITY; n + 1];
        let mut previous = vec![0; n + 1];
        let mut visited = vec![false; n + 1];
        let mut column = 0;
        while row_of[column] != 0 {
            visited[column] = true;
            let (from, mut step, mut next) = (row_of[column], f64::INFINITY, 0);
            for other in (1..=n).filter(|other| !visited[*other]) {
                let reduced = -gain(from - 1, other - 1) - row_potential[from] - column_potential[other];
                if reduced < slack[other] {
                    (slack[other], previous[other]) = (reduced, column);
                }
                if slack[other] < step {
                    (step, next) = (slack[other], other);
                }
            }
            for other in 0..=n {
                if visited[other] {
                    row_potential[row_of[other]] += step;
                    column_potential[other] -= step;
                } else {
                    slack[other] -= step;
                }
            }
            column = next;
        }
        while column != 0 {
            row_of[column] = row_of[previous[column]];
            column = previous[column];
        }
    }
    let mut column_of = vec![0; n];
    for column in 1..=n {
        column_of[row_of[column] - 1] = column - 1;
    }
    column_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The greatest total over all assignments of the rows from `row` on to the columns not `taken`.
    fn by_trying_all(n: usize, gain: &[f64], row: usize, taken: usize) -> f64 {
        (0..n)
            .filter(|column| taken >> column & 1 == 0)
            .map(|column| gain[row * n + column] + by_trying_all(n, gain, row + 1, taken | 1 << column))
            .fold(if row == n { 0.0 } else { f64::NEG_INFINITY }, f64::max)
    }

    proptest! {
        #[test]
        fn no_other_assignment_gains_more(n in 1_usize..7, gain in proptest::collection::vec(-9_i8..9, 36)) {
            let gain: Vec<f64> = gain.into_iter().map(f64::from).collect();
            let columns = best_assignment(n, |row, column| gain[row * n + column]);
            let total: f64 = columns.iter().enumerate().map(|(row, column)| gain[row * n + column]).sum();
            prop_assert_eq!(total, by_trying_all(n, &gain, 0, 0));
            let mut sorted = columns;
            sorted.sort_unstable();
            prop_assert!(sorted.into_iter().eq(0..n));
        }

        #[test]
        fn a_hidden_permutation_of_many_is_found(permutation in Just((0..150).collect::<Vec<usize>>()).prop_shuffle()) {
            let found = best_assignment(150, |row, column| f64::from(u8::from(permutation[row] == column)));
            prop_assert_eq!(found, permutation);
        }
    }
}
