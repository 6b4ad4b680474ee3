//! `distill bench label`: texts in a second by the path that `label` takes, and what of it the teacher does not take.

use super::Settings;
use super::clock::{Cost, timed};
use super::sentences::sentences;
use super::table::Row;
use crate::asking::ask;
use crate::commands::Opener;
use crate::console::{Console, Talk};
use crate::corpus::{Corpus, Subject};
use crate::recipe::Recipe;
use crate::soft_labels::ask_teacher;
use crate::tokens::Tokenizer;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::Path;
use teacher::Teacher;

const WHAT: &str = "label";

/// The sentences that are made up when no file is given.
const NUM_SENTENCES: usize = 2048;

/// The texts that the teacher is asked about at once, as in labelling.
const WINDOW: usize = 4096;

/// Labels texts into a temporary folder, then does each part of that alone.
///
/// # Errors
/// When the model cannot be opened, the data not be read, or the teacher fails.
pub fn rows(settings: &Settings, model: &Path, data: Option<&Path>, opener: &Opener<'_>) -> Result<Vec<Row>> {
    let mut teacher = opener.open(model)?;
    let subject = Subject::of_model(&Recipe::default().data, teacher.config(), teacher.num_classes())?;
    let tokenizer = opener.tokenizer(&teacher, model, subject.max_length)?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let corpus = match data {
        Some(data) => subject.read(data)?,
        None => {
            let file = folder.path().join("sentences.tsv");
            let lines = sentences(&tokenizer, NUM_SENTENCES).join("\n");
            std::fs::write(&file, format!("sentence\n{lines}\n"))
                .with_context(|| format!("cannot write `{}`", file.display()))?;
            subject.read(&file)?
        }
    };
    let threads = settings.threads.count();
    let (encodings, tokenize) = timed(|| corpus.encode(&tokenizer, threads));
    let encodings = encodings?;
    let chosen = distinct(&corpus);
    // Sessions are opened before the clock starts.
    ask(&mut teacher, &encodings, chosen.iter().copied().take(WINDOW), &|_| {})?;
    let (done, sessions) = timed(|| {
        chosen
            .chunks(WINDOW)
            .try_for_each(|window| ask(&mut teacher, &encodings, window.iter().copied(), &|_| {}).map(|_| ()))
    });
    done?;
    let whole = label(&mut teacher, &tokenizer, &subject, &corpus, folder.path(), opener.console)?;
    let tokens = chosen.iter().map(|&i| encodings.get(i).0.len()).sum();
    Ok(vec![
        Row::new(WHAT, "whole", whole).with_texts(tokens, chosen.len()).with_whole(whole),
        Row::new(WHAT, "part: sessions", sessions).with_texts(tokens, chosen.len()).with_whole(whole),
        Row::new(WHAT, "part: tokenizer", tokenize)
            .with_texts(encodings.lengths().iter().sum(), corpus.len())
            .with_whole(whole),
        Row::new(WHAT, "part: outside of sessions", whole.minus(sessions)).with_whole(whole),
    ])
}

/// Labels by the path that `distill label` takes.
fn label(
    teacher: &mut Teacher,
    tokenizer: &Tokenizer,
    subject: &Subject,
    corpus: &Corpus,
    folder: &Path,
    console: &Console,
) -> Result<Cost> {
    let store = folder.join("labels.safetensors");
    // A moving bar would be measured, too.
    let talk = if console.talk == Talk::None { Talk::None } else { Talk::Lines };
    let console = Console { talk, ..*console };
    // The teacher's fingerprint is made once for a file, not for a text.
    teacher.fingerprint()?;
    let (done, cost) = timed(|| ask_teacher(teacher, tokenizer, subject, &[corpus], &store, None, &console));
    done.map(|_| cost)
}

/// Returns the first of all equal texts: each is asked about once.
fn distinct(corpus: &Corpus) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    (0..corpus.len()).filter(|&i| seen.insert(corpus.keys[i])).collect()
}
