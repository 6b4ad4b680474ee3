//! Tensors whose numbers lie in files beside the model.

use super::malformed;
use super::numbers::MAX_SHARING;
use crate::Error;
use crate::export::onnx::proto::TensorProto;
use crate::files::map;
use prost::bytes::Bytes;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Component, Path};

/// The files beside one model, each opened once.
pub struct ExternalData<'a> {
    model: &'a Path,
    files: HashMap<String, File>,
}

/// A file, and how many of its bytes tensors have asked for.
struct File {
    bytes: Bytes,
    taken: usize,
}

impl<'a> ExternalData<'a> {
    /// Looks for files in the folder of `model`.
    pub fn beside(model: &'a Path) -> Self {
        ExternalData { model, files: HashMap::new() }
    }

    /// Returns the bytes that the tensor points to.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it points out of the folder or past the end of the file; [`Error::Read`].
    pub fn bytes(&mut self, tensor: &TensorProto) -> Result<Bytes, Error> {
        let refused = |reason| malformed(self.model, format!("the tensor `{}` {reason}", tensor.name));
        let value =
            |key| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| &*entry.value);
        let location = value("location").unwrap_or_default();
        if !is_inside(location) {
            return Err(refused(format!("points to `{location}`, which is not in the model's folder")));
        }
        let number = |key| value(key).map(str::parse::<usize>).transpose();
        let (Ok(offset), Ok(length)) = (number("offset"), number("length")) else {
            return Err(refused(format!("does not say where in `{location}` it is")));
        };
        let file = match self.files.entry(location.to_owned()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let bytes = Bytes::from_owner(map(&self.model.with_file_name("").join(location))?);
                entry.insert(File { bytes, taken: 0 })
            }
        };
        let (start, size) = (offset.unwrap_or(0), file.bytes.len());
        let end = length.map_or(Some(size), |length| start.checked_add(length));
        let Some(end) = end.filter(|&end| start <= end && end <= size) else {
            return Err(refused(format!("does not lie within the {size} bytes of `{location}`")));
        };
        file.taken = file.taken.saturating_add(end - start);
        if file.taken / MAX_SHARING > size {
            return Err(refused(format!("is one of too many that share the bytes of `{location}`")));
        }
        Ok(file.bytes.slice(start..end))
    }
}

/// Says whether a path leads only downwards.
fn is_inside(location: &str) -> bool {
    let is_downward = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    !location.is_empty() && Path::new(location).components().all(is_downward)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::onnx::proto::StringStringEntryProto;

    fn pointing(entries: &[(&str, &str)]) -> TensorProto {
        let entry =
            |&(key, value): &(&str, &str)| StringStringEntryProto { key: key.into(), value: value.into() };
        TensorProto { external_data: entries.iter().map(entry).collect(), ..TensorProto::default() }
    }

    #[test]
    fn only_bytes_of_files_in_the_folder_of_the_model_are_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("secret"), b"secret").unwrap();
        std::fs::write(folder.path().join("sub/data"), b"0123456789").unwrap();
        std::fs::write(folder.path().join("sub/empty"), b"").unwrap();
        let model = folder.path().join("sub/model.onnx");
        let secret = folder.path().join("secret");
        for (entries, expected) in [
            (vec![("location", "data"), ("offset", "2"), ("length", "3")], Ok("234")),
            (vec![("location", "./data"), ("offset", "9")], Ok("9")),
            (vec![("location", "data")], Ok("0123456789")),
            (vec![("location", "data"), ("offset", "10")], Ok("")),
            (vec![("location", "empty")], Ok("")),
            (vec![("location", "data"), ("offset", "11")], Err("within the 10 bytes of `data`")),
            (vec![("location", "data"), ("length", "11")], Err("within the 10 bytes of `data`")),
            (vec![("location", "data"), ("offset", "18446744073709551615"), ("length", "2")], Err("within")),
            (vec![("location", "data"), ("offset", "-1")], Err("does not say where")),
            (vec![("location", "../secret")], Err("not in the model's folder")),
            (vec![("location", "sub/../../secret")], Err("not in the model's folder")),
            (vec![("location", secret.to_str().unwrap())], Err("not in the model's folder")),
            (vec![("location", "")], Err("not in the model's folder")),
            (vec![], Err("not in the model's folder")),
            (vec![("location", "nothing")], Err("cannot read")),
        ] {
            let found = ExternalData::beside(&model).bytes(&pointing(&entries));
            match (found, expected) {
                (Ok(bytes), Ok(expected)) => assert_eq!(bytes, expected, "{entries:?}"),
                (Err(error), Err(expected)) => {
                    assert!(error.to_string().contains(expected), "{entries:?}: {error}")
                }
                (found, _) => panic!("{entries:?}: {found:?}"),
            }
        }
    }
    #[test]
    fn a_file_that_is_asked_for_too_often_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("data"), b"0123456789").unwrap();
        let model = folder.path().join("model.onnx");
        let mut external = ExternalData::beside(&model);
        let answers = (0..100).map(|_| external.bytes(&pointing(&[("location", "data")])));
        let answers: Vec<_> = answers.collect();
        assert!(answers[..MAX_SHARING].iter().all(Result::is_ok));
        assert!(answers[99].as_ref().unwrap_err().to_string().contains("too many that share"));
    }
}
