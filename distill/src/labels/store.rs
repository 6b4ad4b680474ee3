//! The store on disk: written whole, read where it lies.

use super::rows::{Merged, Rows};
use super::{Key, Provenance, SortedKeys};
use crate::error::explained;
use crate::tensors::{self, Contents, Tensor};
use anyhow::{Context, Result};
use ndarray::Array2;
use safetensors::tensor::Dtype;
use std::fmt;
use std::io::Write;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use student::files::{map, write_atomically};

const LOGITS: &str = "logits";
const KEYS: &str = "keys";

/// A file of raw teacher logits, mapped into memory: opening it reads it once, looking up reads a few pages.
pub struct LabelStore {
    path: PathBuf,
    bytes: Box<dyn Deref<Target = [u8]> + Send + Sync>,
    layout: Layout,
}

/// Where the tensors lie in the file.
struct Layout {
    keys: Range<usize>,
    logits: Range<usize>,
    num_classes: usize,
}

impl LabelStore {
    /// Opens a store and checks all of it.
    ///
    /// # Errors
    /// When there is no store, when it holds the logits of another teacher, tokenizer, length or list of labels, which the
    /// message names, or when it is damaged: not in strictly increasing order of its keys, or with a logit that is not
    /// finite.
    pub fn read(path: &Path, provenance: &Provenance) -> Result<Self> {
        if !path.exists() {
            return Err(explained(
                format!("there are no labels at `{}`", path.display()),
                "write them with `distill label`",
            ));
        }
        let bytes = map(path)?;
        let (layout, found) = parse(&bytes).map_err(|reason| damaged(path, &reason))?;
        let differences = provenance.differences(&found);
        if !differences.is_empty() {
            return Err(explained(
                format!("`{}` holds the labels of another run: {differences}", path.display()),
                "give another file with `--cache` (`--out` of `distill label`), or delete this one to label again",
            ));
        }
        let store = LabelStore { path: path.to_owned(), bytes: Box::new(bytes), layout };
        if let Some(row) = store.rows().first_out_of_order() {
            return Err(damaged(path, &format!("the key of row {row} is not above the one before it")));
        }
        if let Some(row) = store.rows().first_not_finite() {
            return Err(damaged(path, &format!("a logit of row {row} is not a finite number")));
        }
        Ok(store)
    }

    /// Returns the logits of an example, `[C]`.
    pub fn get(&self, key: &Key) -> Option<impl ExactSizeIterator<Item = f32> + '_> {
        let rows = self.rows();
        let row = rows.keys.binary_search(key).ok()?;
        Some(rows.logits(row).iter().map(|&bytes| f32::from_le_bytes(bytes)))
    }

    /// Returns the logits of many examples in their order, [keys, C].
    ///
    /// # Errors
    /// When the store lacks some of them.
    pub fn logits_for(&self, keys: &[Key]) -> Result<Array2<f32>> {
        let mut logits = Array2::zeros((keys.len(), self.num_classes()));
        let mut missing = Vec::new();
        for (index, (mut row, key)) in logits.rows_mut().into_iter().zip(keys).enumerate() {
            match self.get(key) {
                Some(found) => row.iter_mut().zip(found).for_each(|(logit, found)| *logit = found),
                None => missing.push(index),
            }
        }
        match missing.first() {
            None => Ok(logits),
            Some(&first) => Err(self.lacks(missing.len(), keys.len(), first)),
        }
    }

    fn lacks(&self, missing: usize, all: usize, first: usize) -> anyhow::Error {
        explained(
            format!(
                "`{}` lacks the labels of {missing} of {all} examples; the first is number {first}, counted from 0",
                self.path.display(),
            ),
            "add them with `distill label` on the same data",
        )
    }

    /// Returns which row holds the logits of each of a file's examples, in one pass over both.
    ///
    /// # Errors
    /// When the store lacks some of them, or has more rows than 32 bits count.
    pub fn rows_of(&self, keys: &SortedKeys<'_>) -> Result<Vec<u32>> {
        u32::try_from(self.len()).context("there are more labels than can be counted")?;
        let stored = self.rows().keys;
        let mut rows = vec![0; keys.len()];
        let (mut row, mut missing, mut first) = (0, 0, usize::MAX);
        for (index, key) in keys.iter() {
            while stored.get(row).is_some_and(|stored| stored < key) {
                row += 1;
            }
            if stored.get(row) == Some(key) {
                rows[index] = row as u32;
            } else {
                (missing, first) = (missing + 1, first.min(index));
            }
        }
        if missing == 0 { Ok(rows) } else { Err(self.lacks(missing, keys.len(), first)) }
    }

    /// Returns the logits in a row, `[C]`.
    pub fn logits(&self, row: u32) -> impl ExactSizeIterator<Item = f32> + '_ {
        self.rows().logits(row as usize).iter().map(|&bytes| f32::from_le_bytes(bytes))
    }

    /// Returns the number of labelled examples, n.
    pub fn len(&self) -> usize {
        self.rows().keys.len()
    }

    /// Says whether no example is labelled.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of logits of an example, C.
    pub fn num_classes(&self) -> usize {
        self.layout.num_classes
    }

    /// Returns where the store lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        let Layout { keys, logits, num_classes } = &self.layout;
        Rows::new(&self.bytes[keys.clone()], &self.bytes[logits.clone()], *num_classes)
    }
}

