//! A table of word embeddings: which words it has, and where each stands among the others.

use super::vectors;
use super::words::{fold, is_word};
use crate::bundle;
use crate::error::explained;
use crate::tokens::Tokenizer;
use anyhow::Result;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use student::weights::Tensor;
use student::{checkpoint, import};

/// Words with their embeddings.
pub struct Table {
    /// [words, H], each of length one, in the order of `words`.
    vectors: Array2<f32>,
    words: Vec<Arc<str>>,
    rows: HashMap<Arc<str>, u32>,
    pieces: Option<Pieces>,
}

/// The word pieces of a model.
struct Pieces {
    tokenizer: Tokenizer,
    /// The row of each piece that is a whole word.
    rows: HashMap<u32, u32>,
}

/// Where a model directory keeps its word table, most likely first.
const IN_FOLDER: [&str; 3] = ["model.onnx", "onnx/model.onnx", "model.safetensors"];
const MAX_LENGTH: usize = 128;
/// What the ids are called that are looked up in the table.
const INPUT: &str = "input_ids";

impl Table {
    /// Reads the table of a model (a directory, an ONNX file, `model.safetensors`) or a text file of word vectors, of which
    /// the first `most` are taken.
    ///
    /// # Errors
    /// When there is no table, it cannot be read, or a model's tokenizer does not belong to it.
    pub fn open(path: &Path, most: usize, threads: usize) -> Result<Self> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            _ if path.is_dir() => Self::of_model(&in_folder(path)?, path, threads),
            Some("onnx" | "safetensors") => Self::of_model(path, path, threads),
            _ => Ok(Self::of_vectors(vectors::read(path, most)?)),
        }
    }

    /// Returns the number of words.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Says whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Returns the word of a row.
    pub fn word(&self, row: u32) -> &Arc<str> {
        &self.words[row as usize]
    }

    /// Returns the embeddings of all words, [words, H], each of length one.
    pub fn vectors(&self) -> ArrayView2<'_, f32> {
        self.vectors.view()
    }

    /// Says whether a word is in the table, whatever its case.
    pub fn has(&self, word: &str) -> bool {
        self.row(word).is_some()
    }

    /// Returns the direction of a word's embedding, of length one. A word is found as it is written, in lower case, or as
    /// the model's tokenizer reads it.
    ///
    /// A word of several pieces has none: the mean of its pieces points to words that are spelled like it, not to words that
    /// mean the like (`tedious` = `ted` + `##ious` is near `theodore`).
    pub fn direction(&self, word: &str) -> Option<ArrayView1<'_, f32>> {
        let row = self.row(word).or_else(|| {
            let Pieces { tokenizer, rows } = self.pieces.as_ref()?;
            match tokenizer.pieces_of(word)?[..] {
                [piece] => rows.get(&piece).copied(),
                _ => None,
            }
        })?;
        Some(self.vectors.row(row as usize))
    }

    fn row(&self, word: &str) -> Option<u32> {
        self.rows.get(word).or_else(|| self.rows.get(fold(word).as_str())).copied()
    }

    fn of_model(file: &Path, model: &Path, threads: usize) -> Result<Self> {
        let is_graph = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"));
        let read = if is_graph { import::onnx::words(file, INPUT) } else { checkpoint::read_words(file) };
        let Tensor { shape, data } = read?;
        // Words are looked up one at a time: the length at which texts are cut does not matter.
        let tokenizer = bundle::tokenizer(model, MAX_LENGTH)?;
        tokenizer.check_vocabulary(shape[0], &model.display().to_string())?;
        let whole = tokenizer.whole_words(threads, is_word);
        Self::of_pieces(file, ArrayView2::from_shape((shape[0], shape[1]), &data)?, whole, tokenizer)
    }

    /// Takes the rows of whole words, and makes them of length one; a row of zeros is no embedding.
    fn of_pieces(
        file: &Path,
        table: ArrayView2<'_, f32>,
        whole: Vec<(u32, String)>,
        tokenizer: Tokenizer,
    ) -> Result<Self> {
        let (mut words, mut rows, mut units) = (Vec::new(), HashMap::new(), Vec::new());
        for (id, word) in whole {
            let row = table.row(id as usize);
            if !row.iter().all(|x| x.is_finite()) {
                return Err(explained(
                    format!("the embedding of `{word}` in `{}` is not finite", file.display()),
                    "the file is damaged; download or export it again",
                ));
            }
            if let Some(unit) = unit(row) {
                rows.insert(id, words.len() as u32);
                words.push(Arc::from(word));
                units.extend(unit);
            }
        }
        let vectors = Array2::from_shape_vec((words.len(), table.ncols()), units)?;
        Ok(Self::new(vectors, words, Some(Pieces { tokenizer, rows })))
    }

    fn of_vectors(read: vectors::Vectors) -> Self {
        Self::new(read.units, read.words.into_iter().map(Arc::from).collect(), None)
    }

    fn new(vectors: Array2<f32>, words: Vec<Arc<str>>, pieces: Option<Pieces>) -> Self {
        let mut rows = HashMap::with_capacity(words.len());
        for (row, word) in words.iter().enumerate() {
            rows.entry(Arc::clone(word)).or_insert(row as u32);
        }
        Table { vectors, words, rows, pieces }
    }
}

