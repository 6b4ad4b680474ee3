//! Word vectors in a text file, as GloVe and word2vec write them: a word and its numbers on each line, separated by
//! spaces, the most frequent words first. word2vec's first line holds the number of words and of numbers.

use super::table::unit;
use super::words::is_word;
use crate::data::{each_line, error_at};
use crate::error::explained;
use anyhow::Result;
use ndarray::{Array2, ArrayView1};
use std::collections::HashSet;
use std::path::Path;

/// The words of a file that can stand in another's place.
pub struct Vectors {
    /// The words.
    pub words: Vec<String>,
    /// Their vectors, each of length one, [words, H].
    pub units: Array2<f32>,
}

/// Reads the first `most` vectors of a file. What is no word of letters is passed over, as are words that come again.
///
/// # Errors
/// When the file cannot be read, a line is no vector of the same length as the others, located, or nothing is left.
pub fn read(path: &Path, most: usize) -> Result<Vectors> {
    let (mut width, mut read) = (None, 0);
    let (mut words, mut known, mut units) = (Vec::new(), HashSet::new(), Vec::new());
    each_line(path, &mut |line, number| {
        let line = line.trim_end();
        if number == 1
            && let Some(header) = header(line)
        {
            width = Some(header);
            return Ok(true);
        }
        if line.is_empty() {
            return Ok(true);
        }
        let width = *width.get_or_insert_with(|| line.split(' ').count() - 1);
        let (word, vector) = parse(line, width).map_err(|reason| error_at(path, number, reason, HINT))?;
        if is_word(word)
            && let Some(unit) = unit(ArrayView1::from(&vector))
            && known.insert(word.to_owned())
        {
            words.push(word.to_owned());
            units.extend(unit);
        }
        read += 1;
        Ok(read < most)
    })?;
    if words.is_empty() {
        return Err(explained(format!("`{}` holds no word with a vector", path.display()), HINT));
    }
    let units = Array2::from_shape_vec((words.len(), width.unwrap_or(0)), units)?;
    Ok(Vectors { words, units })
}

const HINT: &str = "word vectors are lines of a word and its numbers, separated by single spaces";

/// Returns the length of vectors that a first line of two numbers announces.
fn header(line: &str) -> Option<usize> {
    let (words, width) = line.split_once(' ')?;
    words.parse::<u64>().ok().and(width.parse().ok()).filter(|width| *width > 0)
}

/// Returns the word and the numbers of a line; a few words of GloVe's have spaces in them.
fn parse(line: &str, width: usize) -> Result<(&str, Vec<f32>), String> {
    let fields = line.split(' ').count() - 1;
    if width == 0 || fields < width {
        return Err(format!(
            "expected a word and {} numbers, found {fields} fields after the word",
            width.max(1)
        ));
    }
    let mut fields = line.rsplitn(width + 1, ' ');
    let mut vector = Vec::with_capacity(width);
    for field in fields.by_ref().take(width) {
        let number = field.parse::<f32>().ok().filter(|number| number.is_finite());
        vector.push(number.ok_or_else(|| format!("`{}` is no number", shown(field)))?);
    }
    vector.reverse();
    Ok((fields.next().unwrap_or_default(), vector))
}

/// What should have been a number may be a whole line.
fn shown(field: &str) -> String {
    field.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, most: usize) -> Result<Vectors> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors.txt");
        std::fs::write(&path, text).unwrap();
        read(&path, most)
    }

    #[test]
    fn glove_and_word2vec_are_read() {
        let glove = "the 3 4\n, 1 1\n. . 1 1\nfilm 0 2e-1\nfilm 9 9\nzero 0 0\n東京 -1 0\n";
        for text in [glove.to_owned(), format!("7 2\n{glove}"), glove.replace('\n', " \r\n")] {
            let read = of(&text, 100).unwrap();
            assert_eq!(read.words, ["the", "film", "東京"]);
            assert_eq!(read.units, ndarray::array![[0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]]);
        }
        assert_eq!(of(glove, 4).unwrap().words, ["the", "film"]);
    }

    #[test]
    fn what_is_no_vector_is_located() {
        for (text, expected) in [
            ("the 1 2\nfilm 1\n", ":2: expected a word and 2 numbers, found 1 fields after the word"),
            ("the 1 2\nfilm 1 x\n", ":2: `x` is no number"),
            ("the 1 2\nfilm 1 inf\n", ":2: `inf` is no number"),
            ("the\n", ":1: expected a word and 1 numbers"),
            ("5 3\nthe 1 2\n", ":2: expected a word and 3 numbers"),
            (", 1 2\n", "holds no word with a vector"),
            ("1 99999999999999999999\n", "holds no word with a vector"),
            ("1 9223372036854775807\nthe 1\n", ":2: expected a word and 9223372036854775807 numbers"),
        ] {
            let error = of(text, 100).err().unwrap();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(crate::error::hint_of(&error).is_some(), "{error}");
        }
    }
}
