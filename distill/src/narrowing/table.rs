//! The word embeddings of a wide model in the width of a narrow one.
//!
//! What a table of embeddings says lies in few directions: the rows are projected on those in which they differ most, its
//! leading right singular vectors, so that inner products between words are kept as well as so few numbers can (Eckart and
//! Young 1936).

use super::directions::{BLOCK, Directions, gram};
use crate::error::explained;
use anyhow::Result;
use ndarray::{Array2, ArrayView2, Axis, s};

/// Returns the rows of a table, [V, H], by their coordinates along its `width` leading right singular vectors, [V, width].
///
/// # Errors
/// When the table is narrower than that, or holds something that is no number.
pub fn narrowed(table: ArrayView2<'_, f32>, width: usize) -> Result<Array2<f32>> {
    let wide = table.ncols();
    if width > wide {
        return Err(explained(
            format!("the teacher's embeddings have a width of {wide}, the student's one of {width}"),
            "embeddings can be made narrower, not wider; choose a narrower student, or leave `--init-embeddings` out",
        ));
    }
    if !table.iter().all(|number| number.is_finite()) {
        let hint = "the file is damaged; copy or export the model again";
        return Err(explained("the teacher's embeddings hold something that is no number", hint));
    }
    let leading = Directions::leading(&gram(table), width).axes.mapv(|number| number as f32);
    let mut narrow = Array2::zeros((table.nrows(), width));
    for (start, rows) in (0..).step_by(BLOCK).zip(table.axis_chunks_iter(Axis(0), BLOCK)) {
        narrow.slice_mut(s![start..start + rows.nrows(), ..]).assign(&rows.dot(&leading));
    }
    Ok(narrow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use student::gradcheck::noise2;

    #[test]
    fn a_table_of_few_directions_keeps_every_inner_product() {
        let table = noise2::<f32>([50, 3], 1).dot(&noise2::<f32>([3, 8], 2));
        let narrow = narrowed(table.view(), 3).unwrap();
        let difference = table.dot(&table.t()) - narrow.dot(&narrow.t());
        assert!(difference.iter().all(|d| d.abs() < 1e-4));
    }

    #[test]
    fn no_other_directions_keep_more_of_a_table() {
        let table = noise2::<f32>([200, 8], 1) * ndarray::arr1(&[9.0, 1.0, 5.0, 0.1, 3.0, 0.2, 7.0, 0.3]);
        let kept = |narrow: &Array2<f32>| narrow.mapv(|x| x * x).sum();
        let narrow = narrowed(table.view(), 4).unwrap();
        let widest = table.select(Axis(1), &[0, 2, 4, 6]);
        assert!(kept(&narrow) >= kept(&widest) && kept(&narrow) <= kept(&table));
        assert_eq!(narrow, narrowed(table.view(), 4).unwrap());
    }

    #[test]
    fn what_cannot_be_narrowed_is_refused() {
        let error = |table: Array2<f32>| narrowed(table.view(), 4).unwrap_err().to_string();
        assert!(error(noise2([5, 3], 1)).contains("a width of 3, the student's one of 4"));
        assert!(error(Array2::from_elem((5, 6), f32::NAN)).contains("no number"));
    }
}
