//! A table of word embeddings: which words it has, and where each stands among the others.

use super::vectors;
use super::words::{fold, is_word};
use crate::bundle;
use crate::error::explained;
use crate::tokens::Tokenizer;
use anyhow::Result;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, s};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use student::weights::Tensor;
use student::{checkpoint, import};

/// Words with their embeddings.
pub struct Table {
    /// [rows, H], each of length one, or zero; those that are whole words come first, in the order of `words`.
    vectors: Array2<f32>,
    words: Vec<Arc<str>>,
    rows: HashMap<Arc<str>, u32>,
    pieces: Option<Pieces>,
}

/// The word pieces of a model.
struct Pieces {
    tokenizer: Tokenizer,
    /// The row of the table that each piece has.
    rows: Vec<u32>,
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

    /// Returns the number of words that can stand in another's place.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Says whether there is no such word.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Returns the word of a row.
    pub fn word(&self, row: u32) -> &Arc<str> {
        &self.words[row as usize]
    }

    /// Returns the embeddings of all words that can stand in another's place, [words, H].
    pub fn vectors(&self) -> ArrayView2<'_, f32> {
        self.vectors.slice(s![..self.words.len(), ..])
    }

    /// Says whether a word is in the table, whatever its case.
    pub fn has(&self, word: &str) -> bool {
        self.row(word).is_some()
    }

    /// Returns the direction of a word's embedding, of length one: its own, or else the mean of those of its pieces.
    pub fn direction(&self, word: &str) -> Option<Array1<f32>> {
        if let Some(row) = self.row(word) {
            return Some(self.vectors.row(row as usize).to_owned());
        }
        let Pieces { tokenizer, rows } = self.pieces.as_ref()?;
        let pieces = tokenizer.pieces_of(word)?;
        let row = |piece: &u32| self.vectors.row(rows[*piece as usize] as usize);
        let sum = pieces.iter().map(row).fold(Array1::zeros(self.vectors.ncols()), |sum, row| sum + row);
        unit(sum.view())
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
        Self::ordered(file, ArrayView2::from_shape((shape[0], shape[1]), &data)?, whole, tokenizer)
    }

    /// Puts the rows of whole words first, and makes all of length one.
    fn ordered(
        file: &Path,
        table: ArrayView2<'_, f32>,
        whole: Vec<(u32, String)>,
        tokenizer: Tokenizer,
    ) -> Result<Self> {
        let is_zero = |id: u32| table.row(id as usize).iter().all(|x| *x == 0.0);
        let whole: Vec<_> = whole.into_iter().filter(|(id, _)| !is_zero(*id)).collect();
        let mut rows = vec![u32::MAX; table.nrows()];
        let order = whole.iter().map(|(id, _)| *id).chain(0..table.nrows() as u32);
        let mut ids = Vec::with_capacity(table.nrows());
        for id in order {
            if rows[id as usize] == u32::MAX {
                rows[id as usize] = ids.len() as u32;
                ids.push(id);
            }
        }
        let mut vectors = Array2::zeros(table.raw_dim());
        for (mut into, &id) in vectors.rows_mut().into_iter().zip(&ids) {
            let row = table.row(id as usize);
            if !row.iter().all(|x| x.is_finite()) {
                return Err(explained(
                    format!("the embedding of the id {id} in `{}` is not finite", file.display()),
                    "the file is damaged; download or export it again",
                ));
            }
            if let Some(unit) = unit(row) {
                into.assign(&unit);
            }
        }
        let words = whole.into_iter().map(|(_, word)| Arc::from(word)).collect();
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
        Table::ordered(Path::new("it.onnx"), numbers.view(), whole, tokenizer)
    }

    #[test]
    fn whole_words_come_first_and_pieces_make_up_other_words() {
        let mut numbers = Array2::zeros([9, 2]);
        numbers.row_mut(5).assign(&array![0.0, 3.0]);
        numbers.row_mut(6).assign(&array![2.0, 0.0]);
        numbers.row_mut(7).assign(&array![3.0, 4.0]);
        let table = table(&numbers).unwrap();
        let words: Vec<&str> = (0..table.len() as u32).map(|row| &**table.word(row)).collect();
        assert_eq!(words, ["film", "movie"], "a word whose embedding is zero is nobody's neighbour");
        assert_eq!(table.vectors(), array![[1.0, 0.0], [0.6, 0.8]]);
        assert_eq!(table.direction("Movie"), Some(array![0.6, 0.8]));
        let half = 0.5_f32.sqrt();
        assert_eq!(table.direction("films"), Some(array![half, half]));
        assert!(table.has("FILM") && !table.has("films"));
        assert_eq!((table.direction("xyz"), table.direction("blank")), (None, None));
    }

    #[test]
    fn an_embedding_that_is_no_number_is_refused() {
        let mut numbers = Array2::zeros([9, 2]);
        numbers[[3, 1]] = f32::NAN;
        let error = table(&numbers).err().unwrap();
        assert_eq!(error.to_string(), "the embedding of the id 3 in `it.onnx` is not finite");
    }

    #[test]
    fn a_folder_without_embeddings_says_what_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let error = Table::open(folder.path(), 10, 1).err().unwrap();
        assert!(error.to_string().contains("model.safetensors"), "{error}");
    }
}
