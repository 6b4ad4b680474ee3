//! How large a model is on disk.

use crate::error::explained;
use anyhow::{Context, Result};
use std::path::Path;
use student::import::onnx::summary;

/// How large a model is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The numbers that the graph stores as initializers.
    pub parameters: u64,
    /// The bytes of the graph, and of the files beside it in which it keeps large tensors.
    pub file_bytes: u64,
}

impl Size {
    /// Measures the model whose graph is at `onnx`.
    ///
    /// # Errors
    /// When the file is no ONNX model, or a file that it names is missing or outside of its folder.
    pub fn of(onnx: &Path) -> Result<Self> {
        Ok(Size { parameters: summary(onnx)?.num_parameters() as u64, file_bytes: file_bytes(onnx)? })
    }
}

/// Returns the bytes of a graph, and of the files beside it in which it keeps large tensors.
///
/// # Errors
/// When the file is no ONNX model, or a file that it names is missing or outside of its folder.
pub fn file_bytes(onnx: &Path) -> Result<u64> {
    let mut bytes = length(onnx).with_context(|| format!("cannot read `{}`", onnx.display()))?;
    for file in teacher::external_files(onnx)? {
        bytes += length(&file).map_err(|error| {
            explained(
                format!("`{}` keeps weights in `{}`: {error}", onnx.display(), file.display()),
                "copy that file beside the graph: the one is of no use without the other",
            )
        })?;
    }
    Ok(bytes)
}

fn length(file: &Path) -> std::io::Result<u64> {
    Ok(std::fs::metadata(file)?.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use student::bert::{Bert, BertConfig};
    use student::{Architecture, export, init};

    #[test]
    fn a_model_is_as_large_as_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let config = BertConfig {
            vocab_size: 20,
            hidden_size: 8,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            intermediate_size: 16,
            max_position_embeddings: 10,
            ..BertConfig::default()
        };
        let bert = Bert::new(config).unwrap();
        let params = init::random(bert.layout(), 0.02, 1);
        export::onnx::write(&bert, &params, &path, &Default::default()).unwrap();
        let size = Size::of(&path).unwrap();
        assert_eq!(size.file_bytes, std::fs::metadata(&path).unwrap().len());
        let learnt = bert.layout().num_parameters() as u64;
        assert!((learnt..learnt + 64).contains(&size.parameters), "{size:?} of {learnt}");
        assert!(size.file_bytes > 4 * size.parameters);
    }
}
