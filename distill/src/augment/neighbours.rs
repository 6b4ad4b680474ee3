//! The nearest words of each word that occurs, by the cosine of their embeddings; each is found once.

use super::table::Table;
use super::words::fold;
use crate::threads;
use ndarray::{Array2, ArrayView1};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The words that may stand in one word's place.
pub type Candidates = Arc<[Arc<str>]>;

/// The neighbours of all words so far.
pub struct Neighbours {
    table: Table,
    count: usize,
    threads: usize,
    known: HashMap<String, Candidates>,
}

impl Neighbours {
    /// Words whose embeddings are multiplied with the whole table at once.
    const BLOCK: usize = 64;
    /// The most words whose neighbours are kept.
    const MOST: usize = 1 << 19;

    /// Takes a table to find `count` neighbours of each word in, on `threads` threads (0: all cores).
    pub fn new(table: Table, count: usize, threads: usize) -> Self {
        Neighbours { table, count, threads, known: HashMap::new() }
    }

    /// Returns the table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Finds the neighbours of those words that are new. The result depends neither on the number of threads nor on what
    /// came before.
    pub fn learn<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        if self.known.len() > Self::MOST {
            self.known.clear();
        }
        let new: BTreeSet<&str> = words.filter(|word| !self.known.contains_key(*word)).collect();
        let new: Vec<&str> = new.into_iter().collect();
        let blocks: Vec<&[&str]> = new.chunks(Self::BLOCK).collect();
        let found = threads::map(&blocks, self.threads, |words| self.nearest(words));
        let found = new.iter().map(|word| (*word).to_owned()).zip(found.into_iter().flatten());
        self.known.extend(found);
    }

    /// Returns the neighbours of a word, nearest first; none where it was not learnt or has no embedding.
    pub fn of(&self, word: &str) -> Candidates {
        self.known.get(word).cloned().unwrap_or_default()
    }

    fn nearest(&self, words: &[&str]) -> Vec<Candidates> {
        let directions: Vec<_> = words.iter().map(|word| self.table.direction(word)).collect();
        let found: Vec<_> = directions.iter().flatten().collect();
        let mut queries = Array2::zeros([found.len(), self.table.vectors().ncols()]);
        queries.rows_mut().into_iter().zip(found).for_each(|(mut row, direction)| row.assign(direction));
        let cosines = queries.dot(&self.table.vectors().t());
        let mut rows = cosines.rows().into_iter();
        let choose = |(word, direction): (&&str, &Option<_>)| match direction {
            Some(_) => rows.next().map_or_else(Candidates::default, |row| self.choose(word, row)),
            None => Candidates::default(),
        };
        words.iter().zip(&directions).map(choose).collect()
    }

    /// Chooses the nearest words, without those that differ from this one, or from a nearer one, in case alone.
    fn choose(&self, word: &str, cosines: ArrayView1<'_, f32>) -> Candidates {
        let mut folded = vec![fold(word)];
        let mut chosen = Vec::with_capacity(self.count);
        for row in largest(cosines, 2 * self.count + 1) {
            let candidate = self.table.word(row);
            let form = fold(candidate);
            if chosen.len() < self.count && !folded.contains(&form) {
                folded.push(form);
                chosen.push(Arc::clone(candidate));
            }
        }
        chosen.into()
    }
}

/// Returns the indices of the largest numbers, largest first; of equal ones the first comes first.
fn largest(numbers: ArrayView1<'_, f32>, count: usize) -> Vec<u32> {
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(count + 1);
    for (index, &number) in numbers.iter().enumerate() {
        if best.len() == count && best.last().is_none_or(|(least, _)| number <= *least) {
            continue;
        }
        let place = best.partition_point(|(other, _)| *other >= number);
        best.insert(place, (number, index as u32));
        best.truncate(count);
    }
    best.into_iter().map(|(_, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbours(vectors: &str, count: usize, threads: usize) -> Neighbours {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors.txt");
        std::fs::write(&path, vectors).unwrap();
        Neighbours::new(Table::open(&path, 1000, 1).unwrap(), count, threads)
    }

    fn of(neighbours: &mut Neighbours, word: &str) -> Vec<String> {
        neighbours.learn([word].into_iter());
        neighbours.of(word).iter().map(|word| word.to_string()).collect()
    }

    const WORDS: &str = "film 1 0\nFilm 1 0.1\nmovie 1 0.2\nMovie 1 0.3\npicture 1 0.5\ntree 0 1\nfar -1 0\n";

    #[test]
    fn the_nearest_come_first_and_neither_the_word_nor_another_case_of_it() {
        let mut two = neighbours(WORDS, 2, 1);
        assert_eq!(of(&mut two, "film"), ["movie", "picture"]);
        assert_eq!(of(&mut two, "FILM"), ["movie", "picture"]);
        assert_eq!(of(&mut two, "tree"), ["picture", "Movie"]);
        assert_eq!(of(&mut two, "unknown"), Vec::<String>::new());
        let mut all = neighbours(WORDS, 100, 1);
        assert_eq!(of(&mut all, "film"), ["movie", "picture", "tree", "far"]);
    }

    #[test]
    fn neither_threads_nor_company_change_the_neighbours() {
        let name = |i: usize| format!("w{}", char::from(b'a' + (i % 26) as u8)).repeat(1 + i / 26);
        let line = |i: usize| {
            let number = |j: usize| ((i * 31 + j * 17) % 101) as f64 / 50.0 - 1.0;
            format!("{} {} {} {}\n", name(i), number(1), number(2), number(i % 7))
        };
        let vectors: String = (0..150).map(line).collect();
        let words: Vec<String> = (0..150).map(name).collect();
        let mut alone = neighbours(&vectors, 5, 1);
        let expected: Vec<_> = words.iter().map(|word| of(&mut alone, word)).collect();
        for threads in [1, 3] {
            let mut together = neighbours(&vectors, 5, threads);
            together.learn(words.iter().map(String::as_str));
            let found: Vec<_> = words.iter().map(|word| of(&mut together, word)).collect();
            assert_eq!(found, expected, "{threads}");
        }
    }

    #[test]
    fn the_largest_are_found_and_of_equals_the_first() {
        let numbers = ndarray::array![0.5, 2.0, 2.0, -1.0, 3.0];
        for (count, expected) in [(0, &[][..]), (2, &[4, 1]), (9, &[4, 1, 2, 0, 3])] {
            assert_eq!(largest(numbers.view(), count), expected, "{count}");
        }
    }
}
