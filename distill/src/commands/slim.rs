//! `distill slim`: a BERT ONNX that somebody else made, with fewer words and in fewer bits.
//!
//! Everything is made and measured in a folder of its own; what is asked for is put in place when all of it stands.

use super::export::exam::Exam;
use super::export::measured::{Measured, measure};
use super::export::promise::Promise;
use super::export::{CARD, note_figures, put_in_place, table, variants, workshop};
use super::trim::trim;
use super::{Opener, bundle};
use crate::card::{Card, Weights};
use crate::cli::{Common, SlimArgs};
use crate::console::Console;
use crate::corpus::Subject;
use crate::error::explained;
use crate::recipe::Recipe;
use crate::report::aligned;
use crate::run_folder::{Existing, RunFolder};
use crate::tokens::{Tokenizer, companions};
use crate::vocabulary::{Model, Staged};
use anyhow::Result;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use student::export::onnx;
use student::import::onnx::summary;
use teacher::Teacher;

const CONFIG: &str = "config.json";

/// Makes a model smaller, and measures what was made beside what it was made from.
///
/// # Errors
/// When the model cannot be read, is quantised already, or is not the same on the corpus; nothing is written then.
pub fn run(args: &SlimArgs, common: &Common, console: &Console) -> Result<()> {
    let formats = variants::each_once(&args.formats);
    variants::check(&formats, &args.keep)?;
    let opener = Opener { common, console };
    let mut recipe = Recipe::default();
    args.columns.lay_over(&mut recipe);
    let model = opener.open(&args.model)?;
    refuse_quantised(model.path())?;
    let subject = Subject::of_model(&recipe.data, model.config(), model.num_classes())?;
    let given = Source::of(args, &model, &subject, &opener)?;
    let existing = if args.overwrite { Existing::Overwrite } else { Existing::Refuse };
    let folder = RunFolder::open(&args.out, existing, bundle::ONNX)?;

    let given_exam = Exam::read(given.tokenizer(&subject)?, subject.clone(), args.eval.as_deref())?;
    let staged = trimmed(args, &given, &given_exam, &opener)?;
    let (source, trimmed_exam) = match &staged {
        Some(staged) => {
            let source = Source::in_folder(&staged.path());
            let exam = Exam::read(source.tokenizer(&subject)?, subject, args.eval.as_deref())?;
            (source, Some(exam))
        }
        None => (given.clone(), None),
    };
    let exam = trimmed_exam.as_ref().unwrap_or(&given_exam);
    let workshop = workshop(&folder)?;
    variants::warn(&formats, &args.keep, console);
    let stage = workshop.path();
    source.write_companions(stage)?;
    let variants = variants::write(&onnx::Model::read(&source.graph)?, &formats, &args.keep, stage)?;
    let mut all = measure(&variants, (&given.graph, &given_exam), exam, &opener)?;
    note_figures(stage, &mut all, exam)?;
    let shipped = Promise::of(&args.keep).shipped(&all)?;
    let card = describe(args, (&all, &shipped), exam, staged.as_ref(), &given.graph)?;
    bundle::write_text(&stage.join(CARD), &card)?;
    put_in_place(stage, &folder, &formats, (&all, &shipped))?;
    match console.json {
        true => console.hand_out(as_json((&all, &shipped), exam, staged.as_ref())),
        false => {
            let rows = aligned(&table::rows(&all, &shipped, exam));
            console.hand_out(format_args!("{rows}\n\n({} texts; {})", exam.texts.len(), table::LEGEND));
        }
    }
    Ok(())
}

/// What the files are made from.
#[derive(Clone)]
struct Source {
    graph: PathBuf,
    config: PathBuf,
    tokenizer: PathBuf,
}

impl Source {
    /// Finds the files of a model that was opened.
    fn of(args: &SlimArgs, model: &Teacher, subject: &Subject, opener: &Opener<'_>) -> Result<Self> {
        let tokenizer = opener.tokenizer(model, &args.model, subject.max_length)?.source().to_owned();
        Ok(Source { graph: model.path().to_owned(), config: config_of(model.path())?, tokenizer })
    }

