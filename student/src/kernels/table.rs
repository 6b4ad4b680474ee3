//! A loop over chosen rows of tables, such as the rows of an embedding table that a batch reads.

use rayon::prelude::*;

/// Rows that one task handles at least.
const MIN_ROWS: usize = 8;

/// Calls `f(i, rows)` for the `i`-th of the chosen rows, with that row of each of `K` tables.
///
/// `tables`: each row-major with `columns` columns; `chosen`: ascending row numbers, none twice.
pub(crate) fn for_chosen_rows<T: Send, const K: usize>(
    tables: [&mut [T]; K],
    columns: usize,
    chosen: &[u32],
    f: impl Fn(usize, [&mut [T]; K]) + Sync,
) {
    let mut cuts = tables.map(|table| Cut { rest: table, next: 0 });
    let rows: Vec<[&mut [T]; K]> =
        chosen.iter().map(|&row| cuts.each_mut().map(|cut| cut.row(row as usize, columns))).collect();
    rows.into_par_iter().with_min_len(MIN_ROWS).enumerate().for_each(|(i, rows)| f(i, rows));
}

/// What is left of a table whose first `next` rows have been cut off.
struct Cut<'a, T> {
    rest: &'a mut [T],
    next: usize,
}

impl<'a, T> Cut<'a, T> {
    fn row(&mut self, row: usize, columns: usize) -> &'a mut [T] {
        let rest = &mut std::mem::take(&mut self.rest)[(row - self.next) * columns..];
        let (row_of_rest, rest) = rest.split_at_mut(columns);
        (self.rest, self.next) = (rest, row + 1);
        row_of_rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_chosen_row_is_handed_out_of_every_table_and_no_other_changes() {
        let (mut a, mut b) = ([0; 10], [0; 10]);
        for_chosen_rows([&mut a, &mut b], 2, &[1, 2, 4], |i, [a, b]| {
            a.fill(i + 1);
            b[1] = 9;
        });
        assert_eq!(a, [0, 0, 1, 1, 2, 2, 0, 0, 3, 3]);
        assert_eq!(b, [0, 0, 0, 9, 0, 9, 0, 0, 0, 9]);
    }
}
