//! What the teacher says about a text: asked once, kept on disk, never confused with another text's.

use crate::asking::ask;
use crate::console::{Console, SharedProgress};
use crate::corpus::Subject;
use crate::labels::{self, Keys, LabelStore, Plan, Provenance, Request, Shard};
use crate::table::Table;
use crate::tokens::{Encodings, Tokenizer};
use anyhow::Result;
use std::path::Path;
use std::sync::Arc;
use teacher::Teacher;

/// Where a teacher's labels are kept, and what they depend on.
pub struct Kept<'a> {
    /// The store.
    pub path: &'a Path,
    /// The part of the work to do; all of it if absent.
    pub shard: Option<Shard>,
    /// What the labels depend on besides the text.
    pub provenance: Provenance,
}

impl<'a> Kept<'a> {
    /// Says that the labels of this teacher are kept at `path`.
    ///
    /// # Errors
    /// When the teacher's file cannot be read.
    pub fn new(
        path: &'a Path,
        shard: Option<Shard>,
        teacher: &Teacher,
        tokenizer: &Tokenizer,
        subject: &Subject,
    ) -> Result<Self> {
        let provenance = Provenance {
            teacher: teacher.fingerprint()?.to_owned(),
            tokenizer: tokenizer.fingerprint().to_owned(),
            max_length: subject.max_length,
            labels: own_names(teacher, subject),
        };
        Ok(Kept { path, shard, provenance })
    }
}

/// Returns the teacher's own names of its logits, whatever the user calls them: what they mean did not change.
fn own_names(teacher: &Teacher, subject: &Subject) -> Vec<String> {
    let own = &teacher.config().id2label;
    let count = subject.logit_names().len();
    if own.len() == count { own.clone() } else { (0..count).map(|id| format!("LABEL_{id}")).collect() }
}

/// Returns the teacher's logits of all rows of the tables, asking it only about those that the store lacks.
///
/// `encoded` returns the same tables with the tokens of the teacher's own tokenizer. It is called only when something is to
/// be asked, so that nothing is encoded for a teacher that has said everything.
///
/// # Errors
/// When the store is of another teacher, tokenizer or setting, or the teacher fails.
pub fn ask_teacher(
    teacher: &mut Teacher,
    kept: &Kept<'_>,
    tables: &[Arc<Table>],
    encoded: &dyn Fn() -> Result<Vec<Arc<Table>>>,
    console: &Console,
) -> Result<LabelStore> {
    let keys = Keys::new(tables.iter().map(|table| table.keys()).collect());
    let request = Request { path: kept.path, provenance: &kept.provenance, keys, shard: kept.shard };
    let say = |plan: &Plan| {
        console.say(format_args!("teacher: {} texts to label, {} known", plan.missing, plan.known))
    };
    if let Some((store, plan)) = labels::finished(&request)? {
        say(&plan);
        return Ok(store);
    }
    let encoded = encoded()?;
    tables.iter().zip(&encoded).try_for_each(|(table, encoded)| table.check_same_data(encoded))?;
    let plan = labels::plan(&request)?;
    say(&plan);
    let progress = SharedProgress::new(console.progress("label", plan.missing), "texts");
    let store = labels::label(&request, &mut |chosen: &[usize]| {
        let mut encodings = Encodings::default();
        for &index in chosen {
            let (table, row) = request.keys.place(index);
            encoded[table].encode_into(row, &mut encodings);
        }
        ask(teacher, &encodings, 0..encodings.len(), &|more| progress.advance(more))
    })?;
    progress.finish();
    Ok(store)
}
