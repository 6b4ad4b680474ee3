//! `distill export`: a trained student as files that other tools load, each of them run before it is put in place.

mod aware;
pub mod exam;
mod interval;
pub mod measured;
pub mod promise;
mod sensitivity;
pub mod table;
mod timing;
pub mod variants;

use super::Opener;
use super::trim::trim;
use crate::bundle::{self, Bundle};
use crate::card::{Card, Weights};
use crate::cli::{Common, ExportArgs};
use crate::console::Console;
use crate::cost::file_bytes;
use crate::run_folder::{Existing, RunFolder};
use crate::vocabulary::{self, Staged};
use anyhow::{Context, Result};
use exam::Exam;
use measured::Measured;
use promise::Promise;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use student::export::Format;
use student::export::onnx::Model;
use tempfile::TempDir;

/// The model card's place in a model directory.
pub const CARD: &str = "README.md";

/// Exports a student: measures every format that is asked for, and puts those in place that keep the promise.
///
/// # Errors
/// When the student cannot be read, a file not be written or not be run, the graph differs from the student, or no format
/// keeps the promise. The directory then holds none of the files.
pub fn run(args: &ExportArgs, common: &Common, console: &Console) -> Result<()> {
    let given = Bundle::open(&args.student)?;
    let existing = if args.overwrite { Existing::Overwrite } else { Existing::Refuse };
    let folder = RunFolder::open(&args.out, existing, bundle::ONNX)?;
    let opener = Opener { common, console };
    let mut args = args.clone();
    args.formats = variants::each_once(&args.formats);
    if !args.sensitivity {
        variants::check(&args.formats, &args.keep)?;
    }
    let exam = Exam::of(&args, &given)?;
    let workshop = workshop(&folder)?;
    variants::warn(&args.formats, &args.keep, console);
    let metadata = bundle::metadata_of(&args.student);
    let reference = Model::lower(&given.bert, &given.params, &metadata)?;
    if args.sensitivity {
        return sensitivity::run(&args, &reference, &exam, workshop.path(), &opener);
    }
    let student = match args.aware.qat_steps {
        None => given,
        Some(steps) => aware::train(&args, steps, &workshop.path().join("aware"), &opener)?,
    };
    let staged = trimmed(&args, &student, &exam, &opener)?;
    let student = staged.as_ref().map_or(Ok(student), |staged| Bundle::open(&staged.path()))?;
    let trimmed_exam = staged.is_some().then(|| Exam::of(&args, &student)).transpose()?;
    let given_exam = &exam;
    let exam = trimmed_exam.as_ref().unwrap_or(given_exam);
    let stage = workshop.path().join("ship");
    let notes = staged.as_ref().map(|staged| staged.trimmed.notes()).unwrap_or_default();
    let metadata = metadata.into_iter().chain(notes).collect();
    let parameters = student.params.data().len();
    let verification = write(&stage, student, exam, &metadata, &opener)?;
    let variants =
        variants::write(&Model::read(&stage.join(bundle::ONNX))?, &args.formats, &args.keep, &stage)?;
    let reference = reference_file(&reference, workshop.path(), &args.student)?;
    let mut all = measured::measure(&variants, (&reference, given_exam), exam, &opener)?;
    note_figures(&stage, &mut all, exam)?;
    let shipped = Promise::of(&args.keep).shipped(&all)?;
    let card = describe(&args.out, &all, &shipped, exam, &metadata, staged.as_ref());
    bundle::write_text(&stage.join(CARD), &card)?;
    put_in_place(&stage, &folder, &args.formats, (&all, &shipped))?;
    let outcome = table::Outcome {
        folder: folder.path(),
        all: &all,
        shipped: &shipped,
        parameters,
        verification,
        trimmed: staged.as_ref().map(|staged| &staged.trimmed),
    };
    match console.json {
        true => console.hand_out(outcome.to_json(exam)),
        false => outcome.print(exam, console),
    }
    Ok(())
}

/// Makes a folder for what is not finished, in the folder that it will go to; it goes with what is returned.
///
/// # Errors
/// When it cannot be made.
pub fn workshop(folder: &RunFolder) -> Result<TempDir> {
    let builder = tempfile::Builder::new().prefix(".distill-").suffix(".tmp").tempdir_in(folder.path());
    builder.with_context(|| format!("cannot write to the folder `{}`", folder.path().display()))
}

