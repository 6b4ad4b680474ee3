//! `distill bench label`: texts in a second by the path that `label` takes, and what of it the teacher does not take.

use super::Settings;
use super::sentences::sentences;
use super::table::Row;
use crate::asking::ask;
use crate::commands::Opener;
use crate::console::{Console, Talk};
use crate::corpus::Subject;
use crate::cost::clock::{Cost, median, timed};
use crate::labels::{CHUNK, Keys};
use crate::recipe::Recipe;
use crate::soft_labels::{Kept, ask_teacher};
use crate::table::{self, Source, Table};
use crate::tokens::Encodings;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use teacher::Teacher;

const WHAT: &str = "label";

/// The sentences that are made up when no file is given.
const NUM_SENTENCES: usize = 2048;

/// How often a small file is labelled; a larger one takes long enough to be measured once.
const ROUNDS: usize = 3;

/// The cost of each part of labelling a file.
struct Parts {
    tokens: Cost,
    labels: Cost,
    sessions: Cost,
}

/// Labels texts into a temporary folder, in turns with asking the teacher about the same tokens and no more.
///
/// # Errors
/// When the model cannot be opened, the data not be read, or the teacher fails.
pub fn rows(settings: &Settings, model: &Path, data: Option<&Path>, opener: &Opener<'_>) -> Result<Vec<Row>> {
    let mut teacher = opener.open(model)?;
    let subject = Subject::of_model(&Recipe::default().data, teacher.config(), teacher.num_classes())?;
    let tokenizer = opener.tokenizer(&teacher, model, subject.max_length)?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let data = match data {
        Some(data) => data.to_owned(),
        None => made_up(&sentences(&tokenizer, NUM_SENTENCES), folder.path())?,
    };
    let source = subject.source(&data, &tokenizer, settings.threads.count());
    // A moving bar would be measured, too; and the file's fingerprint is made once for a model, not for a text.
    let talk = if opener.console.talk == Talk::None { Talk::None } else { Talk::Lines };
    let console = Console { talk, ..*opener.console };
    teacher.fingerprint()?;
    let table = table::open(&source, folder.path(), &console)?;
    let texts = distinct(&table);
    // Sessions are opened before the clock starts.
    ask(&mut teacher, &texts, 0..texts.len().min(CHUNK), &|_| {})?;
    let mut rounds = Vec::new();
    for round in 0..if texts.len() <= CHUNK { ROUNDS } else { 1 } {
        let labels = folder.path().join(format!("labels-{round}.safetensors"));
        rounds.push(label(&mut teacher, &source, &subject, &texts, &labels, &console)?);
    }
    Ok(report(&rounds, &texts))
}

/// Labels the file at `source`, and asks the teacher once more about the same texts.
fn label(
    teacher: &mut Teacher,
    source: &Source<'_>,
    subject: &Subject,
    texts: &Encodings,
    labels: &Path,
    console: &Console,
) -> Result<Parts> {
    let (table, tokens) = timed(|| table::open(source, &table::folder_of(labels), console));
    let tables = [Arc::new(table?)];
    let kept = Kept::new(labels, None, teacher, source.tokenizer, subject)?;
    let (done, labels) = timed(|| ask_teacher(teacher, &kept, &tables, &|| Ok(tables.to_vec()), console));
    done?;
    let windows = (0..texts.len()).step_by(CHUNK).map(|first| first..(first + CHUNK).min(texts.len()));
    let (done, sessions) =
        timed(|| windows.into_iter().try_for_each(|window| ask(teacher, texts, window, &|_| {}).map(|_| ())));
    done?;
    Ok(Parts { tokens, labels, sessions })
}

fn report(rounds: &[Parts], texts: &Encodings) -> Vec<Row> {
    let of = |part: fn(&Parts) -> Cost| median(&rounds.iter().map(part).collect::<Vec<_>>());
    let (tokens, labels, sessions) =
        (of(|parts| parts.tokens), of(|parts| parts.labels), of(|parts| parts.sessions));
    let whole = tokens.plus(labels);
    let num_tokens = texts.lengths().iter().sum();
    let row = |name: &str, cost: Cost| Row::new(WHAT, name, cost).with_whole(whole);
    vec![
        row("whole", whole).with_texts(num_tokens, texts.len()),
        row("part: tokens", tokens).with_texts(num_tokens, texts.len()),
        row("part: sessions", sessions).with_texts(num_tokens, texts.len()),
        row("part: rest", labels.minus(sessions)),
    ]
}

/// Writes sentences as a data file.
fn made_up(sentences: &[String], folder: &Path) -> Result<PathBuf> {
    let file = folder.join("sentences.tsv");
    std::fs::write(&file, format!("sentence\n{}\n", sentences.join("\n")))
        .with_context(|| format!("cannot write `{}`", file.display()))?;
    Ok(file)
}

/// Returns the first of all equal texts: each is asked about once.
fn distinct(table: &Table) -> Encodings {
    let mut texts = Encodings::default();
    let keys = Keys::new(vec![table.keys()]);
    keys.distinct().for_each(|(row, _)| table.encode_into(row, &mut texts));
    texts
}
