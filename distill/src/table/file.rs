//! The table on disk: read where it lies.

use super::numbers::{Column, Numbers, Width};
use super::stamp::Stamp;
use crate::error::explained;
use crate::labels::{Key, SortedKeys};
use crate::task::{Gold, RawLabels};
use crate::tensors::{Contents, Tensor, header};
use crate::tokens::Encodings;
use safetensors::tensor::Dtype;
use serde::{Deserialize, Serialize};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

/// The rows between two entries of `starts`.
pub(super) const STRIDE: usize = 64;

/// The format's version, changed too when the same text begins to be read or encoded otherwise.
const VERSION: u32 = 1;

const STARTS: &str = "starts";
const VALUES: &str = "values";
const ORDER: &str = "order";
const LENGTHS: &str = "lengths";
const IDS: &str = "ids";
const CLASSES: &str = "classes";
const KEYS: &str = "keys";
const SEGMENTS: &str = "segments";

/// What a table says of itself.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    pub version: u32,
    /// How the file was read and encoded.
    pub settings: String,
    /// The file.
    pub data: Stamp,
    /// Its different labels and their lines; none of a regression.
    pub labels: Vec<(String, usize)>,
}

/// The sizes that decide the shape of a table.
pub(super) struct Sizes {
    pub rows: usize,
    pub tokens: usize,
    /// The bytes of an id.
    pub id_width: Width,
    /// The bytes of a length.
    pub length_width: Width,
    pub has_values: bool,
    pub has_segments: bool,
}

/// A data file as a student reads it: tokens, labels and keys, mapped into memory.
pub struct Table {
    path: PathBuf,
    bytes: Box<dyn Deref<Target = [u8]> + Send + Sync>,
    layout: Layout,
    origin: Origin,
    labels: RawLabels,
}

/// Where the columns lie.
struct Layout {
    rows: usize,
    starts: Range<usize>,
    order: Range<usize>,
    lengths: Numbers,
    ids: Numbers,
    classes: Range<usize>,
    values: Range<usize>,
    keys: Range<usize>,
    segments: Option<Range<usize>>,
}

impl Origin {
    /// Says where a table comes from.
    pub fn new(settings: String, data: Stamp, labels: &RawLabels) -> Self {
        let labels = labels.iter().map(|(label, line)| (label.to_owned(), line)).collect();
        Origin { version: VERSION, settings, data, labels }
    }
}

/// Returns all that comes before the columns; they follow in the order of the module's documentation.
pub(super) fn head(origin: &Origin, sizes: &Sizes) -> anyhow::Result<Vec<u8>> {
    let Sizes { rows, tokens, .. } = *sizes;
    let tensor =
        |name: &str, dtype, shape: &[usize]| Tensor { name: name.to_owned(), dtype, shape: shape.to_vec() };
    let gold = if sizes.has_values {
        tensor(VALUES, Dtype::F32, &[rows])
    } else {
        tensor(CLASSES, Dtype::U16, &[rows])
    };
    let mut tensors = vec![
        tensor(STARTS, Dtype::U64, &[rows.div_ceil(STRIDE)]),
        tensor(ORDER, Dtype::U32, &[rows]),
        gold,
        tensor(LENGTHS, sizes.length_width.dtype(), &[rows]),
        tensor(IDS, sizes.id_width.dtype(), &[tokens]),
        tensor(KEYS, Dtype::U8, &[rows, size_of::<Key>()]),
    ];
    if sizes.has_segments {
        tensors.push(tensor(SEGMENTS, Dtype::U8, &[tokens]));
    }
    header(&serde_json::to_string(origin)?, tensors)
}