/// Makes the student with fewer words, where that is asked for.
fn trimmed(args: &ExportArgs, student: &Bundle, exam: &Exam, opener: &Opener<'_>) -> Result<Option<Staged>> {
    let trim = |corpus: &PathBuf| {
        trim(&vocabulary::Model::Student(student), &exam.tokenizer, corpus, &exam.subject, opener)
    };
    args.trim_vocab.as_ref().map(trim).transpose()
}

/// Writes into each graph how good it was found to be, which makes it a little larger.
///
/// # Errors
/// When a graph cannot be read or written.
pub fn note_figures(stage: &Path, all: &mut [Measured], exam: &Exam) -> Result<()> {
    for measured in all {
        let path = stage.join(measured.file);
        Model::read(&path)?.with_notes(&measured.notes(exam)).write(&path)?;
        measured.bytes = file_bytes(&path)?;
    }
    Ok(())
}

/// Returns the model card of what is put in place.
fn describe(
    out: &Path,
    all: &[Measured],
    shipped: &[usize],
    exam: &Exam,
    notes: &BTreeMap<String, String>,
    staged: Option<&Staged>,
) -> String {
    let files: Vec<String> = shipped.iter().map(|&i| all[i].file.to_owned()).collect();
    let card = Card {
        name: &out.file_name().unwrap_or(out.as_os_str()).to_string_lossy(),
        files: &files,
        figures: &table::rows(all, shipped, exam),
        measured_on: &format!("On {}\nFigures: {}.", exam.to_line(), table::LEGEND),
        labels: &exam.subject.logit_names(),
        notes,
        trimmed: staged.map(|staged| &staged.trimmed),
        weights: Weights::Safetensors,
    };
    card.to_markdown()
}

/// Writes everything but the rounded graphs, and compares the graph with the native student.
fn write(
    stage: &Path,
    student: Bundle,
    exam: &Exam,
    metadata: &BTreeMap<String, String>,
    opener: &Opener<'_>,
) -> Result<bundle::Verification> {
    bundle::write(stage, &student.bert, &student.params, exam.tokenizer.source(), metadata)?;
    let mut engine = bundle::engine(student.bert, student.params, opener.threads(), student::Precision::F32)?;
    let notify = |line: &str| opener.console.say(line);
    bundle::verify(stage, &mut engine, &exam.texts, &opener.options(&notify))
}

/// Writes the student as it was given beside its configuration, to compare with.
fn reference_file(reference: &Model, workshop: &Path, student: &Path) -> Result<PathBuf> {
    let path = workshop.join("reference.onnx");
    reference.write(&path)?;
    std::fs::copy(student.join("config.json"), workshop.join("config.json"))
        .with_context(|| format!("cannot write to the folder `{}`", workshop.display()))?;
    Ok(path)
}

/// Moves what is shipped into the folder; graphs of an earlier export that are not shipped any more go.
///
/// # Errors
/// When a file cannot be moved.
pub fn put_in_place(
    stage: &Path,
    folder: &RunFolder,
    formats: &[Format],
    (all, shipped): (&[Measured], &[usize]),
) -> Result<()> {
    let shipped: Vec<&str> = shipped.iter().map(|&i| all[i].file).collect();
    let failed = |path: &Path| format!("cannot put `{}` in place", path.display());
    let onnx = folder.join("onnx");
    std::fs::create_dir_all(&onnx).with_context(|| failed(&onnx))?;
    for format in Format::ALL {
        for file in [format.file(formats), format.file(&[])] {
            let stale = folder.join(file);
            if stale.exists() && !shipped.contains(&file) {
                std::fs::remove_file(&stale).with_context(|| failed(&stale))?;
            }
        }
    }
    let entries = std::fs::read_dir(stage).with_context(|| failed(stage))?;
    let plain =
        entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| path.is_file());
    let graphs = shipped.iter().map(|file| stage.join(file));
    for path in plain.chain(graphs) {
        let target = folder.join(path.strip_prefix(stage).unwrap_or(&path));
        std::fs::rename(&path, &target).with_context(|| failed(&target))?;
    }
    Ok(())
}
