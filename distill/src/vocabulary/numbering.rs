//! Old ids and new ones: those that are kept, counted anew in their old order.

/// The ids that are kept. The new id of one is its place among them, so that their order stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbering {
    kept: Vec<u32>,
}

impl Numbering {
    /// Keeps these ids, in whatever order they come.
    pub fn of(ids: impl IntoIterator<Item = u32>) -> Self {
        let mut kept: Vec<u32> = ids.into_iter().collect();
        kept.sort_unstable();
        kept.dedup();
        Numbering { kept }
    }

    /// Returns the old ids in their order; the new id of each is its place.
    pub fn kept(&self) -> &[u32] {
        &self.kept
    }

    /// Returns the number of ids that are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Says whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Returns the new id of an old one, unless it is dropped.
    pub fn new_id(&self, old: u32) -> Option<u32> {
        self.kept.binary_search(&old).ok().map(|place| place as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_counted_anew_in_their_order() {
        let numbering = Numbering::of([101, 0, 7, 101]);
        assert_eq!((numbering.kept(), numbering.len()), (&[0, 7, 101][..], 3));
        assert_eq!(
            [0, 7, 8, 101, 102].map(|id| numbering.new_id(id)),
            [Some(0), Some(1), None, Some(2), None]
        );
        assert!(Numbering::of([]).is_empty());
    }
}
