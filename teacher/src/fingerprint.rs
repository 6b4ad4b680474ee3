//! The fingerprint of a model: a hash of its graph and of the files beside it that hold its large tensors.
//!
//! A hash of the graph's file alone would not change when such weights do. They are found by walking the protobuf
//! structure on disk: only the path down to `TensorProto.external_data` is followed (onnx.proto; the field numbers are
//! below), and all else, the weights first of all, is skipped by seeking, so a 2 GB file costs a few reads.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Component, Path, PathBuf};

use crate::protobuf::{Content, Field, Reader};
use crate::{Error, sha256};

/// Graphs inside graphs inside … are followed this far; real files have two levels.
const MAX_DEPTH: usize = 64;
/// No file name is longer.
const MAX_LOCATION_BYTES: u64 = 4096;

/// The messages on the way to a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Function,
    SparseTensor,
    Tensor,
    Entry,
}

impl Message {
    /// Returns what the field holds, if it leads on.
    fn field(self, number: u64) -> Option<Message> {
        match (self, number) {
            (Message::Model, 7) => Some(Message::Graph),
            (Message::Model, 25) => Some(Message::Function),
            (Message::Graph, 1) | (Message::Function, 7) => Some(Message::Node),
            (Message::Graph, 5) => Some(Message::Tensor),
            (Message::Graph, 15) => Some(Message::SparseTensor),
            (Message::Node, 5) => Some(Message::Attribute),
            (Message::Attribute, 5 | 10) => Some(Message::Tensor),
            (Message::Attribute, 6 | 11) => Some(Message::Graph),
            (Message::Attribute, 22 | 23) => Some(Message::SparseTensor),
            (Message::SparseTensor, 1 | 2) => Some(Message::Tensor),
            (Message::Tensor, 13) => Some(Message::Entry),
            _ => None,
        }
    }
}

/// Returns the SHA-256 of the ONNX file followed by its external data sorted by name, in hex.
///
/// # Errors
/// As [`external_files`], and [`Error::Read`] where a file cannot be read.
pub(crate) fn of_model(onnx: &Path) -> Result<String, Error> {
    let mut files = vec![onnx.to_owned()];
    files.extend(external_files(onnx)?);
    sha256::of_files(&files)
}

/// Returns the files that hold the graph's external tensors, sorted, each once.
///
/// # Errors
/// [`Error::BrokenOnnx`] where the structure is broken; [`Error::ExternalDataOutside`] where a location leaves the
/// graph's folder; [`Error::Read`] where the file cannot be opened.
pub fn external_files(onnx: &Path) -> Result<Vec<PathBuf>, Error> {
    let file = File::open(onnx).map_err(|source| Error::Read { path: onnx.into(), source })?;
    let locations =
        locations(BufReader::new(file)).map_err(|reason| Error::BrokenOnnx { path: onnx.into(), reason })?;
    let folder = onnx.parent().unwrap_or(Path::new(""));
    let resolve = |location: String| {
        let inside = Path::new(&location)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if inside {
            Ok(folder.join(location))
        } else {
            Err(Error::ExternalDataOutside { path: onnx.into(), location })
        }
    };
    locations.into_iter().map(resolve).collect()
}

fn locations(file: impl Read + Seek) -> Result<BTreeSet<String>, String> {
    let (reader, end) = Reader::new(file)?;
    let mut walk = Walk { reader, found: BTreeSet::new() };
    walk.message(Message::Model, end, 0)
        .map_err(|reason| format!("{reason} at byte {}", walk.reader.at()))?;
    Ok(walk.found)
}

struct Walk<F> {
    reader: Reader<F>,
    found: BTreeSet<String>,
}

