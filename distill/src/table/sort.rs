//! Sorting keys without holding them: runs that fit into memory are sorted and written, and merged in the end.

use super::writer::scratch;
use crate::labels::Key;
use anyhow::{Context, Result};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The records of a run: 20 MiB.
const RUN_RECORDS: usize = 1 << 20;
/// The bytes of each run that are held while runs are merged: at most 2³² rows make 4,096 runs, and 80 MB.
const PIECE_BYTES: usize = 1000 * size_of::<Record>();

/// A key, and the row it belongs to with its highest byte first: in the order of bytes, records are in the order of keys,
/// and of equal ones in that of rows.
type Record = [u8; size_of::<Key>() + 4];

/// Keys and their rows, to be sorted.
pub(super) struct Sorter {
    run: Vec<Record>,
    run_records: usize,
    /// The runs that were written, one after the other, and where each of them ends.
    written: Option<File>,
    ends: Vec<u64>,
    folder: PathBuf,
}

/// A run that is read back.
struct Run {
    at: u64,
    end: u64,
    piece: Vec<u8>,
    used: usize,
}

impl Sorter {
    pub fn new(folder: &Path) -> Self {
        Sorter::with_runs_of(RUN_RECORDS, folder)
    }

    fn with_runs_of(run_records: usize, folder: &Path) -> Self {
        Sorter { run: Vec::new(), run_records, written: None, ends: Vec::new(), folder: folder.to_owned() }
    }

    /// Adds a key.
    pub fn push(&mut self, key: &Key, row: u32) -> Result<()> {
        let mut record = Record::default();
        let (first, last) = record.split_at_mut(size_of::<Key>());
        first.copy_from_slice(key);
        last.copy_from_slice(&row.to_be_bytes());
        self.run.push(record);
        if self.run.len() == self.run_records {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        self.run.sort_unstable();
        if self.written.is_none() {
            self.written = Some(scratch(&self.folder)?);
        }
        if let Some(file) = &mut self.written {
            file.write_all(self.run.as_flattened()).context("cannot write a temporary file")?;
        }
        let end = self.ends.last().copied().unwrap_or(0) + self.run.as_flattened().len() as u64;
        self.ends.push(end);
        self.run.clear();
        Ok(())
    }

    /// Hands on all keys with their rows, in their order.
    pub fn merge(mut self, sink: &mut dyn FnMut(&Key, u32) -> io::Result<()>) -> io::Result<()> {
        self.run.sort_unstable();
        let mut hand_on = |record: &Record| {
            let (key, row) = (record.first_chunk(), record.last_chunk());
            match (key, row) {
                (Some(key), Some(row)) => sink(key, u32::from_be_bytes(*row)),
                _ => Ok(()),
            }
        };
        let Some(mut file) = self.written else { return self.run.iter().try_for_each(hand_on) };
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let mut runs: Vec<Run> = starts.zip(&self.ends).map(|(at, &end)| Run::new(at, end)).collect();
        let mut last = self.run.iter().copied();
        let mut next = |run: usize, file: &mut File| match runs.get_mut(run) {
            Some(run) => run.next(file),
            None => Ok(last.next()),
        };
        let mut heads = BinaryHeap::new();
        for run in 0..=self.ends.len() {
            heads.extend(next(run, &mut file)?.map(|record| Reverse((record, run))));
        }
        while let Some(Reverse((record, run))) = heads.pop() {
            hand_on(&record)?;
            heads.extend(next(run, &mut file)?.map(|record| Reverse((record, run))));
        }
        Ok(())
    }
}

impl Run {
    fn new(at: u64, end: u64) -> Self {
        Run { at, end, piece: Vec::new(), used: 0 }
    }

    fn next(&mut self, file: &mut File) -> io::Result<Option<Record>> {
        if self.used == self.piece.len() {
            let size = (self.end - self.at).min(PIECE_BYTES as u64);
            self.piece.resize(size as usize, 0);
            file.seek(SeekFrom::Start(self.at))?;
            file.read_exact(&mut self.piece)?;
            self.at += size;
            self.used = 0;
        }
        let record = self.piece[self.used..].first_chunk().copied();
        self.used += record.map_or(0, |record: Record| record.len());
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_of_any_size_sort_as_one(
            keys in prop::collection::vec(0_u8..6, 0..80),
            run_records in 1_usize..100,
        ) {
            let mut sorter = Sorter::with_runs_of(run_records, &std::env::temp_dir());
            let keys: Vec<(Key, u32)> = keys.into_iter().map(|key| [key; 16]).zip(0..).collect();
            keys.iter().try_for_each(|(key, row)| sorter.push(key, *row)).unwrap();
            let mut found = Vec::new();
            sorter.merge(&mut |key, row| {
                found.push((*key, row));
                Ok(())
            }).unwrap();
            let mut expected = keys;
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn runs_longer_than_a_piece_are_read_on() {
        let mut sorter = Sorter::with_runs_of(2500, &std::env::temp_dir());
        let key = |row: u32| [(row * 7919 % 251) as u8; 16];
        (0..10_001).for_each(|row| sorter.push(&key(row), row).unwrap());
        let mut last = None;
        let mut count = 0;
        sorter
            .merge(&mut |found, row| {
                assert_eq!(*found, key(row));
                assert!(last.replace((*found, row)).is_none_or(|last| last < (*found, row)));
                count += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(count, 10_001);
    }
}
