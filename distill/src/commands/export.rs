//! `distill export`: a trained student as a directory that other tools load.

use super::Opener;
use super::trim::trim;
use crate::bundle::{self, Bundle};
use crate::cli::{Common, ExportArgs};
use crate::console::Console;
use crate::corpus::Subject;
use crate::recipe::Recipe;
use crate::report::count;
use crate::run_folder::{Existing, RunFolder};
use crate::tokens::{Encodings, Tokenizer};
use crate::vocabulary::{Model, Staged};
use anyhow::Result;
use student::Architecture;
use teacher::ModelConfig;

/// Texts of many lengths and kinds, to verify on when no others are given.
pub const SENTENCES: &[&str] = &[
    "Good.",
    "It works!",
    "Nobody expected the ending, and nobody liked it.",
    "A quick brown fox jumps over the lazy dog, again and again, until the dog moves.",
    "naïve café, 東京, Привет, 안녕하세요, 🙂",
    "http://example.org/?q=1&r=2 costs $3.50 (or 4,99 €) — 100 % more than in 2019",
    "unbelievably antidisestablishmentarian pseudopseudohypoparathyroidism",
    "The committee, which had met three times that week without agreeing on anything but the date of its next meeting, \
     at last adopted the report that its chair had written before the first session, thanked the interpreters, and went \
     to lunch; the minutes, two pages long, say only that the discussion was frank.",
];

/// Exports a student and verifies the export.
///
/// # Errors
/// When the student cannot be read, the directory not be written, or the graph differs from the student.
pub fn run(args: &ExportArgs, common: &Common, console: &Console) -> Result<()> {
    let bundle = Bundle::open(&args.student)?;
    let existing = if args.overwrite { Existing::Overwrite } else { Existing::Refuse };
    let folder = RunFolder::open(&args.out, existing, bundle::ONNX)?;
    let max_length = bundle.bert.config().max_position_embeddings;
    let tokenizer = bundle::tokenizer(&args.student, max_length)?;
    tokenizer.check_vocabulary(bundle.bert.config().vocab_size, &args.student.display().to_string())?;
    let staged = trimmed(args, &bundle, &tokenizer, &Opener { common, console })?;
    let (bundle, tokenizer) = match &staged {
        Some(staged) => (Bundle::open(&staged.path())?, bundle::tokenizer(&staged.path(), max_length)?),
        None => (bundle, tokenizer),
    };
    let encodings = encodings(args, &tokenizer)?;

    let metadata = bundle::metadata_of(&bundle.folder);
    let (opener, notify) = (Opener { common, console }, |line: &str| console.say(line));
    bundle::write(folder.path(), &bundle.bert, &bundle.params, tokenizer.source(), &metadata)?;
    let parameters = bundle.bert.layout().num_parameters();
    let mut engine = bundle::engine(bundle.bert, bundle.params, opener.threads(), student::Precision::F32)?;
    let verification = bundle::verify(folder.path(), &mut engine, &encodings, &opener.options(&notify))?;
    let graph = folder.join(bundle::ONNX);
    let bytes = std::fs::metadata(&graph)?.len();
    if console.json {
        console.hand_out(serde_json::json!({
            "onnx": graph, "bytes": bytes, "parameters": parameters, "verification": verification,
        }));
    } else {
        console.say(format_args!(
            "{} · {:.1} MB · {} parameters · verified on {} texts: logits differ by at most {:.1e}",
            graph.display(),
            bytes as f64 / 1e6,
            count(parameters),
            verification.examples,
            verification.max_difference
        ));
    }
    Ok(())
}

/// Makes the student with fewer words first, when that is asked for.
fn trimmed(
    args: &ExportArgs,
    bundle: &Bundle,
    tokenizer: &Tokenizer,
    opener: &Opener<'_>,
) -> Result<Option<Staged>> {
    let Some(corpus) = &args.trim_vocab else { return Ok(None) };
    let mut recipe = Recipe::default();
    args.columns.lay_over(&mut recipe);
    let config = ModelConfig::read(&args.student.join("config.json"))?;
    let subject = Subject::of_model(&recipe.data, &config, None)?;
    trim(&Model::Student(bundle), tokenizer, corpus, &subject, opener).map(Some)
}

fn encodings(args: &ExportArgs, tokenizer: &Tokenizer) -> Result<Encodings> {
    let Some(path) = &args.data else {
        let texts: Vec<_> = SENTENCES.iter().map(|text| (*text, None)).collect();
        return tokenizer.encode(&texts, 0);
    };
    let mut recipe = Recipe::default();
    args.columns.lay_over(&mut recipe);
    let config = ModelConfig::read(&args.student.join("config.json"))?;
    Subject::of_model(&recipe.data, &config, None)?.read(path)?.encode(tokenizer, 0)
}