impl Table {
    /// Views mapped bytes as the table of the file at `path`, and checks all of them, so that nothing is checked later.
    /// Ids must lie below `vocab_size`. Nothing comes back when the bytes are a table of something else.
    ///
    /// # Errors
    /// The reason why they are no table.
    pub(super) fn view(
        path: &Path,
        bytes: Box<dyn Deref<Target = [u8]> + Send + Sync>,
        settings: &str,
        vocab_size: usize,
    ) -> Result<Option<Self>, String> {
        let contents = Contents::of(&bytes)?;
        let says = contents.says().ok_or("its header does not say what it is made of")?;
        let origin: Origin =
            serde_json::from_str(says).map_err(|error| format!("its header is broken: {error}"))?;
        if origin.version != VERSION || origin.settings != settings {
            return Ok(None);
        }
        let mut labels = RawLabels::new(path.to_owned());
        for (place, (label, line)) in origin.labels.iter().enumerate() {
            if labels.take(label, *line).map_err(|error| error.to_string())? != place {
                return Err(format!("label {place} is there twice"));
            }
        }
        let layout = Layout::of(&contents)?;
        let table = Table { path: path.to_owned(), bytes, layout, origin, labels };
        table.check(vocab_size)?;
        Ok(Some(table))
    }

    /// Returns the data file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the SHA-256 of the data file, in hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.origin.data.sha256
    }

    /// Makes sure that another table was made of the same bytes, and has the same rows.
    ///
    /// # Errors
    /// When the file has changed in between, or is a text that another tokenizer cuts into other rows.
    pub fn check_same_data(&self, other: &Table) -> anyhow::Result<()> {
        let path = self.path.display();
        if self.fingerprint() != other.fingerprint() {
            return Err(explained(
                format!("`{path}` has changed while it was read"),
                "run the command again when nothing writes to the file",
            ));
        }
        if !self.keys().iter().eq(other.keys().iter()) {
            return Err(explained(
                format!("two tokenizers make different rows of the text in `{path}`"),
                "use the same tokenizer for teacher and student to learn from plain text",
            ));
        }
        Ok(())
    }

    /// Returns what the data file was when it was read.
    pub(super) fn stamp(&self) -> &Stamp {
        &self.origin.data
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.layout.rows
    }

    /// Says whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the different labels of the file; none of a regression.
    pub fn labels(&self) -> &RawLabels {
        &self.labels
    }

    /// Returns the label of a row. `meaning`: what each of the different labels means.
    pub fn gold(&self, row: usize, meaning: &[Gold]) -> Gold {
        if self.layout.values.is_empty() {
            match u16::from_le_bytes(self.chunks(&self.layout.classes)[row]) {
                0 => Gold::Missing,
                label => meaning[usize::from(label) - 1],
            }
        } else {
            let value = f32::from_le_bytes(self.chunks(&self.layout.values)[row]);
            if value.is_nan() { Gold::Missing } else { Gold::Value(value) }
        }
    }

    /// Returns the keys of the rows, sorted.
    pub fn keys(&self) -> SortedKeys<'_> {
        SortedKeys::new(self.chunks(&self.layout.keys), self.chunks(&self.layout.order))
    }

    /// Returns the number of tokens of a row.
    pub fn length(&self, row: usize) -> usize {
        self.column(&self.layout.lengths).get(row) as usize
    }

    /// Returns the number of tokens of each of these rows.
    pub fn lengths(&self, rows: impl Iterator<Item = usize>) -> Vec<usize> {
        let lengths = self.column(&self.layout.lengths);
        rows.map(|row| lengths.get(row) as usize).collect()
    }

    /// Adds the tokens of a row to others.
    pub fn encode_into(&self, row: usize, encodings: &mut Encodings) {
        let (ids, lengths) = (self.column(&self.layout.ids), self.column(&self.layout.lengths));
        let first = row - row % STRIDE;
        let before: usize = (first..row).map(|row| lengths.get(row) as usize).sum();
        let start = u64::from_le_bytes(self.chunks(&self.layout.starts)[row / STRIDE]) as usize + before;
        let tokens = start..start + lengths.get(row) as usize;
        let ids = tokens.clone().map(|token| ids.get(token));
        match &self.layout.segments {
            None => encodings.push(ids, tokens.clone().map(|_| 0)),
            Some(place) => {
                encodings
                    .push(ids, self.bytes[place.clone()][tokens.clone()].iter().map(|&id| u32::from(id)));
            }
        }
    }

    fn chunks<const N: usize>(&self, place: &Range<usize>) -> &[[u8; N]] {
        self.bytes[place.clone()].as_chunks().0
    }

    fn column(&self, numbers: &Numbers) -> Column<'_> {
        numbers.of(&self.bytes)
    }

    fn check(&self, vocab_size: usize) -> Result<(), String> {
        let mut tokens = 0;
        let starts: &[[u8; 8]] = self.chunks(&self.layout.starts);
        let lengths = self.column(&self.layout.lengths);
        for row in 0..self.len() {
            if row % STRIDE == 0 && u64::from_le_bytes(starts[row / STRIDE]) != tokens as u64 {
                return Err(format!("row {row} does not start where it should"));
            }
            match lengths.get(row) {
                0 => return Err(format!("row {row} has no tokens")),
                length => tokens += length as usize,
            }
        }
        let ids = self.column(&self.layout.ids);
        if tokens != ids.len() {
            return Err("its lengths do not add up".into());
        }
        let highest = ids.max();
        if highest as usize >= vocab_size {
            return Err(format!("it has the token {highest}, but there are {vocab_size}"));
        }
        self.check_labels()?;
        self.check_order()
    }

    fn check_labels(&self) -> Result<(), String> {
        let classes = self.chunks(&self.layout.classes);
        if usize::from(classes.iter().map(|&class| u16::from_le_bytes(class)).max().unwrap_or(0))
            > self.labels.iter().len()
        {
            return Err("it has a label without a name".into());
        }
        let values = self.chunks(&self.layout.values);
        match values.iter().any(|&value| f32::from_le_bytes(value).is_infinite()) {
            true => Err("it has an infinite value".into()),
            false => Ok(()),
        }
    }

    fn check_order(&self) -> Result<(), String> {
        let mut seen = Seen::new(self.len());
        let mut last: Option<(&Key, usize)> = None;
        for (row, key) in self.keys().iter() {
            if row >= self.len() || seen.replace(row) {
                return Err(format!("its order names row {row}, which is not there, or twice"));
            }
            if last.replace((key, row)).is_some_and(|last| last >= (key, row)) {
                return Err(format!("row {row} is out of order"));
            }
        }
        Ok(())
    }
}

