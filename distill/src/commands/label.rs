//! `distill label`: ask the teacher about every text once, and keep what it says.

use super::{Opener, describe};
use crate::cli::{Common, LabelArgs};
use crate::console::Console;
use crate::corpus::Subject;
use crate::labels::Shard;
use crate::recipe::Recipe;
use crate::soft_labels::ask_teacher;
use anyhow::{Context, Result};

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
    let corpus = subject.read(&args.data)?;
    console.say(describe(&corpus));
    let tokenizer = opener.tokenizer(&teacher, &args.teacher, subject.max_length)?;
    if let Some(folder) = args.out.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    }
    let store = ask_teacher(&mut teacher, &tokenizer, &subject, &[&corpus], &args.out, shard, console)?;
    let labelled = store.len();
    let summary = serde_json::json!({ "labels": labelled, "classes": store.num_classes(), "out": args.out });
    if console.json {
        console.hand_out(summary);
    } else {
        console.say(format_args!("{labelled} texts are labelled in {}", args.out.display()));
    }
    Ok(())
}