impl<F: Read + Seek> Walk<F> {
    /// Walks one message, which ends at byte `end`.
    fn message(&mut self, message: Message, end: u64, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err("messages are nested too deep".into());
        }
        if message == Message::Entry {
            return self.entry(end);
        }
        while let Some(Field { number, content }) = self.reader.field(end)? {
            match (message.field(number), content) {
                (Some(inner), Content::Until(field_end)) => self.message(inner, field_end, depth + 1)?,
                // A scalar where a message belongs is as good as nothing.
                _ => self.reader.skip(content)?,
            }
        }
        Ok(())
    }

    /// Reads a key and a value, and keeps the value if the key is `location`.
    fn entry(&mut self, end: u64) -> Result<(), String> {
        let mut texts = [Vec::new(), Vec::new()];
        while let Some(Field { number, content }) = self.reader.field(end)? {
            match (number, content) {
                (1 | 2, Content::Until(field_end)) => {
                    texts[number as usize - 1] =
                        self.reader.bytes(field_end, MAX_LOCATION_BYTES, "a location")?;
                }
                _ => self.reader.skip(content)?,
            }
        }
        let [key, value] = texts;
        if key == b"location" {
            self.found.insert(String::from_utf8(value).map_err(|_| "a location is not UTF-8".to_string())?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        assert!(content.len() < 128, "one byte of length is enough in tests");
        [&[number << 3 | 2, content.len() as u8], content].concat()
    }

    fn tensor(key: &str, value: &str) -> Vec<u8> {
        let entry = [field(1, key.as_bytes()), field(2, value.as_bytes())].concat();
        [vec![0x08, 0x02], field(9, b"raw data"), field(13, &entry)].concat()
    }

    /// One external initializer, one with another key, and one in a subgraph of a node.
    fn model() -> Vec<u8> {
        let inner = field(5, &tensor("location", "inner.bin"));
        let node = field(5, &field(6, &inner));
        let graph =
            [field(5, &tensor("location", "a.data")), field(5, &tensor("offset", "4096")), field(1, &node)];
        [vec![0x08, 0x08], field(7, &graph.concat())].concat()
    }

    #[test]
    fn locations_are_found_wherever_a_tensor_may_be() {
        let found = locations(Cursor::new(model())).expect("a model");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a.data", "inner.bin"]);
    }

    #[test]
    fn a_cut_file_is_an_error_that_names_the_byte() {
        let model = model();
        let error = locations(Cursor::new(&model[..model.len() - 1])).expect_err("cut");
        assert!(error.contains("runs over its end at byte"), "{error}");
    }

    #[test]
    fn external_weights_change_the_fingerprint() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, field(7, &field(5, &tensor("location", "w.bin")))).expect("written");
        let fingerprint_with = |weights: &str| {
            std::fs::write(folder.path().join("w.bin"), weights).expect("written");
            of_model(&path).expect("hashed")
        };
        assert_ne!(fingerprint_with("one"), fingerprint_with("two"));
        assert_eq!(fingerprint_with("one"), fingerprint_with("one"));
    }

    #[test]
    fn a_location_may_not_leave_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.onnx");
        for (location, inside) in
            [("w.bin", true), ("./w.bin", true), ("../w.bin", false), ("/etc/passwd", false)]
        {
            std::fs::write(&path, field(7, &field(5, &tensor("location", location)))).expect("written");
            assert_eq!(external_files(&path).is_ok(), inside, "{location}");
        }
    }

    #[test]
    fn endless_nesting_is_refused() {
        // A graph in an attribute of a node of a graph, again and again: each level is 6 bytes.
        let mut graph = Vec::new();
        for _ in 0..MAX_DEPTH {
            let mut wrap = |number: u8| {
                let length = graph.len();
                let length = [(length & 0x7f) as u8 | 0x80, (length >> 7) as u8];
                graph = [&[number << 3 | 2], &length[..], &graph].concat();
            };
            [6, 5, 1].into_iter().for_each(&mut wrap);
        }
        let length = [(graph.len() & 0x7f) as u8 | 0x80, (graph.len() >> 7) as u8];
        let model = [&[7 << 3 | 2], &length[..], &graph].concat();
        let error = locations(Cursor::new(model)).expect_err("too deep");
        assert!(error.contains("nested too deep"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = locations(Cursor::new(bytes));
        }

        #[test]
        fn no_changed_byte_makes_it_panic(at in 0_usize..80, byte in any::<u8>()) {
            let mut model = model();
            let at = at % model.len();
            model[at] = byte;
            let _ = locations(Cursor::new(model));
        }
    }
}
