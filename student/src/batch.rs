//! Packed batches: the tokens of all sequences one after the other, with no padding and no mask.

use crate::layers::Shared;
use crate::{Real, kernels};
use ndarray::{Array2, Axis};
use std::borrow::Cow;
use std::ops::Range;

/// `B` sequences of token ids, packed: `N` tokens in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackedBatch {
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    offsets: Vec<usize>,
    chosen: Vec<usize>,
}

impl PackedBatch {
    /// Packs sequences given as `(ids, type_ids)`, both of the sequence's length, which is at least one.
    pub fn pack<'a>(sequences: impl IntoIterator<Item = (&'a [u32], &'a [u32])>) -> Self {
        let mut batch = PackedBatch { offsets: vec![0], ..PackedBatch::default() };
        for (ids, type_ids) in sequences {
            assert!(
                !ids.is_empty() && ids.len() == type_ids.len(),
                "a sequence has as many type ids as ids, and some"
            );
            batch.ids.extend_from_slice(ids);
            batch.type_ids.extend_from_slice(type_ids);
            batch.offsets.push(batch.ids.len());
        }
        batch
    }

    /// Gives the tokens other ids, and chooses some of them, ascending, to be asked which word stands there.
    pub fn masked(self, ids: Vec<u32>, chosen: Vec<usize>) -> Self {
        assert_eq!(ids.len(), self.ids.len(), "there are as many tokens as before");
        assert!(
            chosen.is_sorted() && chosen.last().is_none_or(|last| *last < ids.len()),
            "chosen tokens exist"
        );
        PackedBatch { ids, chosen, ..self }
    }

    /// Returns the tokens that are asked which word stands there, `[M]`.
    pub fn chosen(&self) -> &[usize] {
        &self.chosen
    }

    /// Returns the token ids, `[N]`.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Returns the segment of each token, `[N]`.
    pub fn type_ids(&self) -> &[u32] {
        &self.type_ids
    }

    /// Returns where each sequence begins, and the end of the last, [B + 1].
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Returns the number of sequences, B.
    pub fn num_sequences(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Returns the number of tokens, N.
    pub fn num_tokens(&self) -> usize {
        self.ids.len()
    }

    /// Returns each sequence's range of tokens.
    pub fn sequences(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.offsets.windows(2).map(|pair| pair[0]..pair[1])
    }
}

/// Which tokens of each sequence a layer is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readout {
    /// Every token.
    Every,
    /// The first token alone: all that a sentence head reads of the last layer.
    First,
}

impl Readout {
    /// Returns the offsets of the rows that are read out, [B + 1].
    pub fn offsets<'a>(self, offsets: &'a [usize]) -> Cow<'a, [usize]> {
        match self {
            Readout::Every => Cow::Borrowed(offsets),
            Readout::First => Cow::Owned((0..offsets.len()).collect()),
        }
    }

    /// Returns the rows that are read out. `x`: [N, H]; result: [N, H], or [B, H] for the first tokens.
    pub(crate) fn gather<F: Real>(self, x: &Shared<F>, offsets: &[usize]) -> Shared<F> {
        match self {
            Readout::Every => x.clone(),
            Readout::First => x.select(Axis(0), &offsets[..offsets.len() - 1]).into_shared(),
        }
    }

    /// Adds the gradient of the rows that were read out to the gradient of all rows.
    pub(crate) fn scatter_add<F: Real>(self, d_rows: &Array2<F>, offsets: &[usize], d_x: &mut Array2<F>) {
        match self {
            Readout::Every => kernels::add(d_x, d_rows),
            Readout::First => {
                for (d_row, &n) in d_rows.rows().into_iter().zip(offsets) {
                    let mut row = d_x.row_mut(n);
                    row += &d_row;
                }
            }
        }
    }
}
