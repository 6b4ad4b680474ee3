//! Encoded texts in memory: what goes into a model at once.

use student::PackedBatch;

/// Encoded texts, packed one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encodings {
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    ends: Vec<usize>,
}

impl Encodings {
    /// Returns the number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Says whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the token ids and the segments of a text.
    pub fn get(&self, text: usize) -> (&[u32], &[u32]) {
        let start = if text == 0 { 0 } else { self.ends[text - 1] };
        let range = start..self.ends[text];
        (&self.ids[range.clone()], &self.type_ids[range])
    }

    /// Returns the number of tokens of each text.
    pub fn lengths(&self) -> Vec<usize> {
        (0..self.len()).map(|text| self.get(text).0.len()).collect()
    }

    /// Packs the chosen texts for a student.
    pub fn pack(&self, texts: impl IntoIterator<Item = usize>) -> PackedBatch {
        PackedBatch::pack(texts.into_iter().map(|text| self.get(text)))
    }

    /// Adds a text of these tokens, which are as many as their segments.
    pub fn push(&mut self, ids: impl IntoIterator<Item = u32>, type_ids: impl IntoIterator<Item = u32>) {
        self.ids.extend(ids);
        self.type_ids.extend(type_ids);
        assert_eq!(self.ids.len(), self.type_ids.len(), "every token has a segment");
        self.ends.push(self.ids.len());
    }

    /// Adds the texts of another.
    pub(super) fn append(&mut self, other: Encodings) {
        let before = self.ids.len();
        self.ids.extend(other.ids);
        self.type_ids.extend(other.type_ids);
        self.ends.extend(other.ends.into_iter().map(|end| before + end));
    }
}
