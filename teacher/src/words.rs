//! Which words a masked language model thinks likely at some tokens of packed sequences: the likeliest of them one by one,
//! and all others as one.
//!
//! A row of logits has as many numbers as the vocabulary has words, of which a few matter. The others are kept as what they
//! are worth together, so that what is kept is still a distribution.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use crate::batching::Batch;
use crate::masked_lm::best;

/// What a masked language model is asked about packed sequences.
#[derive(Debug, Clone, Copy)]
pub struct WordsAsked<'a> {
    /// The tokens that are asked about, counted over all sequences, rising, `[M]`.
    pub positions: &'a [usize],
    /// How many words are kept one by one, K; all where the vocabulary has fewer.
    pub count: usize,
    /// T, by which logits are divided before the others are added up.
    pub temperature: f32,
}

/// The words that a masked language model thinks likely at some tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct LikelyWords {
    /// The likeliest words, likeliest first, [M, K].
    pub ids: Array2<u32>,
    /// Their logits, raw, [M, K].
    pub logits: Array2<f32>,
    /// The logarithm of the sum of `exp(logit / T)` over all other words, `[M]`; negative infinity where there are none.
    pub others: Vec<f32>,
    /// The words of the vocabulary, V; 0 where there are no sequences.
    pub vocabulary: usize,
}

/// Where the tokens lie that are asked about.
pub(crate) struct Spots {
    /// Of each sequence, the number of its first token that is asked about, among all such; and the end of the last.
    starts: Vec<usize>,
    /// Of each such token, its place in its sequence.
    places: Vec<usize>,
}

/// The tokens of a batch that are asked about.
pub(crate) struct BatchSpots {
    /// The row of each in the batch, and its place in that.
    pub places: Vec<[usize; 2]>,
    /// Its number among all.
    pub numbers: Vec<usize>,
}

impl WordsAsked<'_> {
    /// Finds the sequence of each token; `lengths` are those of the sequences.
    pub(crate) fn spots(&self, lengths: &[usize]) -> Spots {
        let mut spots = Spots { starts: vec![0], places: Vec::with_capacity(self.positions.len()) };
        let mut left = self.positions;
        let mut start = 0;
        for length in lengths {
            let inside = left.iter().take_while(|&&position| position < start + length).count();
            let (these, others) = left.split_at(inside);
            spots.places.extend(these.iter().map(|position| {
                position.checked_sub(start).expect("positions rise, and lie within the sequences")
            }));
            (left, start) = (others, start + length);
            spots.starts.push(spots.places.len());
        }
        assert!(left.is_empty(), "positions lie within the sequences");
        spots
    }

    /// Keeps the likeliest words of rows of logits, [rows, V]; or says which row holds what is no number, and where.
    pub(crate) fn likeliest(
        &self,
        logits: ArrayView2<'_, f32>,
    ) -> Result<LikelyWords, (usize, (usize, f32))> {
        let (rows, vocabulary) = logits.dim();
        let kept = self.count.min(vocabulary);
        let mut likely = LikelyWords {
            ids: Array2::zeros([rows, kept]),
            logits: Array2::zeros([rows, kept]),
            others: Vec::with_capacity(rows),
            vocabulary,
        };
        for (number, row) in logits.rows().into_iter().enumerate() {
            let [best, others] = best(row, kept).map_err(|found| (number, found))?;
            for (place, &id) in best.iter().enumerate() {
                likely.ids[[number, place]] = id;
                likely.logits[[number, place]] = row[id as usize];
            }
            likely.others.push(self.together(row, &others));
        }
        Ok(likely)
    }

    /// Returns the logarithm of the sum of `exp(logit / T)` over some words.
    fn together(&self, row: ArrayView1<'_, f32>, words: &[u32]) -> f32 {
        let logit = |&word: &u32| f64::from(row[word as usize]) / f64::from(self.temperature);
        let highest = words.iter().map(logit).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = words.iter().map(|word| (logit(word) - highest).exp()).sum();
        if words.is_empty() { f32::NEG_INFINITY } else { (highest + sum.ln()) as f32 }
    }
}

