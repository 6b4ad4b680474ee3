//! A file as a student reads it, made once and mapped ever after: a run on millions of rows starts at once and holds none of
//! them in memory, and making the table takes no more memory for a larger file.
//!
//! A table is one safetensors file, that any tool can open. A row is an example of a data file, or a sequence of a plain
//! text, in the order of the file:
//!
//! ```text
//! starts    U64 [⌈n / 64⌉]   the tokens before each 64th row
//! order     U32 [n]          the rows in the order of their keys, those with equal keys in that of the data
//! classes   U16 [n]          of each row the number of its label in `labels`, from 1; 0 for none
//!  or values  F32 [n]        of a regression the label itself; not a number for none
//! lengths   U16 or U32 [n]   the tokens of each row
//! ids       U16 or U32 `[N]`   all tokens, row after row
//! keys      U8  [n, 16]      the keys in that order: hashes that tell an example from all others
//! segments  U8  `[N]`          the segment of each token; not there when all are of the first
//! metadata  `distill`        JSON: version, settings, the data file's stamp, its different labels and their lines
//! ```
//!
//! **When it is used again.** The file's name is that of the data and a hash of its path, of how it is read, and of the
//! tokenizer and the length at which it cuts; all of these stand in the metadata, too. A table is taken if they are the same
//! and the data's SHA-256 is the one that was recorded. Data of up to 64 MB is hashed each time. Larger data is not read if
//! its size, its dates of modification and of any change, its inode and a hash of 64 pieces of it are those recorded; and
//! these are only recorded of a file that was left alone for two seconds before it was read, and while it was. In any doubt
//! the whole file is hashed; in any difference the table is made anew in the place of the old one.
//!
//! **When it is damaged.** All of it is checked when it is opened: shapes, bounds, ids, order. What fails is made anew, and a
//! line says so. Tables can be deleted at any time.
//!
//! **Where it lies.** In a folder beside the labels: `labels.tokens/` beside `labels.safetensors`, so that runs that share
//! labels by `--cache` share their tokens as well, and nothing grows anywhere else. Where nothing can be written, and for data
//! that comes out of a pipe, a table is made in the folder for temporary files and goes with the run.

mod build;
mod file;
mod numbers;
mod rows;
mod sort;
mod stamp;
mod text_rows;
mod writer;

pub use file::Table;

use crate::console::Console;
use crate::data::{Reading, fingerprint};
use crate::task::Kind;
use crate::text::Packing;
use crate::tokens::Tokenizer;
use anyhow::{Context, Result};
use build::build;
use stamp::Before;
use std::path::{Path, PathBuf};
use student::files::map;

/// What a table is made of.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The file.
    pub path: &'a Path,
    /// What is in it.
    pub content: Content<'a>,
    /// What makes tokens of its texts.
    pub tokenizer: &'a Tokenizer,
    /// The threads to use, 0 for all cores; they change nothing.
    pub threads: usize,
}

/// What a file holds.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    /// Examples: each is a row.
    Rows {
        /// How they are read.
        reading: &'a Reading,
        /// Whether their labels are classes or values.
        kind: Kind,
    },
    /// Plain text: each sequence that is made of it is a row, without a label unless it is a pair of which something is to
    /// be told. What a row is named by are its tokens.
    Text(&'a Packing),
}

/// Returns the folder for the tables that belong to the labels at `path`.
pub fn folder_of(labels: &Path) -> PathBuf {
    labels.with_extension("tokens")
}

/// Opens the table of a file in a folder, or makes it.
///
/// # Errors
/// When the file cannot be read or a row is wrong, located; when the tokenizer fails, or the disk.
pub fn open(source: &Source<'_>, folder: &Path, console: &Console) -> Result<Table> {
    let target = folder.join(source.file_name());
    if target.exists() {
        match source.view(&target) {
            Ok(Some(table)) if table.stamp().fits(source.path).unwrap_or(false) => return Ok(table),
            Ok(_) => {}
            Err(reason) => console
                .say(format_args!("`{}` is no valid table, {reason:#}; it is made anew", target.display())),
        }
    }
    let attempt = || {
        std::fs::create_dir_all(folder)?;
        tempfile::tempfile_in(folder).map(|_| ())
    };
    if !Before::of(source.path).is_file() {
        return source.in_passing(console);
    }
    if let Err(error) = attempt() {
        console.say(format_args!("the tokens cannot be kept in `{}`: {error}", folder.display()));
        return source.in_passing(console);
    }
    build(source, &target, console)?;
    source.expect(&target)
}

impl Source<'_> {
    /// Returns everything that a table depends on besides the bytes of the file.
    fn settings(&self) -> String {
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.to_owned());
        let (tokenizer, max_length) = (self.tokenizer.fingerprint(), self.tokenizer.max_length());
        let content = match self.content {
            Content::Rows { reading, kind } => format!("{reading:?} · {kind:?}"),
            Content::Text(packing) => format!("{packing:?}"),
        };
        format!("{} · {content} · {tokenizer} · {max_length}", path.display())
    }

    fn file_name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("{name}-{}.safetensors", &fingerprint(self.settings().as_bytes())[..16])
    }

    /// Makes a table that is gone when it is dropped.
    fn in_passing(&self, console: &Console) -> Result<Table> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let target = folder.path().join(self.file_name());
        build(self, &target, console)?;
        self.expect(&target)
    }

    fn view(&self, target: &Path) -> Result<Option<Table>> {
        let bytes = Box::new(map(target)?);
        Table::view(self.path, bytes, &self.settings(), self.tokenizer.vocab_size())
            .map_err(anyhow::Error::msg)
    }

    /// Opens a table that has just been made.
    fn expect(&self, target: &Path) -> Result<Table> {
        let is_not_read_back = || format!("`{}` was written, but cannot be read back", target.display());
        self.view(target).with_context(is_not_read_back)?.with_context(is_not_read_back)
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod text_tests;
