//! AdamW that puts off the updates of table rows until something reads them.
//!
//! A batch reads a few hundred of the thirty thousand rows of a word table, yet every row decays and moves on by its
//! momentum in every update. A row that nobody reads can do so later: its gradient was zero, and what else the missed
//! updates need is a handful of numbers each. Replayed one by one they give the bits of [`AdamW`], whenever that is.

use super::{AdamW, AdamWStep};
use crate::kernels;
use crate::{Arena, Layout, Real, Slot};

/// Updates that are kept for the rows that lack them; after so many, every row is brought up to date. The work is the
/// same for any number; a small one keeps the history in the cache, and the pause short.
const LONGEST_HISTORY: usize = 256;

/// [`AdamW`], put off for the rows of the layout's table that are not read.
pub struct LazyAdamW<F = f32> {
    state: AdamW<F>,
    table: Option<Slot<2>>,
    /// The updates that some row may lack, the oldest first.
    history: Vec<kernels::AdamWStep<F>>,
    /// How many of them each row has made.
    made: Vec<usize>,
    /// The rows that may have a gradient.
    touched: Vec<u32>,
}

impl<F: Real> LazyAdamW<F> {
    /// Goes on from a state in which nothing has been put off, and with no gradient.
    pub fn new(layout: &Layout, state: AdamW<F>) -> Self {
        let table = layout.table();
        let made = vec![0; table.map_or(0, |table| table.shape()[0])];
        LazyAdamW { state, table, history: Vec::new(), made, touched: Vec::new() }
    }

    /// Brings the table's rows with these numbers up to date, so that they can be read.
    pub fn refresh(&mut self, params: &mut Arena<F>, ids: &[u32]) {
        let mut rows: Vec<u32> = ids.iter().copied().filter(|&id| self.lacks_updates(id)).collect();
        rows.sort_unstable();
        rows.dedup();
        self.replay(params, &rows);
    }

    /// As [`LazyAdamW::refresh`], and takes note that these rows may have a gradient in the next update. All others have
    /// none.
    pub fn touch(&mut self, params: &mut Arena<F>, ids: &[u32]) {
        self.refresh(params, ids);
        if self.table.is_some() {
            self.touched.extend(ids);
        }
    }

    /// Brings every row up to date, and returns what [`AdamW`] would hold now.
    pub fn settle(&mut self, params: &mut Arena<F>) -> &AdamW<F> {
        let rows: Vec<u32> = (0..).take(self.made.len()).filter(|&row| self.lacks_updates(row)).collect();
        self.replay(params, &rows);
        self.history.clear();
        self.made.fill(0);
        &self.state
    }

    /// Does what [`AdamW::update`] does, except for table rows that were not touched since the last update.
    pub fn update(
        &mut self,
        layout: &Layout,
        params: &mut Arena<F>,
        grads: &mut Arena<F>,
        settings: &AdamWStep,
    ) -> f64 {
        self.touched.sort_unstable();
        self.touched.dedup();
        let (norm, step) = self.state.update_rows(layout, params, grads, settings, &self.touched);
        if let Some(step) = step {
            self.history.push(step);
            self.touched.iter().for_each(|&row| self.made[row as usize] = self.history.len());
            if self.history.len() == LONGEST_HISTORY {
                self.settle(params);
            }
        }
        self.touched.clear();
        norm
    }

    fn lacks_updates(&self, row: u32) -> bool {
        self.made.get(row as usize).is_some_and(|&made| made < self.history.len())
    }

    /// Makes the updates that these rows lack.
    fn replay(&mut self, params: &mut Arena<F>, rows: &[u32]) {
        let Some(table) = self.table.filter(|_| !rows.is_empty()) else { return };
        let at = self.state.moments(params, table.range());
        let (history, made) = (&self.history, &self.made);
        kernels::replay_rows(at, table.shape()[1], rows, |i| &history[made[rows[i] as usize]..]);
        rows.iter().for_each(|&row| self.made[row as usize] = self.history.len());
    }
}
