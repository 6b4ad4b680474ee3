//! Sentences of documents that were read before, for those who need some of another document: a bounded choice of them.

use crate::draws::Draws;
use std::collections::VecDeque;

/// Sentences as tokens.
pub(super) type Passage = Vec<Vec<u32>>;

/// The latest documents of which excerpts are kept, and the excerpts of each: so that what is held is at most 4,096 times
/// what a sequence holds, half as much again, in tokens of four bytes: 3 MB for sequences of 128 tokens.
const DOCUMENTS: usize = 1024;
const EXCERPTS: usize = 4;

/// Excerpts of documents.
pub(super) struct Excerpts {
    earlier: VecDeque<Vec<Passage>>,
    /// Of the document that is being read, and how many passages of it were seen.
    current: Vec<Passage>,
    seen: usize,
    draws: Draws,
}

const CHOICE: u64 = 0x6578_6365_7270_7400;

impl Excerpts {
    pub fn new(seed: u64) -> Self {
        let draws = Draws::new(&[seed, CHOICE]);
        Excerpts { earlier: VecDeque::new(), current: Vec::new(), seen: 0, draws }
    }

    /// Shows a passage of the document that is being read. Each is kept with the same probability (Vitter 1985,
    /// algorithm R).
    pub fn show<'a>(&mut self, sentences: impl IntoIterator<Item = &'a Vec<u32>>) {
        self.seen += 1;
        let place = match self.current.len() < EXCERPTS {
            true => self.current.len(),
            false => self.draws.below(self.seen),
        };
        let passage = || sentences.into_iter().cloned().collect();
        match self.current.get_mut(place) {
            Some(kept) => *kept = passage(),
            None if place < EXCERPTS => self.current.push(passage()),
            None => {}
        }
    }

    /// Ends the document that is being read.
    pub fn end_document(&mut self) {
        let excerpts = std::mem::take(&mut self.current);
        self.seen = 0;
        if excerpts.is_empty() {
            return;
        }
        if self.earlier.len() == DOCUMENTS {
            self.earlier.pop_front();
        }
        self.earlier.push_back(excerpts);
    }

    /// Returns sentences of another document than the one that is being read, if there was one: from a random sentence
    /// after which `tokens` follow, or from the first of a passage that has fewer, and as many as make so many tokens.
    pub fn draw(&mut self, tokens: usize) -> Option<&[Vec<u32>]> {
        if self.earlier.is_empty() {
            return None;
        }
        let document = self.draws.below(self.earlier.len());
        let excerpt = self.draws.below(self.earlier[document].len());
        let passage = &self.earlier[document][excerpt];
        let mut left: usize = passage.iter().map(Vec::len).sum();
        let starts = passage.iter().take_while(|sentence| {
            let is_enough = left >= tokens;
            left -= sentence.len();
            is_enough
        });
        let start = self.draws.below(starts.count().max(1));
        let mut found = 0;
        let end = passage[start..].iter().take_while(|sentence| {
            let is_short = found < tokens;
            found += sentence.len();
            is_short
        });
        let end = start + end.count();
        Some(&self.earlier[document][excerpt][start..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_of_other_documents() {
        let mut excerpts = Excerpts::new(1);
        excerpts.show(&[vec![0]]);
        assert!(excerpts.draw(1).is_none(), "the document that is being read is no other");
        for document in 0..3000_u32 {
            (0..50).for_each(|_| excerpts.show(&[vec![document; 3], vec![document; 4]]));
            excerpts.end_document();
            excerpts.end_document();
        }
        assert_eq!(excerpts.earlier.len(), DOCUMENTS);
        assert!(excerpts.earlier.iter().all(|kept| kept.len() == EXCERPTS));
        assert!((0..1000).all(|_| excerpts.draw(5).is_some_and(|drawn| drawn[0][0] > 1900)));
    }

    #[test]
    fn every_passage_of_a_document_is_kept_equally_often() {
        let mut kept = [0_u32; 20];
        for seed in 0..5000 {
            let mut excerpts = Excerpts::new(seed);
            (0..20).for_each(|passage| excerpts.show(&[vec![passage]]));
            excerpts.current.iter().for_each(|passage| kept[passage[0][0] as usize] += 1);
        }
        // A standard deviation is 28.
        assert!(kept.iter().all(|&count| count.abs_diff(1000) < 140), "{kept:?}");
    }

    #[test]
    fn as_many_sentences_are_drawn_as_are_asked_for_where_there_are() {
        let mut excerpts = Excerpts::new(1);
        excerpts.show(&[vec![1; 3], vec![2; 3], vec![3; 3], vec![4; 3]]);
        excerpts.end_document();
        let mut starts = [0; 5];
        for _ in 0..1000 {
            let drawn = excerpts.draw(5).unwrap();
            assert_eq!(drawn.concat().len(), 6);
            starts[drawn[0][0] as usize] += 1;
        }
        assert!(starts[1..4].iter().all(|&count| count > 250) && starts[4] == 0, "{starts:?}");
        assert_eq!(excerpts.draw(99).unwrap().concat().len(), 12);
    }
}