impl fmt::Debug for LabelStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LabelStore({}, {} x {})", self.path.display(), self.len(), self.num_classes())
    }
}

/// Writes a store row by row, without ever holding it in memory.
///
/// # Errors
/// When the folder or the disk fails; an older store is then untouched.
pub(super) fn write(path: &Path, provenance: &Provenance, rows: &Merged<'_>) -> Result<()> {
    let header = header(provenance, rows.len())?;
    write_atomically(path, |file| {
        file.write_all(&header)?;
        rows.logits().try_for_each(|logits| file.write_all(logits.as_flattened()))?;
        rows.keys().try_for_each(|key| file.write_all(key))
    })?;
    Ok(())
}

/// Returns all that comes before the tensors in the file.
fn header(provenance: &Provenance, num_rows: usize) -> Result<Vec<u8>> {
    let tensor =
        |name: &str, dtype, width| Tensor { name: name.to_owned(), dtype, shape: vec![num_rows, width] };
    let logits = tensor(LOGITS, Dtype::F32, provenance.num_classes());
    tensors::header(&provenance.to_json(), vec![logits, tensor(KEYS, Dtype::U8, size_of::<Key>())])
}

/// Finds the tensors and their provenance; the error is the reason why there are none.
fn parse(bytes: &[u8]) -> Result<(Layout, Provenance), String> {
    let contents = Contents::of(bytes)?;
    let json = contents.says().ok_or("its header does not say where its labels come from")?;
    let provenance = Provenance::from_json(json)?;
    let find = |name: &str, dtype: Dtype, width: usize| match contents.find(name)? {
        (found, &[num_rows, columns], place) if found == dtype && columns == width => Ok((num_rows, place)),
        (found, shape, _) => Err(format!("`{name}` is {found:?} {shape:?}, not {dtype:?} [n, {width}]")),
    };
    let num_classes = provenance.num_classes();
    let (num_logits, logits) = find(LOGITS, Dtype::F32, num_classes)?;
    let (num_keys, keys) = find(KEYS, Dtype::U8, size_of::<Key>())?;
    if num_logits != num_keys {
        return Err(format!("it has {num_keys} keys and {num_logits} rows of logits"));
    }
    Ok((Layout { keys, logits, num_classes }, provenance))
}

