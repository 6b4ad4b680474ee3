//! ONNX: a padded and masked graph that any runtime of opset 17 or later can run.
//!
//! What is here knows ONNX and no model: an architecture lowers itself through a [`GraphBuilder`].

mod graph;
mod model;
mod ops;
pub(crate) mod proto;
mod rewrite;

pub use graph::{Dim, GraphBuilder, Nodes, Value};
pub use model::Model;
pub use rewrite::Storage;

use crate::{Architecture, Arena, Error};
use std::collections::BTreeMap;
use std::path::Path;

/// The size above which protobuf's 2 GiB come too near, in bytes.
pub(crate) const MAX_BYTES: usize = 1_800_000_000;

/// Writes a model as one ONNX file, with `metadata` as its `metadata_props`.
///
/// The same model and metadata make the same bytes. The folder must exist.
///
/// # Errors
/// [`Error::Config`] when the model takes more than 1.8 GB, which one ONNX file cannot hold; [`Error::Write`] when the
/// folder or the disk fails; an older file is then untouched.
pub fn write(
    architecture: &impl Architecture,
    params: &Arena,
    path: &Path,
    metadata: &BTreeMap<String, String>,
) -> Result<(), Error> {
    Model::lower(architecture, params, metadata)?.write(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layout;
    use crate::bert::{Bert, BertConfig};
    use prost::Message;

    #[test]
    fn the_same_model_makes_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let config =
            BertConfig { vocab_size: 5, hidden_size: 4, num_attention_heads: 2, ..BertConfig::default() };
        let bert = Bert::new(BertConfig { num_hidden_layers: 1, intermediate_size: 3, ..config }).unwrap();
        let params = Arena::zeros(bert.layout());
        let metadata = [("b", "1"), ("a", "2")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let files = ["one", "two"].map(|name| {
            let path = folder.path().join(name);
            write(&bert, &params, &path, &metadata).unwrap();
            std::fs::read(path).unwrap()
        });
        assert_eq!(files[0], files[1]);
        let notes = proto::ModelProto::decode(&*files[0]).unwrap().metadata_props;
        assert_eq!(
            notes.iter().map(|note| (&*note.key, &*note.value)).collect::<Vec<_>>(),
            [("a", "2"), ("b", "1")]
        );
    }

    #[test]
    fn a_model_that_one_file_cannot_hold_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = BertConfig { vocab_size: 1_000_000, ..BertConfig::default() };
        let nothing = Arena::zeros(&Layout::default());
        let path = folder.path().join("model.onnx");
        let error = write(&Bert::new(config).unwrap(), &nothing, &path, &BTreeMap::new()).unwrap_err();
        assert!(error.to_string().contains("1800000000 bytes of one ONNX file"), "{error}");
        assert!(!path.exists());
    }
}
