//! The input of BERT: word, position and segment embeddings, summed and normalised.

use super::{Dropout, LayerNorm, Sites};
use crate::architecture::Mode;
use crate::kernels::{self, Mask, Normalized};
use crate::{Arena, PackedBatch, Real, Scope, Slot};
use ndarray::Array2;

/// The sizes of the three tables.
pub struct EmbeddingSizes {
    /// V.
    pub vocab_size: usize,
    /// The longest sequence the model can take.
    pub max_positions: usize,
    /// The number of segments; 0 for a model that does not tell them apart.
    pub type_vocab_size: usize,
    /// H.
    pub hidden_size: usize,
    /// ε of the normalisation.
    pub layer_norm_eps: f64,
    /// The dropout rate after the normalisation.
    pub dropout: f64,
}

/// Word, position and segment tables, normalisation and dropout.
pub struct Embeddings {
    /// The address of the word table, [V, H].
    pub word: Slot<2>,
    /// The address of the position table, [positions, H].
    pub position: Slot<2>,
    /// The address of the segment table, [segments, H], if there is one.
    pub token_type: Option<Slot<2>>,
    /// The normalisation of the sum.
    pub norm: LayerNorm,
    dropout: Dropout,
}

/// What the backward pass of [`Embeddings`] needs: which rows were read, and what their sums were.
pub struct EmbeddingsSaved<F> {
    rows: Vec<[usize; 3]>,
    normalized: Normalized<F>,
    mask: Option<Mask>,
}

impl Embeddings {
    /// Declares the tables.
    pub fn declare(mut scope: Scope<'_>, sizes: &EmbeddingSizes, sites: &mut Sites) -> Self {
        let hidden = sizes.hidden_size;
        Embeddings {
            word: scope.at("word_embeddings").table("weight", sizes.vocab_size, hidden),
            position: scope.at("position_embeddings").matrix("weight", sizes.max_positions, hidden),
            token_type: (sizes.type_vocab_size > 0)
                .then(|| scope.at("token_type_embeddings").matrix("weight", sizes.type_vocab_size, hidden)),
            norm: LayerNorm::declare(scope.at("LayerNorm"), hidden, sizes.layer_norm_eps),
            dropout: Dropout::new(sizes.dropout, sites),
        }
    }

    /// `y = dropout(LayerNorm(word[id] + position[i] + segment[type]))`; without segments nothing is added.  `y`: [N, H].
    pub fn forward<F: Real>(
        &self,
        params: &Arena<F>,
        batch: &PackedBatch,
        mode: Mode,
    ) -> (Array2<F>, EmbeddingsSaved<F>) {
        let rows = self.rows(batch);
        let nothing = Array2::zeros((1, self.word.shape()[1]));
        let tables = self.tables().map(|table| table.map_or(nothing.view(), |table| params.matrix(table)));
        let mask = self.dropout.mask(mode);
        let (y, normalized) = kernels::embed_norm(tables, &rows, mask, self.norm.affine(params));
        (y, EmbeddingsSaved { rows, normalized, mask })
    }

    /// Adds each token's gradient to the three rows that it read.  `d_y`: [N, H].
    pub fn backward<F: Real>(
        &self,
        params: &Arena<F>,
        saved: EmbeddingsSaved<F>,
        d_y: Array2<F>,
        grads: &mut Arena<F>,
    ) {
        let gamma = self.norm.affine(params).gamma;
        let d = kernels::embed_norm_backward(saved.normalized, gamma, d_y, saved.mask);
        self.norm.add_gradients(&d, grads);
        let d_sum = d.x;
        for (column, table) in self.tables().into_iter().enumerate() {
            let Some(table) = table else { continue };
            let mut d_table = grads.matrix_mut(table);
            for (d_token, rows) in d_sum.rows().into_iter().zip(&saved.rows) {
                let mut d_row = d_table.row_mut(rows[column]);
                d_row += &d_token;
            }
        }
    }

    fn tables(&self) -> [Option<Slot<2>>; 3] {
        [Some(self.word), Some(self.position), self.token_type]
    }

    /// Returns the rows of the three tables that each token reads, `[N]`.
    fn rows(&self, batch: &PackedBatch) -> Vec<[usize; 3]> {
        let positions = batch.sequences().flat_map(|sequence| 0..sequence.len());
        let ids = batch.ids().iter().zip(batch.type_ids());
        let kind = |kind: u32| if self.token_type.is_some() { kind as usize } else { 0 };
        ids.zip(positions).map(|((&id, &of), position)| [id as usize, position, kind(of)]).collect()
    }
}
