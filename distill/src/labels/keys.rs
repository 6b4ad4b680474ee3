//! The keys of the examples of one file or of several, in their own order: so that two lists meet in one pass over both.

use super::Key;
use std::borrow::Cow;

/// The keys of a file's examples, sorted, and which example each belongs to; of equal ones the first comes first.
///
/// Shapes: both one entry for each example; numbers are little-endian, as they lie in a file.
#[derive(Clone, Debug)]
pub struct SortedKeys<'a> {
    keys: Cow<'a, [Key]>,
    order: Cow<'a, [[u8; 4]]>,
}

/// The keys of the examples of some files, numbered on from one file to the next.
#[derive(Clone, Debug)]
pub struct Keys<'a> {
    parts: Vec<SortedKeys<'a>>,
}

/// Returns the numbers of the examples in the order of their keys, equal ones in the order of the data.
///
/// # Panics
/// When there are 2³² examples or more.
pub fn sorted(keys: &[Key]) -> Vec<u32> {
    let count = u32::try_from(keys.len()).expect("examples are counted in 32 bits");
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_unstable_by_key(|&index| (keys[index as usize], index));
    order
}

impl<'a> SortedKeys<'a> {
    /// Takes keys that are sorted already.
    pub fn new(keys: &'a [Key], order: &'a [[u8; 4]]) -> Self {
        assert_eq!(keys.len(), order.len(), "every key belongs to an example");
        SortedKeys { keys: Cow::Borrowed(keys), order: Cow::Borrowed(order) }
    }

    /// Sorts the keys of examples.
    pub fn of(keys: &[Key]) -> Self {
        let order = sorted(keys);
        let keys = order.iter().map(|&index| keys[index as usize]).collect();
        SortedKeys { keys, order: order.into_iter().map(u32::to_le_bytes).collect() }
    }

    /// Returns the number of examples.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Says whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns every example with its key, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Key)> {
        self.order.iter().map(|&index| u32::from_le_bytes(index) as usize).zip(self.keys.iter())
    }
}

impl<'a> Keys<'a> {
    /// Takes the files in their order.
    pub fn new(parts: Vec<SortedKeys<'a>>) -> Self {
        Keys { parts }
    }

    /// Returns the number of examples.
    pub fn len(&self) -> usize {
        self.parts.iter().map(SortedKeys::len).sum()
    }

    /// Says whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the file of an example, and the example's number in it.
    pub fn place(&self, mut index: usize) -> (usize, usize) {
        for (part, keys) in self.parts.iter().enumerate() {
            if index < keys.len() {
                return (part, index);
            }
            index -= keys.len();
        }
        panic!("an example is one of those that there are");
    }

    /// Returns where to look up the key of any example: four bytes for each.
    pub fn by_example(&self) -> impl Fn(usize) -> Key {
        let places = self.parts.iter().map(|part| {
            let mut places = vec![0_u32; part.len()];
            part.iter().zip(0..).for_each(|((index, _), place)| places[index] = place);
            places
        });
        let places: Vec<Vec<u32>> = places.collect();
        move |index| {
            let (part, index) = self.place(index);
            self.parts[part].keys[places[part][index] as usize]
        }
    }

    /// Returns the first example of each different key, in the order of the keys.
    pub fn distinct(&self) -> impl Iterator<Item = (usize, &Key)> {
        let mut first = 0;
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let start = first;
            parts.push(part.iter().map(move |(index, key)| (start + index, key)).peekable());
            first += part.len();
        }
        let mut last: Option<&Key> = None;
        std::iter::from_fn(move || {
            loop {
                let heads =
                    parts.iter_mut().enumerate().filter_map(|(part, keys)| Some((keys.peek()?.1, part)));
                let (_, part) = heads.min()?;
                let (index, key) = parts[part].next()?;
                if last.replace(key).is_none_or(|last| last != key) {
                    return Some((index, key));
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_different_key_comes_once_with_its_first_example(
            files in prop::collection::vec(prop::collection::vec(0_u8..9, 0..20), 1..4),
        ) {
            let files: Vec<Vec<Key>> =
                files.into_iter().map(|keys| keys.into_iter().map(|key| [key; 16]).collect()).collect();
            let keys = Keys::new(files.iter().map(|keys| SortedKeys::of(keys)).collect());
            let all: Vec<Key> = files.concat();
            let mut expected: Vec<(Key, usize)> = all.iter().copied().zip(0..).collect();
            expected.sort_unstable();
            expected.dedup_by_key(|(key, _)| *key);
            let found: Vec<_> = keys.distinct().map(|(index, key)| (*key, index)).collect();
            prop_assert_eq!(found, expected);
            let key = keys.by_example();
            prop_assert!((0..all.len()).all(|index| key(index) == all[index]));
            prop_assert_eq!(keys.len(), all.len());
        }
    }
}
