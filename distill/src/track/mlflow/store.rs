//! The files of MLflow's file store: what stands in which, and how names and places are written.

use crate::bundle::write_text;
use crate::data::fingerprint;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The description of an experiment or a run.
pub const META: &str = "meta.yaml";
/// The longest file of text that is read.
const MOST_BYTES: u64 = 1 << 16;
/// The experiment that MLflow expects in a store of its own.
const DEFAULT: [&str; 2] = ["0", "Default"];

/// Returns the folder of the experiment of this name; makes it, and the store, where there is none.
///
/// # Errors
/// When the store cannot be read or written.
pub fn experiment(store: &Path, name: &str, now: u64) -> Result<PathBuf> {
    let context = || format!("cannot use `{}` as a store of MLflow", store.display());
    if !store.exists() {
        let [id, name] = DEFAULT;
        make_experiment(store, id, name, now)?;
    }
    for entry in std::fs::read_dir(store).with_context(context)? {
        let folder = entry.with_context(context)?.path();
        let meta = read(&folder.join(META));
        if value_of(&meta, "name").is_some_and(|found| found == name) && value_of(&meta, "run_id").is_none() {
            return Ok(folder);
        }
    }
    make_experiment(store, &id_of(name), name, now)
}

/// Returns an id as MLflow makes them, 18 digits, that is the same for the same name.
fn id_of(name: &str) -> String {
    let number = u64::from_str_radix(&fingerprint(name.as_bytes())[..15], 16).unwrap_or(1);
    (100_000_000_000_000_000 + number % 900_000_000_000_000_000).to_string()
}

fn make_experiment(store: &Path, id: &str, name: &str, now: u64) -> Result<PathBuf> {
    let folder = store.join(id);
    make_folder(&folder)?;
    let meta = [
        ("artifact_location", text(&uri_of(&folder)?)),
        ("creation_time", now.to_string()),
        ("experiment_id", text(id)),
        ("last_update_time", now.to_string()),
        ("lifecycle_stage", text("active")),
        ("name", text(name)),
    ];
    write_text(&folder.join(META), &yaml(&meta))?;
    Ok(folder)
}

/// Makes a folder with all above it.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))
}

/// Returns a map of plain values as YAML. The values are YAML already.
pub fn yaml(map: &[(&str, String)]) -> String {
    map.iter().fold(String::new(), |mut yaml, (key, value)| {
        let _ = writeln!(yaml, "{key}: {value}");
        yaml
    })
}

/// Quotes a text for YAML: as in JSON, which is part of it.
pub fn text(text: &str) -> String {
    Value::from(text).to_string()
}

/// Returns the value of a key at the top of a YAML file of plain values, without its quotes.
pub fn value_of<'a>(yaml: &'a str, key: &str) -> Option<&'a str> {
    let value = yaml.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?.trim();
    let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    Some(quoted.unwrap_or(value))
}

/// Reads a small text file; what cannot be read is empty.
pub fn read(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text));
    if read.is_ok() { text } else { String::new() }
}

/// Returns the `file://` address of a path.
///
/// # Errors
/// When the working directory is not known.
pub fn uri_of(path: &Path) -> Result<String> {
    let path = std::path::absolute(path).with_context(|| format!("`{}` is no place", path.display()))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let mut uri = String::from("file://");
    for byte in path.to_string_lossy().bytes() {
        match plain(byte) {
            true => uri.push(char::from(byte)),
            false => uri += &format!("%{byte:02X}"),
        }
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_is_made_once_and_one_of_mlflow_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("mlruns");
        let made = experiment(&store, "distill", 7).unwrap();
        assert_eq!(experiment(&store, "distill", 8).unwrap(), made);
        assert_eq!(value_of(&read(&store.join("0/meta.yaml")), "name"), Some("Default"));
        let id = made.file_name().unwrap().to_string_lossy().into_owned();
        assert!(id.len() == 18 && id.parse::<i64>().is_ok(), "{id}");
        assert_eq!(value_of(&read(&made.join(META)), "creation_time"), Some("7"));

        let other = folder.path().join("other");
        std::fs::create_dir_all(other.join("12")).unwrap();
        std::fs::write(other.join("12/meta.yaml"), "experiment_id: '12'\nname: distill\n").unwrap();
        assert_eq!(experiment(&other, "distill", 7).unwrap(), other.join("12"));
        assert!(!other.join("0").exists(), "a store that is there is somebody's");
    }

    #[test]
    fn places_are_written_as_addresses() {
        assert_eq!(uri_of(Path::new("/a b/ü.c")).unwrap(), "file:///a%20b/%C3%BC.c");
    }

    #[test]
    fn values_are_read_as_mlflow_writes_them() {
        let yaml = "name: 'a b'\nrun_id: x\nempty: ''\nquoted: \"c\"\nname_too: d\n";
        for (key, expected) in [
            ("name", Some("a b")),
            ("run_id", Some("x")),
            ("empty", Some("")),
            ("quoted", Some("c")),
            ("no", None),
        ] {
            assert_eq!(value_of(yaml, key), expected);
        }
    }
}
