//! `distill augment`: more texts out of few.
//!
//! The file is read once to learn which texts and words there are, and again to make copies, a window of rows at a time;
//! so it may be larger than memory.

use super::Opener;
use crate::augment::stop_words::Choice;
use crate::augment::{
    Augmenter, Classes, CopyLabels, Demands, Judge, Masker, Neighbours, Seen, Settings, StopWords, Survey,
    Table, Tally, Window, key,
};
use crate::cli::{AugmentArgs, Common, Originals};
use crate::console::Console;
use crate::corpus::Subject;
use crate::data::{Format, Row, RowWriter};
use crate::error::explained;
use crate::names::list;
use crate::recipe::Recipe;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use student::files::write_atomically;

/// Writes a file and copies of its texts.
///
/// # Errors
/// When data or models cannot be read, or the output is there already or cannot be written; nothing is written then.
pub fn run(args: &AugmentArgs, common: &Common, console: &Console) -> Result<()> {
    let format = output_format(args)?;
    let opener = Opener { common, console };
    let (subject, judge) = judge(args, &opener)?;
    let excluded = excluded(args, &subject)?;
    let classes = if args.copies.agree { Classes::Matched } else { Classes::Ignored };
    let mut survey = Survey::of(&subject, &args.data, classes, opener.threads())?;
    let stop_words = match &args.candidates.stop_words {
        Choice::Corpus => survey.counts.frequent(),
        Choice::Nothing => StopWords::default(),
        Choice::File(path) => StopWords::read(path)?,
    };
    let alone = stop_words.sorted();
    console.say(format_args!(
        "{} texts; {} words are left alone: {}",
        survey.rows,
        alone.len(),
        list(alone.clone())
    ));
    let alone = json!(alone);
    let mut augmenter = Augmenter {
        neighbours: Neighbours::new(
            table(args, &opener)?,
            args.candidates.candidates as usize,
            opener.threads(),
        ),
        masker: masker(args, &opener)?,
        stop_words,
        excluded,
        judge,
        settings: settings(args, &opener),
    };
    let done = write(args, format, &subject, &mut survey, &mut augmenter, console)?;
    report(args, &done, alone, console);
    Ok(())
}

/// What was written, and how long the copies took.
struct Done {
    tally: Tally,
    originals: usize,
    seconds: f64,
}

fn write(
    args: &AugmentArgs,
    format: Format,
    subject: &Subject,
    survey: &mut Survey,
    augmenter: &mut Augmenter,
    console: &Console,
) -> Result<Done> {
    if let Some(folder) = args.out.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    }
    let mut outcome = None;
    let written = write_atomically(&args.out, |file| {
        let work = write_rows(args, format, subject, survey, augmenter, console, file);
        // What the disk says is told with the name of the file; what else goes wrong has a name of its own.
        let (failure, result) = match work {
            Ok(done) => (Ok(()), Ok(done)),
            Err(error) => match error.downcast::<std::io::Error>() {
                Ok(error) => return Err(error),
                Err(error) => (Err(std::io::Error::other("the work failed")), Err(error)),
            },
        };
        outcome = Some(result);
        failure
    });
    match outcome {
        Some(Err(error)) => Err(error),
        Some(Ok(done)) => Ok(written.map(|()| done)?),
        None => Err(written.err().map_or_else(|| anyhow::anyhow!("nothing was written"), Into::into)),
    }
}

fn write_rows(
    args: &AugmentArgs,
    format: Format,
    subject: &Subject,
    survey: &mut Survey,
    augmenter: &mut Augmenter,
    console: &Console,
    file: &mut dyn Write,
) -> Result<Done> {
    let originals = args.copies.originals;
    let labels = survey.labels && (args.copies.keep_labels || originals != Originals::None);
    let mut out = RowWriter::new(file, format, survey.pairs, labels)?;
    let original = |row: &Row, out: &mut RowWriter<_>| {
        out.write(&row.text, row.text_pair.as_deref(), row.label.as_deref())
    };
    if originals == Originals::First {
        subject.each_row(&args.data, &mut |row| Ok(original(&row, &mut out)?))?;
    }
    let mut progress = console.progress("augment", survey.rows);
    let mut tally = Tally::default();
    let mut sink = |rows: Vec<Row>| {
        if originals == Originals::Among {
            rows.iter().try_for_each(|row| original(row, &mut out))?;
        }
        augmenter.add(&rows, survey, &mut tally, &mut out)?;
        let rate = tally.copies as f64 / progress.seconds().max(1e-9);
        progress.advance(rows.len(), || format!("{rate:.0} copies/s"));
        Ok(())
    };
    let mut window = Window::new(&mut sink);
    subject.each_row(&args.data, &mut |row| window.push(row))?;
    window.finish()?;
    let seconds = progress.finish();
    let originals = if originals == Originals::None { 0 } else { tally.texts };
    Ok(Done { tally, originals, seconds })
}