/// Returns a vector of length one in the same direction; nothing for zero.
pub fn unit(vector: ArrayView1<'_, f32>) -> Option<Array1<f32>> {
    let norm = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    (norm > 0.0).then(|| vector.mapv(|x| (f64::from(x) / norm) as f32))
}

fn in_folder(folder: &Path) -> Result<PathBuf> {
    IN_FOLDER.iter().map(|name| folder.join(name)).find(|file| file.is_file()).ok_or_else(|| {
        explained(
            format!("`{}` holds no word embeddings: none of {}", folder.display(), IN_FOLDER.join(", ")),
            "give a model directory, its ONNX file or model.safetensors, or a text file of word vectors",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use std::fs;

    fn tokenizer(pieces: &[&str]) -> Tokenizer {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("vocab.txt"), pieces.join("\n")).unwrap();
        Tokenizer::open(folder.path(), 128).unwrap()
    }

    const PIECES: [&str; 9] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##s", "film", "movie", "blank"];

    fn table(numbers: &Array2<f32>) -> Result<Table> {
        let tokenizer = tokenizer(&PIECES);
        let whole = tokenizer.whole_words(1, is_word);
        Table::of_pieces(Path::new("it.onnx"), numbers.view(), whole, tokenizer)
    }

    #[test]
    fn a_word_is_found_as_it_is_written_or_as_the_tokenizer_reads_it() {
        let mut numbers = Array2::zeros([9, 2]);
        numbers.row_mut(5).assign(&array![0.0, 3.0]);
        numbers.row_mut(6).assign(&array![2.0, 0.0]);
        numbers.row_mut(7).assign(&array![3.0, 4.0]);
        let table = table(&numbers).unwrap();
        let words: Vec<&str> = (0..table.len() as u32).map(|row| &**table.word(row)).collect();
        assert_eq!(words, ["film", "movie"], "a word whose embedding is zero is nobody's neighbour");
        assert_eq!(table.vectors(), array![[1.0, 0.0], [0.6, 0.8]]);
        let direction = |word| table.direction(word).map(|direction| direction.to_vec());
        for word in ["movie", "Movie", "móvie"] {
            assert_eq!(direction(word), Some(vec![0.6, 0.8]), "{word}");
        }
        assert!(table.has("FILM") && !table.has("films"));
        assert_eq!([direction("films"), direction("xyz"), direction("blank")], [None, None, None]);
    }

    #[test]
    fn an_embedding_that_is_no_number_is_refused() {
        let mut numbers = Array2::zeros([9, 2]);
        numbers[[7, 1]] = f32::NAN;
        let error = table(&numbers).err().unwrap();
        assert_eq!(error.to_string(), "the embedding of `movie` in `it.onnx` is not finite");
    }

    #[test]
    fn a_folder_without_embeddings_says_what_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let error = Table::open(folder.path(), 10, 1).err().unwrap();
        assert!(error.to_string().contains("model.safetensors"), "{error}");
    }
}
