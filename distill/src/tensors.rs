//! Files of tensors that say what they are: what is written piece by piece, and read through a map.

use anyhow::Result;
use safetensors::tensor::{Dtype, Metadata};
use std::ops::Range;
use student::header;

pub use student::header::Announced as Tensor;

/// The name under which a file says what it is.
const SAYS: &str = "distill";

/// Returns all that comes before the tensors, which must then follow in this order, without gaps. `says`: what the file
/// says of itself.
///
/// # Errors
/// When the tensors are too large to be counted.
pub fn header(says: &str, tensors: Vec<Tensor>) -> Result<Vec<u8>> {
    Ok(header::header((SAYS, says), tensors)?)
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
