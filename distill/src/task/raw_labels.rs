//! The labels of a file as they stand there, before anything is known of what they mean.

use crate::data::error_at;
use anyhow::Result;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The different labels of a file, in the order in which they first come, each with the line of that.
#[derive(Clone, Debug)]
pub struct RawLabels {
    path: PathBuf,
    found: Vec<(String, usize)>,
    index: HashMap<String, usize>,
}

impl RawLabels {
    /// The most different labels that a file of classes may have.
    pub const MOST: usize = 65_535;

    /// Starts with no label. `path`: the file, for messages.
    pub fn new(path: PathBuf) -> Self {
        RawLabels { path, found: Vec::new(), index: HashMap::new() }
    }

    /// Takes a label, with its line, in; returns its place among the different ones.
    ///
    /// # Errors
    ///
    /// There are more than 65,535 different ones: classes are fewer.
    pub fn take(&mut self, label: &str, line: usize) -> Result<usize> {
        if let Some(index) = self.index.get(label) {
            return Ok(*index);
        }
        let index = self.found.len();
        if index == Self::MOST {
            return Err(error_at(
                &self.path,
                line,
                format!("there are more than {} different labels", Self::MOST),
                "choose the column of the labels with `--label`; for numbers choose `--task regression`",
            ));
        }
        self.index.insert(label.to_owned(), index);
        self.found.push((label.to_owned(), line));
        Ok(index)
    }

    /// Returns the different labels with their lines.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, usize)> {
        self.found.iter().map(|(label, line)| (label.as_str(), *line))
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;

    #[test]
    fn labels_are_told_apart_and_remember_where_they_first_were() {
        let mut raw = RawLabels::new("train.tsv".into());
        let places =
            [("b", 2), ("a", 3), ("b", 4), ("B", 5)].map(|(label, line)| raw.take(label, line).unwrap());
        assert_eq!(places, [0, 1, 0, 2]);
        assert!(raw.iter().eq([("b", 2), ("a", 3), ("B", 5)]));
    }

    #[test]
    fn a_column_in_which_everything_differs_is_no_label() {
        let mut raw = RawLabels::new("train.tsv".into());
        for label in 0..RawLabels::MOST {
            raw.take(&label.to_string(), label + 2).unwrap();
        }
        let error = raw.take("another", 65_537).unwrap_err();
        assert!(error.to_string().starts_with("train.tsv:65537: there are more than 65535"), "{error}");
        assert!(hint_of(&error).unwrap().contains("--label"));
    }
}
