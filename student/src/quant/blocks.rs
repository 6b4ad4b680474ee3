//! Four bits: each block of a row has its own scale.

use super::Rounded;
use ndarray::ArrayView2;

/// The numbers of a matrix that share a scale.
pub const BLOCK: usize = 32;

/// The numbers of a row of a table that share a scale. Tables are as large as all matrices together, so that their scales
/// count; and what rows lose, their sum with others and the normalisation behind it hide better than a product does.
pub const TABLE_BLOCK: usize = 128;

/// What the number of greatest size becomes: values are −8 to 7.
const GREATEST: f32 = -8.0;

/// Rounds each block of `len` numbers of each row of a matrix to four bits: `x ≈ scale · value`. A row's last block may be
/// shorter.
///
/// The number of greatest size becomes −8, so that all sixteen values are used: `scale = −x̂ / 8`,
/// `value = round(x / scale)`, at most 7.  `matrix`: [rows, columns], for a linear map [out, in].
pub fn round_blocks(matrix: ArrayView2<'_, f32>, len: usize) -> Rounded {
    let mut rounded = Rounded {
        values: Vec::with_capacity(matrix.len()),
        scales: Vec::with_capacity(matrix.nrows() * matrix.ncols().div_ceil(len)),
    };
    for row in matrix.rows() {
        for block in row.to_vec().chunks(len) {
            let scale = scale(block);
            rounded.values.extend(block.iter().map(|&x| level(x, scale) as i8));
            rounded.scales.push(scale);
        }
    }
    rounded
}

/// Replaces each number of a row by what its four bits stand for.
pub(super) fn apply(row: &mut [f32], len: usize) {
    for block in row.chunks_mut(len) {
        let scale = scale(block);
        block.iter_mut().for_each(|x| *x = scale * level(*x, scale));
    }
}

fn scale(block: &[f32]) -> f32 {
    let greatest = block.iter().fold(0.0_f32, |max, &x| if x.abs() > max.abs() { x } else { max });
    let scale = greatest / GREATEST;
    if scale.abs() < f32::MIN_POSITIVE { f32::MIN_POSITIVE } else { scale }
}

fn level(x: f32, scale: f32) -> f32 {
    (x / scale).round_ties_even().clamp(GREATEST, -GREATEST - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::noise2;

    #[test]
    fn the_greatest_of_a_block_is_kept_and_the_others_err_by_a_step_at_most() {
        let matrix = noise2::<f32>([5, 70], 3);
        for len in [BLOCK, TABLE_BLOCK] {
            let Rounded { values, scales } = round_blocks(matrix.view(), len);
            let per_row = 70_usize.div_ceil(len);
            assert_eq!((values.len(), scales.len()), (5 * 70, 5 * per_row));
            for (row, numbers) in matrix.rows().into_iter().enumerate() {
                for (place, block) in numbers.to_vec().chunks(len).enumerate() {
                    let scale = scales[row * per_row + place];
                    let greatest = block.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
                    for (i, &x) in block.iter().enumerate() {
                        let value = values[row * 70 + place * len + i];
                        assert!((-8..8).contains(&value));
                        let error = (scale * f32::from(value) - x).abs();
                        let allowed = if x.abs() == greatest { 1e-6 } else { scale.abs() * 1.0001 };
                        assert!(error <= allowed, "row {row}, block {place}, number {i}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        let Rounded { values, scales } = round_blocks(ndarray::arr2(&[[0.0_f32, -4.0, 0.0, 0.0]]).view(), 2);
        assert_eq!((values, scales[0]), (vec![0, -8, 0, 0], 0.5));
        assert!(scales[1].is_normal());
    }
}
