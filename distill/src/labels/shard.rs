//! One part of the work of labelling, and the files in which the parts lie beside the store.

use crate::error::explained;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// One of several parts of the work of labelling, written `2/8`; the first is `1/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Returns part `index` of `count`, counted from 1.
    ///
    /// # Errors
    /// When there is no such part.
    pub fn new(index: usize, count: usize) -> Result<Self> {
        if (1..=count).contains(&index) {
            return Ok(Shard { index, count });
        }
        let message = format!("there is no shard {index} of {count}");
        let hint = match count {
            0 => "give a number of shards, as in `1/8`".into(),
            _ => format!("shards are counted from `1/{count}` to `{count}/{count}`"),
        };
        Err(explained(message, hint))
    }

    /// Says whether the example at `rank` in the sorted list of keys is in this part.
    pub(super) fn contains(self, rank: usize) -> bool {
        rank % self.count == self.index - 1
    }

    /// Returns where this part of the store at `store` lies.
    pub(super) fn path(self, store: &Path) -> PathBuf {
        let mut name = stem(store);
        name.push(format!(".shard-{}-of-{}.safetensors", self.index, self.count));
        store.with_file_name(name)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers =
            text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        let (index, count) = numbers.ok_or_else(|| {
            explained(
                format!("`{}` is not a shard", text.escape_debug()),
                "write which part of how many, as in `2/8`",
            )
        })?;
        Shard::new(index, count)
    }
}

/// Returns the shards that lie beside a store, in the order of their names.
///
/// # Errors
/// When the folder cannot be listed.
pub(super) fn beside(store: &Path) -> Result<Vec<PathBuf>> {
    let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot_list = || format!("cannot list `{}`", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(cannot_list)?,
    };
    let stem = stem(store);
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.with_context(cannot_list)?.file_name();
        if is_shard(&name, &stem) {
            found.push(store.with_file_name(name));
        }
    }
    found.sort();
    Ok(found)
}

fn stem(store: &Path) -> OsString {
    store.file_stem().unwrap_or_default().to_owned()
}

fn is_shard(name: &OsString, stem: &OsString) -> bool {
    let numbers = name
        .as_encoded_bytes()
        .strip_prefix(stem.as_encoded_bytes())
        .and_then(|rest| rest.strip_prefix(b".shard-"))
        .and_then(|rest| rest.strip_suffix(b".safetensors"))
        .and_then(|numbers| str::from_utf8(numbers).ok());
    numbers.is_some_and(|numbers| numbers.replacen("-of-", "/", 1).parse::<Shard>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;
    use crate::labels::sample::{Sample, teacher};
    use crate::labels::{Plan, label, plan};

    #[test]
    fn a_shard_is_written_as_it_is_read_and_anything_else_is_explained() {
        for text in ["1/1", "2/8", "8/8"] {
            assert_eq!(text.parse::<Shard>().unwrap().to_string(), text);
        }
        for (text, message, hint) in [
            ("0/8", "there is no shard 0 of 8", "counted from `1/8` to `8/8`"),
            ("9/8", "there is no shard 9 of 8", "counted from `1/8` to `8/8`"),
            ("0/0", "there is no shard 0 of 0", "as in `1/8`"),
            ("a/b", "`a/b` is not a shard", "as in `2/8`"),
            ("2", "`2` is not a shard", "as in `2/8`"),
            ("2/8/9", "`2/8/9` is not a shard", "as in `2/8`"),
            ("-1/8\u{1b}", "`-1/8\\u{1b}` is not a shard", "as in `2/8`"),
        ] {
            let error = text.parse::<Shard>().unwrap_err();
            assert_eq!(error.to_string(), message);
            assert!(hint_of(&error).unwrap().ends_with(hint), "{text}");
        }
    }

    #[test]
    fn only_shards_of_the_same_store_lie_beside_it() {
        let sample = Sample::new(0);
        let shards = ["labels.shard-1-of-2.safetensors", "labels.shard-3-of-4.safetensors"];
        let strangers = [
            "labels.safetensors",
            "labels.shard-3-of-2.safetensors",
            "labels.shard-1-of-2.safetensors.journal",
            "labels.shard-x-of-2.safetensors",
            "other.shard-1-of-2.safetensors",
        ];
        for name in strangers.iter().chain(&shards) {
            std::fs::write(sample.folder.path().join(name), "").unwrap();
        }
        let found = beside(&sample.path).unwrap();
        assert_eq!(found, shards.map(|name| sample.folder.path().join(name)));
        assert_eq!("1/2".parse::<Shard>().unwrap().path(&sample.path), found[0]);
    }

    #[test]
    fn eight_shards_merge_to_the_bytes_of_one_run() {
        let (whole, parts) = (Sample::new(100), Sample::new(100));
        whole.label();
        for index in [5, 3, 8, 1, 2, 7, 6] {
            let request = parts.shard(&format!("{index}/8"));
            let share = if index <= 4 { 13 } else { 12 };
            assert_eq!(plan(&request).unwrap(), Plan { total: share, known: 0, missing: share });
            assert_eq!(label(&request, &mut teacher(&parts.keys)).unwrap().len(), share);
        }
        assert!(!parts.path.exists());
        // The shard that nobody labelled is what is missing.
        assert_eq!(plan(&parts.request()).unwrap(), Plan { total: 100, known: 87, missing: 13 });
        assert_eq!(parts.label().len(), 100);
        assert!(parts.bytes() == whole.bytes());
        assert_eq!(parts.files().len(), 8, "the shards are left in place");
        assert_eq!(label(&parts.shard("4/8"), &mut |_| panic!("all is known")).unwrap().len(), 0);
    }

    #[test]
    fn a_shard_of_another_teacher_is_refused_and_stays() {
        let mut sample = Sample::new(8);
        label(&sample.shard("1/2"), &mut teacher(&sample.keys)).unwrap();
        sample.provenance.teacher = "b".repeat(64);
        let error = label(&sample.request(), &mut |_| panic!("refused before any work")).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("labels.shard-1-of-2.safetensors"), "{message}");
        assert!(message.ends_with("teacher `7ea7ea7ea7ea` instead of `bbbbbbbbbbbb`"), "{message}");
        assert_eq!(sample.files(), ["labels.shard-1-of-2.safetensors"]);
    }
}
