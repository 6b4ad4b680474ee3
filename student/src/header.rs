//! The header of a safetensors file, for files of tensors that are written piece by piece: before there is any tensor.

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::collections::HashMap;

/// A tensor that is about to be written.
#[derive(Clone, Debug)]
pub struct Announced {
    /// Its name.
    pub name: String,
    /// The type of its numbers.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// Returns all that comes before the tensors, which must then follow in this order, without gaps.
///
/// There is one entry of metadata: the format keeps several in no fixed order, and files must be reproducible.
///
/// # Errors
/// [`SafeTensorError`] when the tensors are too large to be counted.
pub fn header((key, value): (&str, &str), tensors: Vec<Announced>) -> Result<Vec<u8>, SafeTensorError> {
    let mut end = 0;
    let infos = tensors.into_iter().map(|Announced { name, dtype, shape }| {
        let start = end;
        end += shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (name, TensorInfo { dtype, shape, data_offsets: (start, end) })
    });
    let metadata = Metadata::new(Some(HashMap::from([(key.to_owned(), value.to_owned())])), infos.collect())?;
    let mut text = serde_json::to_string(&metadata)?.into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.append(&mut text);
    Ok(header)
}
