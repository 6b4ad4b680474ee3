//! A temporary file that is written once and then mapped: what is in it takes no memory of this process's own.

use anyhow::{Context, Result};
use std::io::{BufWriter, Write};
use student::files::map;
use tempfile::{NamedTempFile, TempPath};

/// A temporary file that is being written, in the system's folder for them.
pub struct Scratch {
    file: BufWriter<NamedTempFile>,
}

/// What was written.
pub struct Mapped {
    bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
    /// The file, where the system does not let go of its name while it is mapped.
    _path: Option<TempPath>,
}

impl Scratch {
    /// Makes an empty file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self> {
        let file = NamedTempFile::new().with_context(not_written)?;
        Ok(Scratch { file: BufWriter::with_capacity(1 << 16, file) })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).with_context(not_written)
    }

    /// Maps what was written.
    ///
    /// # Errors
    /// When the disk is full, or the file cannot be mapped.
    pub fn finish(self) -> Result<Mapped> {
        let file = self.file.into_inner().map_err(|error| error.into_error()).with_context(not_written)?;
        let path = file.into_temp_path();
        let bytes = Box::new(map(&path)?);
        // On Unix a file without a name lives as long as it is mapped, and no crash leaves it behind.
        Ok(Mapped { bytes, _path: Some(path).filter(|_| !cfg!(unix)) })
    }
}

impl Mapped {
    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }
}

fn not_written() -> String {
    format!("cannot write to a temporary file in `{}`", std::env::temp_dir().display())
}