fn report(args: &AugmentArgs, done: &Done, stop_words: Value, console: &Console) {
    let Done { tally, originals, seconds } = done;
    let rate = tally.copies as f64 / seconds.max(1e-9);
    if console.json {
        let mut json = json!(tally);
        json["originals"] = json!(originals);
        json["stop_words"] = stop_words;
        json["seconds"] = json!(seconds);
        json["copies_per_second"] = json!(rate);
        json["out"] = json!(args.out);
        return console.hand_out(json);
    }
    let mut lines = vec![format!(
        "{} texts and {} copies are in {} ({rate:.0} copies a second)",
        originals,
        tally.copies,
        args.out.display()
    )];
    for (count, what) in [
        (tally.duplicates, "copies were dropped: they were there before"),
        (tally.excluded_copies, "copies were dropped: they are among the excluded texts"),
        (tally.filtered, "copies were dropped: the teacher was not sure, or did not agree"),
        (tally.excluded_texts, "texts were not copied: they are among the excluded texts"),
        (tally.unchangeable_texts, "texts were not copied: there is no word in them to replace"),
        (tally.words_without_candidates, "words have no candidates"),
    ] {
        if count > 0 {
            lines.push(format!("{count} {what}"));
        }
    }
    if let Some(last) = lines.last_mut().filter(|_| tally.words_without_candidates > 0) {
        last.push_str(&format!(", of {} that are no stop words", tally.words));
    }
    console.say(lines.join("\n"));
}

fn settings(args: &AugmentArgs, opener: &Opener<'_>) -> Settings {
    Settings {
        replace: args.copies.replace,
        copies: args.copies.copies as usize,
        seed: args.copies.seed,
        labels: if args.copies.keep_labels { CopyLabels::Original } else { CopyLabels::Without },
        threads: opener.threads(),
    }
}

/// Returns the format of the output, which must be none of the inputs, nor be there already unless that is allowed.
fn output_format(args: &AugmentArgs) -> Result<Format> {
    let name = args.out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let format =
        Format::by_name(&name).filter(|format| RowWriter::<Vec<u8>>::writes(*format)).ok_or_else(|| {
            explained(
                format!("`{}` is the name of neither TSV nor JSON lines", args.out.display()),
                "call the output something like `augmented.tsv` or `augmented.jsonl`",
            )
        })?;
    let same = |input: &Path| {
        let [out, input] = [&args.out, input].map(|path| path.canonicalize().ok());
        out.is_some() && out == input
    };
    if std::iter::once(&args.data).chain(&args.exclude).any(|input| same(input)) {
        return Err(explained(
            format!("`{}` is read, and cannot be written too", args.out.display()),
            "choose another `--out`",
        ));
    }
    if args.out.exists() && !args.overwrite {
        return Err(explained(
            format!("`{}` already exists", args.out.display()),
            "choose another `--out`, or replace it with `--overwrite`",
        ));
    }
    Ok(format)
}

/// Finds out how to read the data, and opens the teacher if it is to be asked.
fn judge(args: &AugmentArgs, opener: &Opener<'_>) -> Result<(Subject, Option<Judge>)> {
    let mut recipe = Recipe::default();
    args.columns.lay_over(&mut recipe);
    let demands = Demands { min_confidence: args.copies.min_confidence, agreement: args.copies.agree };
    let Some(path) = args.candidates.teacher.as_deref().filter(|_| demands.any()) else {
        return Ok((Subject::of_data(&recipe.data, None)?, None));
    };
    let teacher = opener.open(path)?;
    let subject = Subject::of_model(&recipe.data, teacher.config(), teacher.num_classes())?;
    let tokenizer = opener.tokenizer(&teacher, path, subject.max_length)?;
    let judge = Judge::new(teacher, tokenizer, &subject, demands, opener.threads())?;
    Ok((subject, Some(judge)))
}

fn excluded(args: &AugmentArgs, subject: &Subject) -> Result<Seen> {
    let mut excluded = Seen::default();
    for path in &args.exclude {
        subject.each_row(path, &mut |row| {
            for text in std::iter::once(&row.text).chain(&row.text_pair) {
                excluded.insert(key(text));
            }
            Ok(())
        })?;
    }
    Ok(excluded)
}

fn table(args: &AugmentArgs, opener: &Opener<'_>) -> Result<Table> {
    let candidates = &args.candidates;
    let sources = [&candidates.embeddings, &candidates.teacher, &candidates.masked_lm];
    let source = sources.into_iter().find_map(Option::as_deref).unwrap_or(Path::new("."));
    let table = Table::open(source, candidates.max_vectors as usize, opener.threads())?;
    opener.console.say(format_args!("{} words with embeddings in {}", table.len(), source.display()));
    Ok(table)
}

fn masker(args: &AugmentArgs, opener: &Opener<'_>) -> Result<Option<Masker>> {
    let console = *opener.console;
    let notify = move |line: &str| console.say(line);
    let options = opener.options(&notify);
    let open = |path: &Path| Masker::open(path, args.candidates.candidates as usize, &options);
    args.candidates.masked_lm.as_deref().map(open).transpose()
}
