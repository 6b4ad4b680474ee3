//! The invariants of the architecture, as far as the source itself can show them.

use std::path::{Path, PathBuf};

const MAX_LINES: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is there")
}

/// Returns every source file below a folder, by its path from the root, with its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let (mut files, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).expect("it is below the root").display().to_string();
                files.push((name, std::fs::read_to_string(&path).expect("sources are text")));
            }
        }
    }
    assert!(!files.is_empty(), "{folder} has sources");
    files
}

fn all() -> Vec<(String, String)> {
    ["teacher/src", "student/src", "distill/src"].into_iter().flat_map(sources).collect()
}

/// Returns the lines without comments and without tests.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..end].lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn the_crates_depend_on_each_other_in_one_direction() {
    for (crate_name, forbidden) in [("teacher", ["student", "distill"]), ("student", ["teacher", "distill"])]
    {
        let manifest = std::fs::read_to_string(root().join(crate_name).join("Cargo.toml")).unwrap();
        let dependencies = &manifest[manifest.find("[dependencies]").unwrap()..];
        for name in forbidden {
            assert!(!dependencies.lines().any(|line| line.starts_with(name)), "{crate_name} knows {name}");
        }
    }
}

#[test]
fn foreign_crates_are_named_in_one_place() {
    for (word, home) in [
        ("ort::", &["teacher/src/teacher/"][..]),
        ("tokenizers::", &["distill/src/tokens"]),
        ("clap::", &["distill/src/cli/", "distill/src/main.rs"]),
        ("rayon::", &["student/src/kernels/"]),
        ("ndarray::parallel", &["student/src/kernels/"]),
        ("prost::", &["student/src/export/onnx/", "student/src/import/", "distill/src/track/tensorboard/"]),
        (
            "unsafe ",
            &[
                "student/src/kernels/",
                "student/src/files.rs",
                "distill/src/memory.rs",
                "distill/src/interrupt.rs",
            ],
        ),
        ("eprintln!", &["distill/src/console.rs"]),
    ] {
        for (file, text) in all() {
            let named = code(&text).any(|line| {
                line.match_indices(word).any(|(at, _)| {
                    !line[..at]
                        .ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
                })
            });
            let at_home = home.iter().any(|home| file.starts_with(home));
            assert!(!named || at_home, "{file} names `{word}`, which belongs to {home:?}");
        }
    }
}

#[test]
fn the_student_knows_no_loss_no_text_no_clock_and_no_output() {
    for (file, text) in sources("student/src") {
        for word in
            ["cross_entropy", "temperature", "tokenizer", "Instant::now", "SystemTime", "println!", "log::"]
        {
            assert!(!code(&text).any(|line| line.contains(word)), "{file} names `{word}`");
        }
    }
}

#[test]
fn layers_hold_addresses_and_no_numbers() {
    for (file, text) in sources("student/src/layers") {
        let mut holder = None;
        for line in code(&text) {
            if let Some(name) = line.strip_prefix("pub struct ") {
                // What a pass keeps, and what it shows.
                let is_passing = name.contains("Saved") || name.starts_with("Inside");
                holder = (!is_passing).then(|| name.to_owned());
            } else if line.starts_with('}') {
                holder = None;
            }
            let numbers = ["Array", "Vec<F", "Vec<f32", "Arena"].iter().any(|word| line.contains(word));
            assert!(holder.is_none() || !numbers, "{file}: {holder:?} holds numbers: {line}");
        }
    }
}

#[test]
fn files_are_small_and_say_why_they_exist() {
    for (file, text) in all().into_iter().chain(sources("tests/it")) {
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{file} has {lines} lines");
        let explained = text.starts_with("//!") || file.ends_with("tests.rs");
        assert!(explained, "{file} does not begin with why it exists");
    }
}

#[test]
fn main_is_short() {
    let main = std::fs::read_to_string(root().join("distill/src/main.rs")).unwrap();
    assert!(main.lines().count() <= 40);
}
