//! Columns of a table whose numbers take no more bytes than the largest of them needs.

use safetensors::tensor::Dtype;
use std::ops::Range;

/// How many bytes a number takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Two,
    Four,
}

/// Where a column lies.
pub(super) struct Numbers {
    pub place: Range<usize>,
    pub width: Width,
}

/// The numbers of a column.
#[derive(Clone, Copy)]
pub(super) enum Column<'a> {
    Two(&'a [[u8; 2]]),
    Four(&'a [[u8; 4]]),
}

impl Width {
    pub const ALL: [Width; 2] = [Width::Two, Width::Four];

    /// Returns the width that numbers below `bound` need.
    pub fn below(bound: usize) -> Self {
        if bound <= 1 << 16 { Width::Two } else { Width::Four }
    }

    /// Adds numbers to bytes, which they fit.
    pub fn extend(self, bytes: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
        match self {
            Width::Two => bytes.extend(numbers.into_iter().flat_map(|number| (number as u16).to_le_bytes())),
            Width::Four => bytes.extend(numbers.into_iter().flat_map(u32::to_le_bytes)),
        }
    }

    /// Returns the type of the tensor that a column of this width is.
    pub fn dtype(self) -> Dtype {
        match self {
            Width::Two => Dtype::U16,
            Width::Four => Dtype::U32,
        }
    }
}

impl Numbers {
    /// Returns the numbers in the bytes of their file.
    pub fn of<'a>(&self, bytes: &'a [u8]) -> Column<'a> {
        let bytes = &bytes[self.place.clone()];
        match self.width {
            Width::Two => Column::Two(bytes.as_chunks().0),
            Width::Four => Column::Four(bytes.as_chunks().0),
        }
    }
}

impl Column<'_> {
    /// Returns how many numbers there are.
    pub fn len(self) -> usize {
        match self {
            Column::Two(numbers) => numbers.len(),
            Column::Four(numbers) => numbers.len(),
        }
    }

    /// Returns one of the numbers.
    #[inline]
    pub fn get(self, index: usize) -> u32 {
        match self {
            Column::Two(numbers) => u32::from(u16::from_le_bytes(numbers[index])),
            Column::Four(numbers) => u32::from_le_bytes(numbers[index]),
        }
    }

    /// Returns the highest number, 0 of none.
    pub fn max(self) -> u32 {
        match self {
            Column::Two(numbers) => {
                numbers.iter().map(|&number| u16::from_le_bytes(number)).fold(0, u16::max).into()
            }
            Column::Four(numbers) => {
                numbers.iter().map(|&number| u32::from_le_bytes(number)).fold(0, u32::max)
            }
        }
    }
}