    fn in_folder(folder: &Path) -> Self {
        Source { graph: folder.join(bundle::ONNX), config: folder.join(CONFIG), tokenizer: folder.to_owned() }
    }

    fn tokenizer(&self, subject: &Subject) -> Result<Tokenizer> {
        Tokenizer::open(&self.tokenizer, subject.max_length)
    }

    /// Copies everything but the graph into a model directory.
    fn write_companions(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder.join("onnx"))?;
        bundle::copy_files(companions(&self.tokenizer).into_iter().chain([self.config.clone()]), folder)
    }
}

/// Makes the model with fewer words, where that is asked for.
fn trimmed(args: &SlimArgs, given: &Source, exam: &Exam, opener: &Opener<'_>) -> Result<Option<Staged>> {
    let graph = Model::Graph { onnx: &given.graph, config: &given.config };
    let trim = |corpus: &PathBuf| trim(&graph, &exam.tokenizer, corpus, &exam.subject, opener);
    args.trim_vocab.as_ref().map(trim).transpose()
}

/// Returns the model card. What the graph says of itself is all that is known of its making.
fn describe(
    args: &SlimArgs,
    (all, shipped): (&[Measured], &[usize]),
    exam: &Exam,
    staged: Option<&Staged>,
    graph: &Path,
) -> Result<String> {
    let files: Vec<String> = shipped.iter().map(|&i| all[i].file.to_owned()).collect();
    let card = Card {
        name: &args.out.file_name().unwrap_or(args.out.as_os_str()).to_string_lossy(),
        files: &files,
        figures: &table::rows(all, shipped, exam),
        measured_on: &format!(
            "On {}\n`as fp32`: the share of texts on which a file says what the model says that it was made from.\n\
             Figures: {}.",
            exam.to_line(),
            table::LEGEND
        ),
        labels: &exam.subject.logit_names(),
        notes: &summary(graph)?.metadata,
        trimmed: staged.map(|staged| &staged.trimmed),
        weights: Weights::GraphsOnly,
    };
    Ok(card.to_markdown())
}

fn as_json((all, shipped): (&[Measured], &[usize]), exam: &Exam, staged: Option<&Staged>) -> Value {
    json!({
        "shipped": shipped.iter().map(|&i| all[i].file).collect::<Vec<_>>(),
        "eval": exam.file,
        "examples": exam.texts.len(),
        "formats": all,
        "vocabulary": staged.map(|staged| &staged.trimmed),
    })
}

/// Returns the configuration beside a graph, or above its folder `onnx/`.
fn config_of(graph: &Path) -> Result<PathBuf> {
    let folder = graph.parent().unwrap_or(Path::new(""));
    let above = folder.parent().filter(|_| folder.ends_with("onnx"));
    let found =
        [Some(folder), above].into_iter().flatten().map(|folder| folder.join(CONFIG)).find(|it| it.is_file());
    found.ok_or_else(|| {
        explained(
            format!("there is no `{CONFIG}` beside `{}`", graph.display()),
            "copy the model's configuration and tokenizer into its folder: loaders need them",
        )
    })
}

fn refuse_quantised(graph: &Path) -> Result<()> {
    match summary(graph)?.quantised_by() {
        None => Ok(()),
        Some(operator) => Err(explained(
            format!("`{}` is quantised already: it has nodes of the kind `{operator}`", graph.display()),
            "start from the float32 model that it was made from",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_found_beside_a_graph_or_above_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let onnx = folder.path().join("onnx");
        std::fs::create_dir(&onnx).unwrap();
        assert!(config_of(&onnx.join("model.onnx")).is_err());
        std::fs::write(folder.path().join(CONFIG), "{}").unwrap();
        assert_eq!(config_of(&onnx.join("model.onnx")).unwrap(), folder.path().join(CONFIG));
        assert_eq!(config_of(&folder.path().join("model.onnx")).unwrap(), folder.path().join(CONFIG));
    }
}
