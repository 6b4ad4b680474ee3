//! What a model says of every text, in a temporary file that is mapped: a million rows take no memory of their own.

use super::scratch::{Mapped, Scratch};
use anyhow::{Result, bail, ensure};
use ndarray::{Array2, ArrayView2};
use std::ops::Range;

/// The logits of all rows, [N, C], that can be read in pieces.
pub struct Answers {
    numbers: Mapped,
    rows: usize,
    classes: usize,
}

/// Logits that are still being collected.
pub struct Collecting {
    scratch: Scratch,
    rows: usize,
    classes: usize,
}

/// The rows that are looked at together.
pub const PIECE: usize = 4096;

impl Collecting {
    /// Makes an empty file in the folder for temporary files.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self> {
        Ok(Collecting { scratch: Scratch::new()?, rows: 0, classes: 0 })
    }

    /// Adds rows.  `logits`: [rows, C].
    ///
    /// # Errors
    /// When they are of another number of classes than those before or not finite, or the disk is full.
    pub fn add(&mut self, logits: ArrayView2<'_, f32>) -> Result<()> {
        ensure!(
            self.rows == 0 || self.classes == logits.ncols(),
            "the model gives {} logits for some texts and {} for others",
            self.classes,
            logits.ncols()
        );
        if let Some(((row, class), value)) = logits.indexed_iter().find(|(_, logit)| !logit.is_finite()) {
            bail!("logit {class} of text {} is {value}", self.rows + row + 1);
        }
        self.classes = logits.ncols();
        self.rows += logits.nrows();
        logits.iter().try_for_each(|logit| self.scratch.write(&logit.to_le_bytes()))
    }

    /// Maps what was collected.
    ///
    /// # Errors
    /// When the disk is full, or the file cannot be mapped.
    pub fn finish(self) -> Result<Answers> {
        Ok(Answers { numbers: self.scratch.finish()?, rows: self.rows, classes: self.classes })
    }
}

impl Answers {
    /// Keeps logits that are known, [N, C].
    ///
    /// # Errors
    /// As those of collecting them.
    pub fn of(logits: ArrayView2<'_, f32>) -> Result<Self> {
        let mut collecting = Collecting::new()?;
        collecting.add(logits)?;
        collecting.finish()
    }

    /// Returns the number of rows, N.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Says whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Returns the number of classes, C; 1 for a regression.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Returns some rows, [rows, C].
    pub fn rows(&self, rows: Range<usize>) -> Array2<f32> {
        let width = 4 * self.classes;
        let bytes = &self.numbers.bytes()[rows.start * width..rows.end * width];
        let number = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let numbers: Vec<f32> = bytes.chunks_exact(4).map(number).collect();
        Array2::from_shape_vec((rows.len(), self.classes), numbers).expect("so many numbers were read")
    }

    /// Returns the pieces that all rows are looked at in.
    pub fn pieces(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let rows = self.rows;
        (0..rows).step_by(PIECE).map(move |start| start..rows.min(start + PIECE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn answers_come_back_in_pieces() {
        let mut collecting = Collecting::new().unwrap();
        collecting.add(arr2(&[[1.0, 2.0], [3.0, 4.0]]).view()).unwrap();
        collecting.add(arr2(&[[5.0, 6.0]]).view()).unwrap();
        let answers = collecting.finish().unwrap();
        assert_eq!((answers.len(), answers.classes()), (3, 2));
        assert_eq!(answers.rows(1..3), arr2(&[[3.0, 4.0], [5.0, 6.0]]));
        assert_eq!(answers.pieces().map(|piece| piece.len()).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn what_is_no_number_or_of_other_classes_is_refused() {
        let mut collecting = Collecting::new().unwrap();
        collecting.add(arr2(&[[1.0, 2.0]]).view()).unwrap();
        let error = collecting.add(arr2(&[[1.0, f32::NAN]]).view()).unwrap_err().to_string();
        assert_eq!(error, "logit 1 of text 2 is NaN");
        assert!(collecting.add(arr2(&[[1.0]]).view()).is_err());
    }
}