/// Which rows were met: a bit for each.
struct Seen(Vec<u64>);

impl Seen {
    fn new(rows: usize) -> Self {
        Seen(vec![0; rows.div_ceil(64)])
    }

    /// Notes a row, and says whether it was met before.
    fn replace(&mut self, row: usize) -> bool {
        let (word, bit) = (&mut self.0[row / 64], 1 << (row % 64));
        let before = *word & bit != 0;
        *word |= bit;
        before
    }
}

impl Layout {
    /// Finds the columns; the error is the reason why they are none.
    fn of(contents: &Contents) -> Result<Self, String> {
        let column = |name: &str, dtypes: &[Dtype], shape: &[usize]| match contents.find(name)? {
            (dtype, found, place) if dtypes.contains(&dtype) && found == shape => Ok((dtype, place)),
            (dtype, found, _) => Err(format!("`{name}` is {dtype:?} {found:?}")),
        };
        let numbers = |name: &str, shape: &[usize]| {
            let (dtype, place) = column(name, &Width::ALL.map(Width::dtype), shape)?;
            let width = if dtype == Width::Two.dtype() { Width::Two } else { Width::Four };
            Ok::<_, String>(Numbers { place, width })
        };
        let size = |name: &str| Ok::<_, String>(contents.find(name)?.1.iter().product::<usize>());
        let (rows, tokens) = (size(LENGTHS)?, size(IDS)?);
        let (classes, values) = match contents.find(VALUES) {
            Ok(_) => (0..0, column(VALUES, &[Dtype::F32], &[rows])?.1),
            Err(_) => (column(CLASSES, &[Dtype::U16], &[rows])?.1, 0..0),
        };
        let segments = contents.find(SEGMENTS).is_ok();
        let segments = segments.then(|| column(SEGMENTS, &[Dtype::U8], &[tokens])).transpose()?;
        Ok(Layout {
            rows,
            starts: column(STARTS, &[Dtype::U64], &[rows.div_ceil(STRIDE)])?.1,
            order: column(ORDER, &[Dtype::U32], &[rows])?.1,
            lengths: numbers(LENGTHS, &[rows])?,
            ids: numbers(IDS, &[tokens])?,
            classes,
            values,
            keys: column(KEYS, &[Dtype::U8], &[rows, size_of::<Key>()])?.1,
            segments: segments.map(|(_, place)| place),
        })
    }
}
