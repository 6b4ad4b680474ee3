//! Files of tensors that are written piece by piece: the header of a safetensors file, before there is any tensor.

use anyhow::Result;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::collections::HashMap;
use std::ops::Range;

/// The name under which a file says what it is.
const SAYS: &str = "distill";

/// A tensor that is about to be written.
pub struct Tensor {
    /// Its name.
    pub name: &'static str,
    /// The type of its numbers.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// Returns all that comes before the tensors, which must then follow in this order, without gaps. `says`: what the file
/// says of itself.
///
/// # Errors
/// When the tensors are too large to be counted.
pub fn header(says: String, tensors: Vec<Tensor>) -> Result<Vec<u8>> {
    let mut end = 0;
    let infos = tensors.into_iter().map(|Tensor { name, dtype, shape }| {
        let start = end;
        end += shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (name.to_owned(), TensorInfo { dtype, shape, data_offsets: (start, end) })
    });
    // One entry: the format keeps several in no fixed order, and the file must be reproducible.
    let metadata = Metadata::new(Some(HashMap::from([(SAYS.to_owned(), says)])), infos.collect())?;
    let mut text = serde_json::to_string(&metadata)?.into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.append(&mut text);
    Ok(header)
}

/// What a file of tensors holds, and where.
pub struct Contents {
    metadata: Metadata,
    data_start: usize,
}

impl Contents {
    /// Reads the header of a file, which must be as long as it says.
    ///
    /// # Errors
    /// The reason why the bytes are no file of tensors.
    pub fn of(bytes: &[u8]) -> Result<Self, String> {
        let (header_len, metadata) =
            safetensors::SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
        Ok(Contents { metadata, data_start: size_of::<u64>() + header_len })
    }

    /// Returns what the file says of itself.
    pub fn says(&self) -> Option<&str> {
        self.metadata.metadata().as_ref()?.get(SAYS).map(String::as_str)
    }

    /// Returns a tensor's type, shape and place in the file.
    ///
    /// # Errors
    /// That there is none of this name.
    pub fn find(&self, name: &str) -> Result<(Dtype, &[usize], Range<usize>), String> {
        let info = self.metadata.info(name).ok_or_else(|| format!("it has no tensor `{name}`"))?;
        let (start, end) = info.data_offsets;
        Ok((info.dtype, &info.shape, self.data_start + start..self.data_start + end))
    }
}
