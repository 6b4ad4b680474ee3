//! The words that are left alone because they hold a sentence together: `the`, `und`, `は`.
//!
//! Published augmentation leaves the 153 English stop words of NLTK alone. They make up about 40 % of the words of an
//! English text, and the like of them in other languages do the same: they are its most frequent words. So by default
//! they are taken from the texts themselves. On SST-2 that finds 46 words; those among them that carry meaning (`film`,
//! `movie`, …) are frequent enough to be learnt without being varied.

use super::words::{fold, words};
use anyhow::Result;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::data;

/// Where the words that are left alone come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The most frequent words of the texts.
    Corpus,
    /// There are none.
    Nothing,
    /// The lines of a file.
    File(PathBuf),
}

impl FromStr for Choice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "corpus" => Choice::Corpus,
            "none" => Choice::Nothing,
            path => Choice::File(path.into()),
        })
    }
}

/// Words, whatever their case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopWords(HashSet<String>);

impl StopWords {
    /// Reads a file with one word a line.
    ///
    /// # Errors
    /// When it cannot be read, or is not text; located.
    pub fn read(path: &Path) -> Result<Self> {
        let mut words = HashSet::new();
        data::each_line(path, &mut |line, _| {
            words.insert(fold(line.trim()));
            Ok(true)
        })?;
        Ok(StopWords(words))
    }

    /// Says whether a word is one of them.
    pub fn contains(&self, word: &str) -> bool {
        self.0.contains(&fold(word))
    }

    /// Returns the words in alphabetical order.
    pub fn sorted(&self) -> Vec<&str> {
        let mut words: Vec<&str> = self.0.iter().map(String::as_str).collect();
        words.sort_unstable();
        words
    }
}

/// How often each word occurs.
///
/// When there are too many different ones, each loses one occurrence and those that have none left are forgotten (lossy
/// counting, Manku and Motwani 2002): memory is bounded, and frequent words stay.
#[derive(Debug, Default)]
pub struct WordCounts {
    counts: HashMap<String, u64>,
    total: u64,
}

impl WordCounts {
    /// The most different words that are counted.
    const MOST: usize = 1 << 18;
    /// The part of all words that a word makes up at least to be left alone.
    const EACH: f64 = 1.0 / 500.0;
    /// The part of all words that are left alone at most.
    const TOGETHER: f64 = 0.4;

    /// Counts the words of a text.
    pub fn of(text: &str) -> Self {
        let mut counts = WordCounts::default();
        for word in words(text, |_| false) {
            *counts.counts.entry(fold(&text[word])).or_default() += 1;
            counts.total += 1;
        }
        counts
    }

    /// Adds the words of another count.
    pub fn add(&mut self, other: WordCounts) {
        self.total += other.total;
        for (word, count) in other.counts {
            *self.counts.entry(word).or_default() += count;
        }
        while self.counts.len() > Self::MOST {
            self.counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// Returns the most frequent words: each at least 1 in 500, together at most 40 % of all.
    pub fn frequent(&self) -> StopWords {
        let mut sorted: Vec<(&String, u64)> =
            self.counts.iter().map(|(word, &count)| (word, count)).collect();
        sorted.sort_unstable_by(|(a, more), (b, less)| less.cmp(more).then(a.cmp(b)));
        let share = |count: u64| count as f64 / self.total.max(1) as f64;
        let mut together = 0;
        let chosen = sorted.into_iter().take_while(|&(_, count)| {
            together += count;
            share(count) >= Self::EACH && share(together) <= Self::TOGETHER
        });
        StopWords(chosen.map(|(word, _)| word.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_words_are_left_alone_up_to_a_share() {
        let mut counts = WordCounts::default();
        for i in 0..1000 {
            counts.add(WordCounts::of(&format!("Der Hund und der {}", ["Mann", "Baum", "Fluss"][i % 3])));
        }
        let frequent = counts.frequent();
        assert!(frequent.contains("DER") && !frequent.contains("Mann"), "{frequent:?}");
        // `der` is 2 in 5 of the words: another would be more than that.
        assert_eq!(frequent.sorted(), ["der"]);
        assert_eq!(WordCounts::of("one word word").frequent(), StopWords::default());
        assert_eq!(WordCounts::of("").frequent(), StopWords::default());
    }

    #[test]
    fn rare_words_are_not_left_alone() {
        let mut counts = WordCounts::default();
        for i in 0..3000_u32 {
            let name: String = i.to_string().bytes().map(|digit| char::from(digit + 50)).collect();
            counts.add(WordCounts::of(&format!("la {name}x vu{name}")));
        }
        assert_eq!(counts.frequent().sorted(), ["la"]);
        counts.add(WordCounts::of(&"xyz ".repeat(10)));
        assert_eq!(counts.frequent().sorted(), ["la"]);
        counts.add(WordCounts::of(&"xyz ".repeat(10)));
        assert_eq!(counts.frequent().sorted(), ["la", "xyz"]);
    }

    #[test]
    fn counts_are_bounded_and_keep_what_is_frequent() {
        let mut counts = WordCounts::default();
        let word = |i: u32| i.to_string().bytes().map(|digit| char::from(digit + 50)).collect::<String>();
        for start in 0..4_u32 {
            let many: Vec<String> = (0..100_000).map(|i| word(start * 100_000 + i)).collect();
            counts.add(WordCounts::of(&(many.join(" ") + " " + &"often ".repeat(5000))));
        }
        assert!(counts.counts.len() <= WordCounts::MOST);
        assert_eq!(counts.frequent().sorted(), ["often"]);
    }

    #[test]
    fn a_file_has_a_word_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words.txt");
        std::fs::write(&path, "Le\n la \n\nles").unwrap();
        let words = StopWords::read(&path).unwrap();
        assert!(words.contains("LA") && words.contains("les") && !words.contains("un"));
        assert!(StopWords::read(&folder.path().join("none")).is_err());
        assert_eq!("corpus".parse(), Ok(Choice::Corpus));
        assert_eq!("none".parse(), Ok(Choice::Nothing));
        assert_eq!("./none".parse(), Ok(Choice::File("./none".into())));
    }
}