impl Spots {
    /// Returns the tokens of a batch that are asked about.
    pub fn of(&self, batch: &Batch) -> BatchSpots {
        let mut spots = BatchSpots { places: Vec::new(), numbers: Vec::new() };
        for (row, &sequence) in batch.rows.iter().enumerate() {
            for number in self.starts[sequence]..self.starts[sequence + 1] {
                spots.places.push([row, self.places[number]]);
                spots.numbers.push(number);
            }
        }
        spots
    }
}

impl LikelyWords {
    /// Puts the words of some batches in the order of the tokens; each comes with the numbers of its tokens among all.
    pub(crate) fn gathered(count: usize, batches: Vec<(Vec<usize>, LikelyWords)>) -> LikelyWords {
        let largest = |of: fn(&LikelyWords) -> usize| batches.iter().map(|(_, it)| of(it)).max().unwrap_or(0);
        let (kept, vocabulary) = (largest(|it| it.ids.ncols()), largest(|it| it.vocabulary));
        let mut all = LikelyWords {
            ids: Array2::zeros([count, kept]),
            logits: Array2::zeros([count, kept]),
            others: vec![0.0; count],
            vocabulary,
        };
        for (numbers, words) in batches {
            for (row, number) in numbers.into_iter().enumerate() {
                all.ids.index_axis_mut(Axis(0), number).assign(&words.ids.row(row));
                all.logits.index_axis_mut(Axis(0), number).assign(&words.logits.row(row));
                all.others[number] = words.others[row];
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn asked(positions: &[usize], count: usize) -> WordsAsked<'_> {
        WordsAsked { positions, count, temperature: 2.0 }
    }

    #[test]
    fn what_is_not_kept_one_by_one_is_kept_together() {
        let logits = array![[1.0, 5.0, -2.0, 3.0]];
        let likely = asked(&[0], 2).likeliest(logits.view()).expect("finite");
        assert_eq!((likely.ids, likely.logits, likely.vocabulary), (array![[1, 3]], array![[5.0, 3.0]], 4));
        let expected = ((0.5_f64).exp() + (-1.0_f64).exp()).ln() as f32;
        assert!((likely.others[0] - expected).abs() < 1e-6, "{} {expected}", likely.others[0]);
        let all = asked(&[0], 9).likeliest(logits.view()).expect("finite");
        assert_eq!((all.ids, all.others), (array![[1, 3, 0, 2]], vec![f32::NEG_INFINITY]));
        let broken = array![[1.0, 2.0], [1.0, f32::INFINITY]];
        assert_eq!(
            asked(&[0, 1], 1).likeliest(broken.view()).expect_err("not finite"),
            (1, (1, f32::INFINITY))
        );
    }

    #[test]
    fn every_token_is_found_in_its_batch_and_put_back_in_its_place() {
        let asked = asked(&[1, 2, 5, 6], 1);
        let spots = asked.spots(&[2, 1, 0, 4]);
        let batches = [Batch { rows: vec![3, 0], length: 4 }, Batch { rows: vec![1, 2], length: 1 }];
        let found: Vec<_> = batches.iter().map(|batch| spots.of(batch)).collect();
        assert_eq!(found[0].places, [[0, 2], [0, 3], [1, 1]]);
        assert_eq!((&found[0].numbers[..], &found[1].numbers[..]), (&[2, 3, 0][..], &[1][..]));
        assert_eq!(found[1].places, [[0, 0]]);
        let words = |logits: Array2<f32>| asked.likeliest(logits.view()).expect("finite");
        let answers = [array![[2.0, 0.0], [0.0, 3.0], [0.5, 0.0]], array![[0.0, 1.0]]].map(words);
        let numbered = found.into_iter().map(|it| it.numbers).zip(answers).collect();
        let all = LikelyWords::gathered(4, numbered);
        assert_eq!(all.logits, array![[0.5], [1.0], [2.0], [3.0]]);
        assert_eq!(all.ids, array![[0], [1], [0], [1]]);
    }

    #[test]
    #[should_panic(expected = "within the sequences")]
    fn a_position_beyond_the_sequences_is_a_mistake() {
        asked(&[3], 1).spots(&[2, 1]);
    }
}
