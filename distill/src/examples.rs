//! Examples as the student sees them: tokens, what is right, and what the teacher says, all where they lie on disk.

use crate::batches::{Lengths, Permutation};
use crate::labels::LabelStore;
use crate::table::Table;
use crate::task::Gold;
use crate::tokens::Encodings;
use anyhow::Result;
use ndarray::Array2;
use std::sync::Arc;
use student::PackedBatch;

/// Some rows of a table, with what is to be learnt of them.
#[derive(Clone)]
pub struct Examples {
    table: Arc<Table>,
    rows: Rows,
    /// What each of the table's labels means.
    meaning: Arc<[Gold]>,
    soft: Option<Soft>,
}

/// Which rows: four bytes for each, or none at all.
#[derive(Clone)]
enum Rows {
    All,
    These(Arc<[u32]>),
}

/// The teacher's logits: which row of a store belongs to which row of the table.
#[derive(Clone)]
struct Soft {
    store: Arc<LabelStore>,
    rows: Arc<[u32]>,
}

impl Lengths for Examples {
    fn count(&self) -> usize {
        self.len()
    }

    fn of(&self, examples: &[usize]) -> Vec<usize> {
        self.table.lengths(examples.iter().map(|&example| self.row(example)))
    }
}

/// Keeps the permutation of a control apart from those by which examples are visited.
const SHUFFLE: u64 = 0x7368_7566_666c_6564;

impl Examples {
    /// Takes all rows of a table. `meaning`: what each of its labels means, empty for a regression.
    pub fn of(table: Arc<Table>, meaning: Vec<Gold>) -> Self {
        Examples { table, rows: Rows::All, meaning: meaning.into(), soft: None }
    }

    /// Divides the examples by their keys: about `share` of them come second. Equal texts stay together.
    pub fn hold_out(self, share: f64) -> (Self, Self) {
        let limit = (share * f64::from(u32::MAX)) as u32;
        let mut is_held = vec![false; self.table.len()];
        for (row, key) in self.table.keys().iter() {
            is_held[row] = u32::from_le_bytes([key[0], key[1], key[2], key[3]]) < limit;
        }
        let part = |held: bool| {
            let rows = (0..self.len()).map(|example| self.row(example)).filter(|&row| is_held[row] == held);
            Examples { rows: Rows::These(rows.map(|row| row as u32).collect()), ..self.clone() }
        };
        (part(false), part(true))
    }

    /// Adds what a teacher said.
    ///
    /// # Errors
    /// When the store lacks some of the table's rows.
    pub fn taught_by(parts: &mut [&mut Self], store: &Arc<LabelStore>) -> Result<()> {
        let mut known: Option<(Arc<Table>, Arc<[u32]>)> = None;
        for part in parts {
            let rows = match &known {
                Some((table, rows)) if Arc::ptr_eq(table, &part.table) => Arc::clone(rows),
                _ => store.rows_of(&part.table.keys())?.into(),
            };
            known = Some((Arc::clone(&part.table), Arc::clone(&rows)));
            part.soft = Some(Soft { store: Arc::clone(store), rows });
        }
        Ok(())
    }

    /// Returns the same examples without what a teacher said.
    pub fn untaught(&self) -> Self {
        Examples { soft: None, ..self.clone() }
    }

    /// Returns the same examples, each with what a teacher said of another of them: a permutation that belongs to `seed`.
    pub fn shuffled(&self, seed: u64) -> Self {
        let Some(Soft { store, rows }) = &self.soft else { return self.clone() };
        let others = Permutation::new(self.len(), &[seed, SHUFFLE]);
        let mut shuffled = rows.to_vec();
        for example in 0..self.len() {
            shuffled[self.row(example)] = rows[self.row(others.get(example))];
        }
        Examples { soft: Some(Soft { store: Arc::clone(store), rows: shuffled.into() }), ..self.clone() }
    }

    /// Returns the same examples as they stand in the table of another tokenizer.
    ///
    /// # Errors
    /// When that was made of other bytes: the file has changed in between.
    pub fn read_from(&self, table: &Arc<Table>) -> Result<Self> {
        self.table.check_same_data(table)?;
        Ok(Examples { table: Arc::clone(table), ..self.clone() })
    }

    /// Returns the number of examples.
    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::All => self.table.len(),
            Rows::These(rows) => rows.len(),
        }
    }

    /// Says whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the table.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Returns the number of tokens of an example.
    pub fn length(&self, example: usize) -> usize {
        self.table.length(self.row(example))
    }

    /// Returns the label of an example.
    pub fn gold(&self, example: usize) -> Gold {
        self.table.gold(self.row(example), &self.meaning)
    }

    /// Returns the label of every example.
    pub fn golds(&self) -> Vec<Gold> {
        (0..self.len()).map(|example| self.gold(example)).collect()
    }

    /// Returns the number of examples with a label.
    pub fn num_labelled(&self) -> usize {
        (0..self.len()).filter(|&example| self.gold(example) != Gold::Missing).count()
    }

    /// Returns the tokens of the chosen examples.
    pub fn encodings(&self, examples: impl IntoIterator<Item = usize>) -> Encodings {
        let mut encodings = Encodings::default();
        examples.into_iter().for_each(|example| self.table.encode_into(self.row(example), &mut encodings));
        encodings
    }

    /// Packs the chosen examples.
    pub fn pack(&self, examples: &[usize]) -> PackedBatch {
        self.encodings(examples.iter().copied()).pack(0..examples.len())
    }

    /// Says whether a teacher was asked.
    pub fn is_taught(&self) -> bool {
        self.soft.is_some()
    }

    /// Returns the teacher's logits of the chosen examples, [chosen, C], if a teacher was asked.
    pub fn soft(&self, examples: impl ExactSizeIterator<Item = usize>) -> Option<Array2<f32>> {
        let Soft { store, rows } = self.soft.as_ref()?;
        let mut logits = Array2::zeros((examples.len(), store.num_classes()));
        for (mut into, example) in logits.rows_mut().into_iter().zip(examples) {
            let from = store.logits(rows[self.row(example)]);
            into.iter_mut().zip(from).for_each(|(into, from)| *into = from);
        }
        Some(logits)
    }

    /// Returns what the chosen examples are to be: the teacher's logits and the labels.
    pub fn targets(&self, examples: &[usize]) -> (Option<Array2<f32>>, Vec<Gold>) {
        (self.soft(examples.iter().copied()), examples.iter().map(|&example| self.gold(example)).collect())
    }

    /// Chooses at most `most` examples that lie evenly in the data.
    pub fn spread(&self, most: usize) -> impl ExactSizeIterator<Item = usize> {
        (0..self.len()).step_by(self.len().div_ceil(most).max(1))
    }

    /// Returns the row of the table, and so of the data, that an example is.
    pub fn row(&self, example: usize) -> usize {
        match &self.rows {
            Rows::All => example,
            Rows::These(rows) => rows[example] as usize,
        }
    }
}
