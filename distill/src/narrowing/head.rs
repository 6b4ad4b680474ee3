//! An attention head in another width.
//!
//! Its queries and keys act only as a product, and so do its values and what is made of them: each product is brought to the
//! rank that the new width has room for.

use super::factors::shortened;
use ndarray::{Array1, Array2, s};

/// A head, by what its maps read and write, row by row of its inside.
pub struct Head {
    /// Affine, the bias as a last column, [wide, narrow + 1].
    pub query: Array2<f64>,
    /// As `query`.
    pub key: Array2<f64>,
    /// As `query`.
    pub value: Array2<f64>,
    /// What it adds to hidden states, [wide, narrow].
    pub writing: Array2<f64>,
}

impl Head {
    /// Returns how far the head moves hidden states from one token to another, apart from what it does to all of them.
    /// `reach`: how far inputs reach, and last that of the bias, which is one.
    pub fn strength(&self, reach: &Array1<f64>) -> f64 {
        let value = &self.value * reach;
        let value = value.slice(s![.., ..reach.len() - 1]);
        (value.dot(&value.t()) * self.writing.dot(&self.writing.t())).sum().max(0.0).sqrt()
    }

    /// Returns what the head adds to every hidden state, whatever it looks at: attention sums to one.
    pub fn constant(&self) -> Array1<f64> {
        self.value.column(self.value.ncols() - 1).dot(&self.writing)
    }

    /// Returns its query, key, value and writing in another width.
    pub fn narrowed(mut self, reach: &Array1<f64>, width: usize) -> [Array2<f64>; 4] {
        let wide = self.query.nrows();
        // What a key's bias adds to the scores of a token is the same for every other one.
        let last = self.key.ncols() - 1;
        self.key.column_mut(last).fill(0.0);
        let (query, key) = shortened((self.query * reach).view(), (self.key * reach).view(), width);
        let (value, writing) = shortened((self.value * reach).view(), self.writing.view(), width);
        // Scores are divided by the root of the width.
        let scale = (width as f64 / wide as f64).powf(0.25);
        [query * scale / reach, key * scale / reach, value / reach, writing]
    }
}
