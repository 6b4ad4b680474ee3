//! A model that says of a masked token which words could stand there.
//!
//! It gives logits for every token and every word of the vocabulary, [B, T, V]: hundreds of megabytes for a few texts.
//! What is asked for is one position of each sequence and the best few words, so no more than those rows is copied out
//! of the runtime, and no more than the ids is kept.

use std::path::Path;

use ndarray::{Array2, ArrayView1, ArrayViewD, Ix3};

use crate::teacher::Teacher;
use crate::{Error, ModelConfig, Options, Tokens, WordsAsked};

/// An ONNX masked language model that is ready to answer.
#[derive(Debug)]
pub struct MaskedLm {
    model: Teacher,
}

/// A sequence, and the position that is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Masked<'a> {
    /// The sequence, with the mask's id at the position.
    pub tokens: Tokens<'a>,
    /// The position, below the number of tokens.
    pub position: usize,
}

impl MaskedLm {
    /// Opens a folder (`model.onnx` or `onnx/model.onnx` in it) or a bare ONNX file, as [`Teacher::open`] does.
    ///
    /// # Errors
    /// As [`Teacher::open`]; and where the graph gives no logits of words, [batch, sequence, vocabulary].
    pub fn open(path: &Path, options: &Options) -> Result<MaskedLm, Error> {
        Ok(MaskedLm { model: Teacher::open_masked_lm(path, options)? })
    }

    /// Returns for each sequence the ids of the `count` words that the model finds likeliest at the position, likeliest
    /// first; of equally likely ones the lower id comes first.
    ///
    /// `progress` is told, from any worker, how many more sequences are done. The result does not depend on the number
    /// of workers.
    ///
    /// # Errors
    /// As [`Teacher::logits`].
    ///
    /// # Panics
    /// When a position lies outside its sequence.
    pub fn best_words(
        &mut self,
        asked: &[Masked<'_>],
        count: usize,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<u32>>, Error> {
        let mut end = 0;
        let place = |&Masked { tokens, position }: &Masked<'_>| {
            assert!(position < tokens.ids.len(), "a position lies within its sequence");
            let start = end;
            end += tokens.ids.len();
            start + position
        };
        let positions: Vec<_> = asked.iter().map(place).collect();
        let sequences: Vec<_> = asked.iter().map(|asked| asked.tokens).collect();
        let asked = WordsAsked { positions: &positions, count, temperature: 1.0 };
        let (_, likely) = self.model.signals_and_words(&sequences, &asked, progress)?;
        Ok(likely.ids.rows().into_iter().map(|row| row.to_vec()).collect())
    }

    /// Returns what `config.json` says; all fields are empty where there is none.
    pub fn config(&self) -> &ModelConfig {
        self.model.config()
    }

    /// Returns the path of the ONNX file.
    pub fn path(&self) -> &Path {
        self.model.path()
    }
}

/// Returns the rows `[b, t]` at these places, [places, V]; the shape, where the logits are not [batch, length, V].
pub(crate) fn rows_at<T: Copy>(
    logits: ArrayViewD<'_, T>,
    places: &[[usize; 2]],
    [batch, length]: [usize; 2],
    float: impl Fn(T) -> f32,
) -> Result<Array2<f32>, Vec<usize>> {
    let shape = logits.shape().to_vec();
    match logits.into_dimensionality::<Ix3>() {
        Ok(logits) if shape[..2] == [batch, length] && shape[2] > 0 => {
            Ok(Array2::from_shape_fn([places.len(), shape[2]], |(row, word)| {
                let [sequence, position] = places[row];
                float(logits[[sequence, position, word]])
            }))
        }
        _ => Err(shape),
    }
}

/// Returns the indices of the `count` largest numbers, largest first, and those of all others in no order; or the first
/// number that is not finite.
pub(crate) fn best(row: ArrayView1<'_, f32>, count: usize) -> Result<[Vec<u32>; 2], (usize, f32)> {
    if let Some((index, &value)) = row.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err((index, value));
    }
    let mut order: Vec<u32> = (0..row.len() as u32).collect();
    let larger = |a: &u32, b: &u32| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b));
    let mut others = Vec::new();
    if count < order.len() {
        order.select_nth_unstable_by(count, larger);
        others = order.split_off(count);
    }
    order.sort_unstable_by(larger);
    Ok([order, others])
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, array};

    use super::*;

    #[test]
    fn the_largest_come_first_and_of_equals_the_first() {
        let row = array![0.5, 3.0, -1.0, 3.0, 2.0];
        for (count, expected) in [(0, &[][..]), (1, &[1]), (3, &[1, 3, 4]), (9, &[1, 3, 4, 0, 2])] {
            let [best, others] = best(row.view(), count).expect("finite");
            assert_eq!(best, expected, "{count}");
            assert_eq!(best.len() + others.len(), row.len());
            assert!(others.iter().all(|other| !best.contains(other)));
        }
        let broken = array![0.0, f32::NAN, f32::INFINITY];
        assert_eq!(best(broken.view(), 1).expect_err("not finite").0, 1);
    }

    #[test]
    fn rows_are_taken_at_their_places_and_other_shapes_are_told() {
        let logits = Array::from_shape_fn([2, 3, 4], |(b, t, v)| (100 * b + 10 * t + v) as f64);
        let narrow = |value: f64| value as f32;
        let places = [[0, 2], [1, 0]];
        let rows = rows_at(logits.view().into_dyn(), &places, [2, 3], narrow).expect("the shape is right");
        assert_eq!(rows, array![[20.0, 21.0, 22.0, 23.0], [100.0, 101.0, 102.0, 103.0]]);
        for sizes in [[1, 3], [2, 2]] {
            let shape = rows_at(logits.view().into_dyn(), &[], sizes, narrow).expect_err("another shape");
            assert_eq!(shape, [2, 3, 4]);
        }
        let flat = Array::<f64, _>::zeros([2, 4]);
        assert_eq!(rows_at(flat.view().into_dyn(), &places, [2, 3], narrow).expect_err("a matrix"), [2, 4]);
    }
}
