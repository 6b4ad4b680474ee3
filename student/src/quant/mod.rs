//! Rounding to few bits: the one arithmetic of the files that are shipped and of training for them.
//!
//! What an exported graph stores ([`round_rows`], [`round_blocks`]) and what a student computes with while it learns to
//! live with rounding ([`Scheme::apply`]) come out of the same functions on the same numbers, so that they are equal.

mod blocks;
mod scheme;

pub use blocks::{BLOCK, TABLE_BLOCK, round_blocks};
pub use scheme::Scheme;

use ndarray::ArrayView2;

/// The whole numbers that eight bits are used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// −127 to 127.
    #[default]
    Full,
    /// −64 to 64: two products with an unsigned byte then fit into 16 bits, in which processors without VNNI add them up
    /// (`2 · 255 · 64 < 2¹⁵`), and where greater sums saturate.
    Reduced,
}

impl Range {
    /// Returns the greatest whole number.
    pub fn greatest(self) -> f32 {
        match self {
            Range::Full => 127.0,
            Range::Reduced => 64.0,
        }
    }
}

/// The bits of tables of embeddings, which are read and not multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableBits {
    /// Eight, with a scale for each row.
    #[default]
    Eight,
    /// Four, with a scale for each [`TABLE_BLOCK`] numbers of a row.
    Four,
}

impl TableBits {
    /// Returns what `bits` stands for, if that is 8 or 4.
    pub fn of(bits: u8) -> Option<Self> {
        [TableBits::Eight, TableBits::Four].into_iter().find(|known| known.bits() == bits)
    }

    /// Returns how many they are.
    pub fn bits(self) -> u8 {
        match self {
            TableBits::Eight => 8,
            TableBits::Four => 4,
        }
    }
}

/// A matrix of whole numbers, each run of which has its own scale: `x ≈ scale · value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rounded {
    /// The whole numbers, [rows, columns], row by row.
    pub values: Vec<i8>,
    /// One scale for each row, or for each block of a row, row by row.
    pub scales: Vec<f32>,
}

/// Rounds each row of a matrix to whole numbers, symmetrically about zero.
///
/// `scale = max|x| / greatest`, `value = round(x / scale)`, halves to the even neighbour: Jacob et al. 2018, section 2.1,
/// with the zero point 0, and a scale of its own for each output channel (Krishnamoorthi 2018, section 3.1).
/// `matrix`: [rows, columns], for a linear map [out, in].
pub fn round_rows(matrix: ArrayView2<'_, f32>, range: Range) -> Rounded {
    let (mut values, mut scales) = (Vec::with_capacity(matrix.len()), Vec::with_capacity(matrix.nrows()));
    for row in matrix.rows() {
        let scale = scale(row.iter(), range);
        values.extend(row.iter().map(|&x| level(x, scale, range) as i8));
        scales.push(scale);
    }
    Rounded { values, scales }
}

/// Returns the scale of a row; a row of zeros has the smallest one that can be divided by.
fn scale<'a>(row: impl Iterator<Item = &'a f32>, range: Range) -> f32 {
    let max = row.fold(0.0_f32, |max, x| max.max(x.abs()));
    (max / range.greatest()).max(f32::MIN_POSITIVE)
}

/// Returns the whole number that stands for `x`.
fn level(x: f32, scale: f32, range: Range) -> f32 {
    (x / scale).round_ties_even().clamp(-range.greatest(), range.greatest())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::noise2;
    use ndarray::{Array2, arr2};

    #[test]
    fn a_row_keeps_its_greatest_number_and_errs_by_half_a_step() {
        let matrix = noise2::<f32>([7, 33], 1) * 0.3;
        for range in [Range::Full, Range::Reduced] {
            let Rounded { values, scales } = round_rows(matrix.view(), range);
            for (i, &x) in matrix.iter().enumerate() {
                let scale = scales[i / 33];
                assert!((x - scale * f32::from(values[i])).abs() <= 0.5001 * scale, "{range:?} {i}");
            }
            for row in values.chunks(33) {
                let greatest = row.iter().map(|value| value.unsigned_abs()).max();
                assert_eq!(greatest, Some(range.greatest() as u8));
            }
        }
    }

    #[test]
    fn zeros_and_the_smallest_numbers_stay_finite() {
        let matrix: Array2<f32> = arr2(&[[0.0, -0.0], [1e-45, -1e-45], [f32::MAX, f32::MIN]]);
        let Rounded { values, scales } = round_rows(matrix.view(), Range::Full);
        assert_eq!(values, [0, 0, 0, 0, 127, -127]);
        assert!(scales.iter().all(|scale| scale.is_normal()));
    }
}
