//! What the teacher says about a text: asked once, kept on disk, never confused with another text's.

use crate::asking::ask;
use crate::console::Console;
use crate::corpus::{Corpus, Subject};
use crate::labels::{self, LabelStore, Plan, Provenance, Request, Shard};
use crate::tokens::Tokenizer;
use anyhow::Result;
use std::path::Path;
use std::sync::Mutex;
use teacher::Teacher;

/// Returns what labels depend on besides the text.
///
/// # Errors
/// When the teacher's file cannot be read.
fn provenance(teacher: &Teacher, tokenizer: &Tokenizer, subject: &Subject) -> Result<Provenance> {
    Ok(Provenance {
        teacher: teacher.fingerprint()?.to_owned(),
        tokenizer: tokenizer.fingerprint().to_owned(),
        max_length: subject.max_length,
        labels: own_names(teacher, subject),
    })
}

/// Returns the teacher's own names of its logits, whatever the user calls them: what they mean did not change.
fn own_names(teacher: &Teacher, subject: &Subject) -> Vec<String> {
    let own = &teacher.config().id2label;
    let count = subject.logit_names().len();
    if own.len() == count { own.clone() } else { (0..count).map(|id| format!("LABEL_{id}")).collect() }
}

/// Returns the teacher's logits of all texts, asking it only about those that the store at `path` lacks.
///
/// # Errors
/// When the store is of another teacher, tokenizer or setting, or the teacher fails.
pub fn ask_teacher(
    teacher: &mut Teacher,
    tokenizer: &Tokenizer,
    subject: &Subject,
    corpora: &[&Corpus],
    path: &Path,
    shard: Option<Shard>,
    console: &Console,
) -> Result<LabelStore> {
    let texts: Vec<(&str, Option<&str>)> = corpora.iter().flat_map(|corpus| corpus.dataset.texts()).collect();
    let keys: Vec<labels::Key> = corpora.iter().flat_map(|corpus| corpus.keys.iter().copied()).collect();
    let provenance = provenance(teacher, tokenizer, subject)?;
    let request = Request { path, provenance: &provenance, keys: &keys, shard };
    let plan = labels::plan(&request)?;
    let Plan { known, missing, .. } = plan;
    console.say(format_args!("teacher: {missing} texts to label, {known} known"));
    let progress = Mutex::new(console.progress("label", missing));
    let advance = |more| {
        if let Ok(mut progress) = progress.lock() {
            let rate = progress.rate();
            progress.advance(more, || format!("{rate:.0} texts/s"));
        }
    };
    let store = labels::label(&request, &mut |chosen: &[usize]| {
        let chosen: Vec<_> = chosen.iter().map(|&i| texts[i]).collect();
        let encodings = tokenizer.encode(&chosen, 0)?;
        ask(teacher, &encodings, 0..encodings.len(), &advance)
    })?;
    if let Ok(progress) = progress.into_inner() {
        progress.finish();
    }
    Ok(store)
}
