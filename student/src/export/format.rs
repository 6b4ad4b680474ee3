//! The kinds of file that a student is shipped as.

use crate::quant::{BLOCK, Range, Scheme, TABLE_BLOCK, TableBits};
use std::fmt;
use std::str::FromStr;

/// How the numbers of an exported graph are stored. Inputs and outputs are the same in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// In 32 bits, as they were trained.
    Fp32,
    /// In 16 bits; computed with in 32.
    Fp16,
    /// Matrices in 8 bits, and multiplied in them.
    Int8,
    /// As [`Format::Int8`], and the tables of embeddings in [`TableBits`].
    Int8Embeddings,
    /// Matrices in 4 bits, tables of embeddings in [`TableBits`].
    Int4,
}

impl Format {
    /// Every format, from the most exact to the smallest.
    pub const ALL: [Format; 5] =
        [Format::Fp32, Format::Fp16, Format::Int8, Format::Int8Embeddings, Format::Int4];

    /// Returns the name by which users ask for the format.
    pub fn name(self) -> &'static str {
        match self {
            Format::Fp32 => "fp32",
            Format::Fp16 => "fp16",
            Format::Int8 => "int8",
            Format::Int8Embeddings => "int8-embeddings",
            Format::Int4 => "int4",
        }
    }

    /// Returns the place of the file in a model directory, where Hugging Face's tools look for it.
    ///
    /// They load `model_quantized.onnx` when they are asked for eight bits (`q8`), so that is the more compact one of the
    /// eight-bit files in `together`; the other is `model_int8.onnx`, which they call `int8`.
    pub fn file(self, together: &[Format]) -> &'static str {
        match self {
            Format::Fp32 => "onnx/model.onnx",
            Format::Fp16 => "onnx/model_fp16.onnx",
            Format::Int8 if together.contains(&Format::Int8Embeddings) => "onnx/model_int8.onnx",
            Format::Int8 | Format::Int8Embeddings => "onnx/model_quantized.onnx",
            Format::Int4 => "onnx/model_q4.onnx",
        }
    }

    /// Returns how matrices are rounded, or nothing where they keep at least 16 bits.
    pub fn matrices(self, range: Range) -> Option<Scheme> {
        match self {
            Format::Fp32 | Format::Fp16 => None,
            Format::Int8 | Format::Int8Embeddings => Some(Scheme::Rows(range)),
            Format::Int4 => Some(Scheme::Blocks(BLOCK)),
        }
    }

    /// Says whether tables of embeddings are rounded.
    pub fn rounds_tables(self) -> bool {
        matches!(self, Format::Int8Embeddings | Format::Int4)
    }

    /// Returns how tables of embeddings are rounded. They are read and not multiplied, so that any range suits them.
    pub fn tables(self, bits: TableBits) -> Option<Scheme> {
        self.rounds_tables().then_some(match bits {
            TableBits::Eight => Scheme::Rows(Range::Full),
            TableBits::Four => Scheme::Blocks(TABLE_BLOCK),
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Format::ALL.into_iter().find(|format| format.name() == name);
        known.ok_or_else(|| {
            let names = Format::ALL.map(Format::name).join(", ");
            format!("there is no format `{name}`; there are {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_found_by_name_and_no_two_share_a_file() {
        let files = Format::ALL.map(|format| {
            assert_eq!(format.name().parse(), Ok(format));
            format.file(&Format::ALL)
        });
        for (i, file) in files.iter().enumerate() {
            assert!(!files[..i].contains(file), "{file}");
        }
        assert!("int7".parse::<Format>().unwrap_err().contains("fp32, fp16, int8"));
        assert_eq!(Format::Int8.file(&[Format::Fp32, Format::Int8]), "onnx/model_quantized.onnx");
    }
}