fn damaged(path: &Path, reason: &str) -> anyhow::Error {
    explained(
        format!("`{}` is not a valid file of labels: {reason}", path.display()),
        "delete it to label again, or give another file with `--cache` (`--out` of `distill label`)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;
    use crate::labels::sample::{Sample, opinion};
    use safetensors::tensor::TensorView;
    use std::collections::HashMap;

    const PROVENANCE: &str = "distill";

    /// Returns the message of opening these bytes as a store.
    fn refusal(sample: &Sample, bytes: &[u8]) -> String {
        let path = sample.folder.path().join("damaged.safetensors");
        std::fs::write(&path, bytes).unwrap();
        let error = LabelStore::read(&path, &sample.provenance).unwrap_err();
        assert!(hint_of(&error).is_some(), "{error}");
        error.to_string()
    }

    #[test]
    fn a_store_has_the_bytes_that_the_format_prescribes() {
        let sample = Sample::new(9);
        sample.label();
        let mut keys = sample.keys.clone();
        keys.sort();
        let logits: Vec<u8> = keys.iter().flat_map(opinion).flat_map(f32::to_le_bytes).collect();
        let tensors = [
            (LOGITS, TensorView::new(Dtype::F32, vec![9, 3], &logits).unwrap()),
            (KEYS, TensorView::new(Dtype::U8, vec![9, 16], keys.as_flattened()).unwrap()),
        ];
        let metadata = HashMap::from([(PROVENANCE.to_owned(), sample.provenance.to_json())]);
        assert!(sample.bytes() == safetensors::serialize(tensors, Some(metadata)).unwrap());
    }

    #[test]
    fn examples_without_labels_are_counted_and_the_first_is_named() {
        let mut sample = Sample::new(6);
        let all = std::mem::take(&mut sample.keys);
        sample.keys = all[..4].to_vec();
        let store = sample.label();
        assert!(store.get(&all[3]).unwrap().eq(opinion(&all[3])));
        assert!(store.get(&all[4]).is_none());
        let asked = [all[1], all[5], all[0], all[4]];
        let rows = store.rows_of(&SortedKeys::of(&[all[1], all[3], all[1]])).unwrap();
        assert!(
            rows.iter()
                .flat_map(|&row| store.logits(row))
                .eq([1, 3, 1].iter().flat_map(|&i| opinion(&all[i])))
        );
        let error = store.rows_of(&SortedKeys::of(&asked)).unwrap_err();
        assert_eq!(error.to_string(), store.logits_for(&asked).unwrap_err().to_string());
        let message = error.to_string();
        assert!(
            message.ends_with("lacks the labels of 2 of 4 examples; the first is number 1, counted from 0"),
            "{message}"
        );
        assert!(hint_of(&error).unwrap().contains("distill label"));
    }

    #[test]
    fn labels_of_another_run_are_refused() {
        let mut sample = Sample::new(2);
        sample.label();
        sample.provenance.max_length = 64;
        let message = refusal(&sample, &sample.bytes());
        assert!(
            message.ends_with("holds the labels of another run: max_length `128` instead of `64`"),
            "{message}"
        );
        let error = LabelStore::read(&sample.folder.path().join("none"), &sample.provenance).unwrap_err();
        assert!(error.to_string().starts_with("there are no labels at"));
    }

    #[test]
    fn a_truncated_or_altered_file_is_an_error_or_a_store_but_no_panic() {
        let sample = Sample::new(2);
        sample.label();
        let whole = sample.bytes();
        for end in 0..whole.len() {
            refusal(&sample, &whole[..end]);
        }
        let path = sample.folder.path().join("altered.safetensors");
        for (at, flip) in (0..whole.len()).flat_map(|at| [1, 4, 0x80].map(|flip| (at, flip))) {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(store) = LabelStore::read(&path, &sample.provenance) {
                let _ = (store.len(), store.logits_for(&sample.keys));
            }
        }
    }

    /// The parts of a file with three rows.
    struct Parts {
        keys: (Dtype, [u8; 3]),
        logits: (Vec<usize>, Vec<f32>),
        metadata: (&'static str, String),
    }

    impl Parts {
        fn bytes(&self) -> Vec<u8> {
            let keys = self.keys.1.map(|byte| [byte; 16]);
            let logits: Vec<u8> = self.logits.1.iter().flat_map(|logit| logit.to_le_bytes()).collect();
            let tensors = [
                (LOGITS, TensorView::new(Dtype::F32, self.logits.0.clone(), &logits).unwrap()),
                (KEYS, TensorView::new(self.keys.0, vec![3, 16], keys.as_flattened()).unwrap()),
            ];
            let metadata = HashMap::from([(self.metadata.0.to_owned(), self.metadata.1.clone())]);
            safetensors::serialize(tensors, Some(metadata)).unwrap()
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let sample = Sample::new(0);
        type Damage = fn(&mut Parts);
        let cases: [(Damage, &str); 10] = [
            (|parts| parts.keys.1 = [1, 2, 2], "the key of row 2 is not above the one before it"),
            (|parts| parts.keys.1 = [4, 2, 3], "the key of row 1 is not above the one before it"),
            (|parts| parts.keys.0 = Dtype::I8, "`keys` is I8 [3, 16], not U8 [n, 16]"),
            (|parts| parts.logits.1[4] = f32::NAN, "a logit of row 1 is not a finite number"),
            (|parts| parts.logits.1[8] = f32::INFINITY, "a logit of row 2 is not a finite number"),
            (|parts| parts.logits = (vec![2, 3], vec![0.0; 6]), "it has 3 keys and 2 rows of logits"),
            (|parts| parts.logits.0 = vec![9, 1], "`logits` is F32 [9, 1], not F32 [n, 3]"),
            (|parts| parts.logits.0 = vec![9], "`logits` is F32 [9], not F32 [n, 3]"),
            (|parts| parts.metadata.0 = "format", "its header does not say where its labels come from"),
            (|parts| parts.metadata.1 = "{\"version\":2}".into(), "its format version is 2, not 1"),
        ];
        let refused = |bytes: &[u8], reason: &str| {
            let message = refusal(&sample, bytes);
            assert!(message.ends_with(&format!("is not a valid file of labels: {reason}")), "{message}");
        };
        for (damage, reason) in cases {
            let mut parts = Parts {
                keys: (Dtype::U8, [1, 2, 3]),
                logits: (vec![3, 3], vec![1.0; 9]),
                metadata: (PROVENANCE, sample.provenance.to_json()),
            };
            damage(&mut parts);
            refused(&parts.bytes(), reason);
        }
        refused(&u64::MAX.to_le_bytes(), "header too large");
        refused(&[], "header too small");
    }
}
