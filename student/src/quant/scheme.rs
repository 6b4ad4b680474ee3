//! Which tensors of a model are rounded, and how.

use super::{Range, blocks, level, scale};

/// How a matrix or table of a model is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// To eight bits, each row with its own scale.
    Rows(Range),
    /// To four bits, each block of so many numbers of a row with its own scale.
    Blocks(usize),
}

impl Scheme {
    /// Replaces each number of a row by what stands for it.
    ///
    /// A row is what one output of a linear map is made of, or the vector of one token.
    pub fn apply(self, row: &mut [f32]) {
        match self {
            Scheme::Blocks(len) => blocks::apply(row, len),
            Scheme::Rows(range) => {
                let scale = scale(row.iter(), range);
                row.iter_mut().for_each(|x| *x = scale * level(*x, scale, range));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BLOCK, TABLE_BLOCK, round_blocks, round_rows};
    use super::*;
    use crate::gradcheck::noise2;

    #[test]
    fn what_a_student_computes_with_is_what_a_file_stores() {
        let matrix = noise2::<f32>([9, 75], 5) * 0.07;
        let applied = |scheme: Scheme| {
            let mut rounded = matrix.clone();
            rounded.rows_mut().into_iter().for_each(|mut row| {
                scheme.apply(row.as_slice_mut().expect("a row of an owned matrix is contiguous"));
            });
            rounded
        };
        for range in [Range::Full, Range::Reduced] {
            let stored = round_rows(matrix.view(), range);
            let values = applied(Scheme::Rows(range));
            for (i, &x) in values.iter().enumerate() {
                assert_eq!(x, stored.scales[i / 75] * f32::from(stored.values[i]), "{range:?} {i}");
            }
        }
        for len in [BLOCK, TABLE_BLOCK] {
            let stored = round_blocks(matrix.view(), len);
            for ((row, column), &x) in applied(Scheme::Blocks(len)).indexed_iter() {
                let scale = stored.scales[row * 75_usize.div_ceil(len) + column / len];
                assert_eq!(x, scale * f32::from(stored.values[row * 75 + column]), "{len}: {row} {column}");
            }
        }
    }

    #[test]
    fn rounding_twice_is_rounding_once() {
        for scheme in [Scheme::Rows(Range::Full), Scheme::Rows(Range::Reduced)] {
            let mut once = noise2::<f32>([1, 64], 8).into_raw_vec_and_offset().0;
            scheme.apply(&mut once);
            let mut twice = once.clone();
            scheme.apply(&mut twice);
            assert!(once.iter().zip(&twice).all(|(a, b)| (a - b).abs() <= 1e-6), "{scheme:?}");
        }
    }
}
