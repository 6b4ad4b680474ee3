//! Finds the files of a model: a folder in the Hugging Face layout, or a bare ONNX file.

use std::path::{Path, PathBuf};

use crate::Error;

/// Where a folder keeps its graph, most likely first.
const USUAL_NAMES: [&str; 2] = ["model.onnx", "onnx/model.onnx"];

/// The files of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelFiles {
    /// The graph.
    pub onnx: PathBuf,
    /// The configuration, where there is one.
    pub config: Option<PathBuf>,
}

impl ModelFiles {
    /// Finds the graph at `path` or in it, and the `config.json` beside it (or above it, if it lies in `onnx/`).
    pub fn find(path: &Path) -> Result<ModelFiles, Error> {
        let onnx = if path.is_dir() {
            let candidates = USUAL_NAMES.map(|name| path.join(name));
            candidates.into_iter().find(|file| file.is_file()).ok_or_else(|| Error::NoModelInFolder {
                folder: path.into(),
                looked_for: USUAL_NAMES.map(String::from).to_vec(),
            })?
        } else if path.exists() {
            path.to_owned()
        } else {
            return Err(Error::NoSuchModel { path: path.into() });
        };
        let config = config_of(&onnx);
        Ok(ModelFiles { onnx, config })
    }
}

fn config_of(onnx: &Path) -> Option<PathBuf> {
    let folder = std::path::absolute(onnx).ok()?.parent()?.to_owned();
    let above = folder.parent().filter(|_| folder.ends_with("onnx"));
    [Some(folder.as_path()), above]
        .into_iter()
        .flatten()
        .map(|folder| folder.join("config.json"))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, "").expect("written");
        }
        folder
    }

    #[test]
    fn graph_and_config_are_found_in_each_usual_layout() {
        for (files, given, onnx, config) in [
            (vec!["model.onnx", "config.json"], "", "model.onnx", Some("config.json")),
            (vec!["onnx/model.onnx", "config.json"], "", "onnx/model.onnx", Some("config.json")),
            (vec!["onnx/model.onnx", "config.json"], "onnx", "onnx/model.onnx", Some("config.json")),
            (vec!["onnx/model.onnx", "model.onnx"], "", "model.onnx", None),
            (
                vec!["onnx/a.onnx", "onnx/config.json", "config.json"],
                "onnx/a.onnx",
                "onnx/a.onnx",
                Some("onnx/config.json"),
            ),
            (vec!["sub/a.onnx", "config.json"], "sub/a.onnx", "sub/a.onnx", None),
        ] {
            let folder = folder_with(&files);
            let found = ModelFiles::find(&folder.path().join(given)).expect(given);
            assert_eq!(found.onnx, folder.path().join(onnx), "{files:?}");
            assert_eq!(found.config, config.map(|file| folder.path().join(file)), "{files:?}");
        }
    }

    #[test]
    fn a_folder_without_a_graph_says_what_was_looked_for() {
        let folder = folder_with(&["config.json"]);
        let error = ModelFiles::find(folder.path()).expect_err("no graph").to_string();
        assert!(error.ends_with("looked for `model.onnx`, `onnx/model.onnx`"), "{error}");
    }

    #[test]
    fn a_path_to_nothing_is_named() {
        let error = ModelFiles::find(Path::new("no/such/model.onnx")).expect_err("nothing there");
        assert_eq!(error.to_string(), "there is no model at `no/such/model.onnx`");
    }
}
