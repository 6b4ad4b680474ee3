//! `distill label`: ask the teacher about every text once, and keep what it says.

use super::{Opener, describe};
use crate::cli::{Common, LabelArgs};
use crate::console::Console;
use crate::corpus::Subject;
use crate::labels::Shard;
use crate::recipe::Recipe;
use crate::soft_labels::{Kept, ask_teacher};
use crate::table;
use anyhow::{Context, Result};
use std::sync::Arc;

/// Labels a file.
///
/// # Errors
/// When teacher or data cannot be read, or the labels not be written; what was labelled so far is kept.
pub fn run(args: &LabelArgs, common: &Common, console: &Console) -> Result<()> {
    let shard = args.shard.as_deref().map(str::parse::<Shard>).transpose()?;
    let mut recipe = Recipe::default();
    args.columns.lay_over(&mut recipe);
    let opener = Opener { common, console };
    let mut teacher = opener.open(&args.teacher)?;
    let subject = Subject::of_model(&recipe.data, teacher.config(), teacher.num_classes())?;
    let tokenizer = opener.tokenizer(&teacher, &args.teacher, subject.max_length)?;
    if let Some(folder) = args.out.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    }
    let source = subject.source(&args.data, &tokenizer, opener.threads());
    let table = Arc::new(table::open(&source, &table::folder_of(&args.out), console)?);
    console.say(describe(&subject.examples(&table)?));
    let tables = [table];
    let kept = Kept::new(&args.out, shard, &teacher, &tokenizer, &subject)?;
    let store = ask_teacher(&mut teacher, &kept, &tables, &|| Ok(tables.to_vec()), console)?;
    let labelled = store.len();
    let summary = serde_json::json!({ "labels": labelled, "classes": store.num_classes(), "out": args.out });
    if console.json {
        console.hand_out(summary);
    } else {
        console.say(format_args!("{labelled} texts are labelled in {}", args.out.display()));
    }
    Ok(())
}
