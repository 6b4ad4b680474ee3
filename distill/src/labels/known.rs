//! What is already labelled: in the store, in shards beside it, and in the journal of a run that was stopped.

use super::journal::Records;
use super::rows::Merged;
use super::{LabelStore, Request, shard};
use anyhow::Result;
use std::path::Path;

/// All that a run finds labelled when it begins.
pub(super) struct Known {
    /// What the run's own file holds, or will: a run without a shard takes in all others.
    own: Vec<LabelStore>,
    /// What only saves the run work.
    others: Vec<LabelStore>,
    journal: Option<Records>,
}

impl Known {
    /// Opens all stores that belong to the request.
    ///
    /// # Errors
    /// When one of them is damaged or of another provenance.
    pub fn gather(request: &Request<'_>) -> Result<Self> {
        let mut paths = vec![request.path.to_owned()];
        paths.extend(shard::beside(request.path)?);
        let target = request.target();
        let mut known = Known { own: Vec::new(), others: Vec::new(), journal: None };
        for path in paths.into_iter().filter(|path| path.exists()) {
            let store = LabelStore::read(&path, request.provenance)?;
            let is_own = request.shard.is_none() || path == target;
            if is_own { known.own.push(store) } else { known.others.push(store) }
        }
        Ok(known)
    }

    /// Takes in what is in a journal, in the place of an earlier one.
    pub fn with(self, journal: Option<Records>) -> Self {
        Known { journal, ..self }
    }

    /// Returns the rows that the run's file is to hold.
    ///
    /// # Errors
    /// When there are more than can be merged.
    pub fn own(&self) -> Result<Merged<'_>> {
        let journal = self.journal.iter().flat_map(Records::rows);
        Merged::new(self.own.iter().map(LabelStore::rows).chain(journal).collect())
    }

    /// Returns the run's file, if it already holds all that it is to hold.
    ///
    /// # Errors
    /// When there are more rows than can be merged.
    pub fn into_whole(self, target: &Path) -> Result<Option<LabelStore>> {
        let num_rows = self.own()?.len();
        Ok(self.own.into_iter().find(|store| store.path() == target && store.len() == num_rows))
    }

    /// Returns those of the wanted examples that are labelled nowhere.
    ///
    /// # Errors
    /// When there are more rows than can be merged.
    pub fn lacking(&self, request: &Request<'_>) -> Result<Lacking> {
        let journal = self.journal.iter().flat_map(Records::rows);
        let all = self.own.iter().chain(&self.others).map(LabelStore::rows).chain(journal);
        let all = Merged::new(all.collect())?;
        let mut known = all.keys().peekable();
        let mut lacking = Lacking { marks: vec![false; request.keys.len()], wanted: 0, missing: 0 };
        for (index, key) in request.wanted() {
            while known.next_if(|known| *known < key).is_some() {}
            lacking.marks[index] = known.peek().is_none_or(|known| *known != key);
            lacking.missing += usize::from(lacking.marks[index]);
            lacking.wanted += 1;
        }
        Ok(lacking)
    }
}

/// What is still to be labelled: a mark for each example, so that there may be millions.
pub(super) struct Lacking {
    marks: Vec<bool>,
    /// The distinct examples that are asked for.
    pub wanted: usize,
    /// Those of them that are labelled nowhere.
    pub missing: usize,
}

impl Lacking {
    /// Returns the examples that are labelled nowhere, in the order of the data, at most `size` at a time.
    pub fn chunks(&self, size: usize) -> impl Iterator<Item = Vec<usize>> {
        let mut missing = (0..self.marks.len()).filter(|&index| self.marks[index]);
        std::iter::from_fn(move || {
            let chunk: Vec<usize> = missing.by_ref().take(size).collect();
            (!chunk.is_empty()).then_some(chunk)
        })
    }
}
