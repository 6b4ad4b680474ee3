//! Four bits: each block of 32 numbers has its own scale.

use ndarray::ArrayView2;

/// The numbers that share a scale.
pub const BLOCK: usize = 32;

/// What is stored for zero: values are 0 to 15.
const ZERO: f32 = 8.0;

/// A matrix in four bits, each row cut into blocks of [`BLOCK`]: `x ≈ scale · (value − 8)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks {
    /// Two values in a byte, the first in its low half: [rows, blocks of a row, BLOCK / 2]. A last block that is not full
    /// is filled up with zeros.
    pub values: Vec<u8>,
    /// One scale for each block, [rows, blocks of a row].
    pub scales: Vec<f32>,
}

/// Rounds each block of each row of a matrix to four bits.
///
/// The number of greatest size becomes −8, so that all sixteen values are used: `scale = −x̂ / 8`,
/// `value = round(x / scale) + 8`, at most 15.  `matrix`: [rows, columns], for a linear map [out, in].
pub fn round_blocks(matrix: ArrayView2<'_, f32>) -> Blocks {
    let per_row = matrix.ncols().div_ceil(BLOCK);
    let mut values = Vec::with_capacity(matrix.nrows() * per_row * BLOCK / 2);
    let mut scales = Vec::with_capacity(matrix.nrows() * per_row);
    for row in matrix.rows() {
        let row = row.to_vec();
        for block in row.chunks(BLOCK) {
            let scale = scale(block);
            let value = |i: usize| block.get(i).map_or(ZERO, |&x| level(x, scale) + ZERO) as u8;
            values.extend((0..BLOCK / 2).map(|i| value(2 * i) | value(2 * i + 1) << 4));
            scales.push(scale);
        }
    }
    Blocks { values, scales }
}

/// Replaces each number of a row by what its four bits stand for.
pub(super) fn apply(row: &mut [f32]) {
    for block in row.chunks_mut(BLOCK) {
        let scale = scale(block);
        block.iter_mut().for_each(|x| *x = scale * level(*x, scale));
    }
}

fn scale(block: &[f32]) -> f32 {
    let greatest = block.iter().fold(0.0_f32, |max, &x| if x.abs() > max.abs() { x } else { max });
    let scale = greatest / -ZERO;
    if scale.abs() < f32::MIN_POSITIVE { f32::MIN_POSITIVE } else { scale }
}

fn level(x: f32, scale: f32) -> f32 {
    (x / scale).round_ties_even().clamp(-ZERO, ZERO - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::noise2;

    #[test]
    fn the_greatest_of_a_block_is_kept_and_the_others_err_by_a_step_at_most() {
        let matrix = noise2::<f32>([5, 70], 3);
        let Blocks { values, scales } = round_blocks(matrix.view());
        assert_eq!((values.len(), scales.len()), (5 * 3 * 16, 5 * 3));
        for (row, numbers) in matrix.rows().into_iter().enumerate() {
            let numbers = numbers.to_vec();
            for (place, block) in numbers.chunks(BLOCK).enumerate() {
                let at = row * 3 + place;
                let greatest = block.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
                for (i, &x) in block.iter().enumerate() {
                    let byte = values[at * 16 + i / 2];
                    let value = f32::from(if i % 2 == 0 { byte & 15 } else { byte >> 4 });
                    let error = (scales[at] * (value - 8.0) - x).abs();
                    let allowed = if x.abs() == greatest { 1e-6 } else { scales[at].abs() * 1.0001 };
                    assert!(error <= allowed, "row {row}, block {place}, number {i}: {error}");
                }
            }
        }
    }

    #[test]
    fn what_fills_up_the_last_block_is_zero() {
        let Blocks { values, scales } = round_blocks(ndarray::arr2(&[[0.0_f32, -4.0, 2.0]]).view());
        assert_eq!(scales, [0.5]);
        assert_eq!((values[0], values[1]), (8, 12 | 8 << 4));
        assert!(values[2..].iter().all(|&byte| byte == 8 | 8 << 4));
    }
}
