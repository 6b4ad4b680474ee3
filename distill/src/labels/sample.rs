//! Examples, a teacher and a folder, for the tests beside.

use super::{Key, Keys, LabelStore, Provenance, Request, SortedKeys, key, label};
use anyhow::Result;
use ndarray::Array2;
use std::path::PathBuf;
use tempfile::TempDir;

/// A data set of distinct examples, about to be labelled.
pub struct Sample {
    pub folder: TempDir,
    pub path: PathBuf,
    pub provenance: Provenance,
    pub keys: Vec<Key>,
}

impl Sample {
    pub fn new(num_examples: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Sample {
            path: folder.path().join("labels.safetensors"),
            folder,
            provenance: provenance(),
            keys: (0..num_examples).map(|number| key(&format!("text {number}"), None)).collect(),
        }
    }

    pub fn request(&self) -> Request<'_> {
        Request {
            path: &self.path,
            provenance: &self.provenance,
            keys: Keys::new(vec![SortedKeys::of(&self.keys)]),
            shard: None,
        }
    }

    pub fn shard(&self, shard: &str) -> Request<'_> {
        Request { shard: Some(shard.parse().unwrap()), ..self.request() }
    }

    pub fn label(&self) -> LabelStore {
        label(&self.request(), &mut teacher(&self.keys)).unwrap()
    }

    /// Returns the store's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap()
    }

    /// Returns the names of the files in the folder, sorted.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub fn provenance() -> Provenance {
    Provenance {
        teacher: "7ea".repeat(21) + "c",
        tokenizer: "70c".repeat(21) + "e",
        max_length: 128,
        labels: ["negative", "neutral", "positive"].map(String::from).to_vec(),
    }
}

/// Returns what the teacher says about an example, which depends on nothing but the example.
pub fn opinion(key: &Key) -> [f32; 3] {
    [0, 1, 2].map(|class| f32::from(key[class]) / 7.0 - 18.0)
}

/// Returns a teacher of the examples with these keys.
pub fn teacher(keys: &[Key]) -> impl FnMut(&[usize]) -> Result<Array2<f32>> {
    |chosen| Ok(Array2::from_shape_fn((chosen.len(), 3), |(row, class)| opinion(&keys[chosen[row]])[class]))
}
