//! Rows of keys and logits as they lie in mapped files, and how rows of several files become one sorted list.

use super::Key;
use anyhow::{Context, Result};

/// Keys and logits side by side. Shapes: `keys` [n, 16], `logits` [n, C].
///
/// Numbers stay bytes until they are asked for: a file may put them at any address.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub keys: &'a [Key],
    logits: &'a [[u8; 4]],
    num_classes: usize,
}

impl<'a> Rows<'a> {
    /// Views bytes as rows, which they must be in number.
    pub fn new(keys: &'a [u8], logits: &'a [u8], num_classes: usize) -> Self {
        let (keys, logits) = (keys.as_chunks().0, logits.as_chunks().0);
        assert_eq!(logits.len(), keys.len() * num_classes, "every key has its logits");
        Rows { keys, logits, num_classes }
    }

    /// Returns the C logits of a row, as little-endian bytes.
    pub fn logits(&self, row: usize) -> &'a [[u8; 4]] {
        &self.logits[row * self.num_classes..][..self.num_classes]
    }

    /// Returns the first row with a logit that is infinite or not a number.
    pub fn first_not_finite(&self) -> Option<usize> {
        let at = self.logits.iter().position(|&bytes| !f32::from_le_bytes(bytes).is_finite())?;
        Some(at / self.num_classes)
    }

    /// Returns the first row whose key is not above the one before it.
    pub fn first_out_of_order(&self) -> Option<usize> {
        self.keys.windows(2).position(|pair| pair[0] >= pair[1]).map(|row| row + 1)
    }
}

/// The distinct rows of several sources in the order of their keys: eight bytes for each row, the rest stays on disk.
pub(super) struct Merged<'a> {
    sources: Vec<Rows<'a>>,
    /// Nothing where the only source is already in order.
    places: Option<Vec<Place>>,
}

#[derive(Clone, Copy)]
struct Place {
    source: u32,
    row: u32,
}

impl<'a> Merged<'a> {
    /// Merges sources; of rows with the same key, the first source's counts.
    pub fn new(sources: Vec<Rows<'a>>) -> Result<Self> {
        if let [only] = sources[..]
            && only.first_out_of_order().is_none()
        {
            return Ok(Merged { sources, places: None });
        }
        let num_rows = sources.iter().map(|rows| rows.keys.len()).sum();
        let mut places = Vec::with_capacity(num_rows);
        for (source, rows) in sources.iter().enumerate() {
            let source =
                u32::try_from(source).context("there are more sources of labels than can be merged")?;
            let num_rows =
                u32::try_from(rows.keys.len()).context("there are more labels than can be merged")?;
            places.extend((0..num_rows).map(|row| Place { source, row }));
        }
        let key = |place: &Place| &sources[place.source as usize].keys[place.row as usize];
        // Stable, and quick to find that most of its input is already in order.
        places.sort_by(|a, b| key(a).cmp(key(b)));
        places.dedup_by(|a, b| key(a) == key(b));
        Ok(Merged { sources, places: Some(places) })
    }

    /// Returns the number of distinct rows.
    pub fn len(&self) -> usize {
        match &self.places {
            Some(places) => places.len(),
            None => self.sources[0].keys.len(),
        }
    }

    /// Returns the keys, increasing.
    pub fn keys(&self) -> impl Iterator<Item = &'a Key> {
        self.places().map(|(source, row)| &source.keys[row])
    }

    /// Returns the logits of each key, as little-endian bytes.
    pub fn logits(&self) -> impl Iterator<Item = &'a [[u8; 4]]> {
        self.places().map(|(source, row)| source.logits(row))
    }

    fn places(&self) -> impl Iterator<Item = (Rows<'a>, usize)> {
        (0..self.len()).map(|number| match &self.places {
            Some(places) => (self.sources[places[number].source as usize], places[number].row as usize),
            None => (self.sources[0], number),
        })
    }
}
