//! `distill slim`: a BERT ONNX that somebody else made, with fewer words and in fewer bits.
//!
//! Everything is made and measured in a temporary folder; what is asked for is copied out when all of it stands.

use super::compare::{Contender, compare};
use super::export::SENTENCES;
use super::trim::trim;
use super::{Opener, bundle};
use crate::card::{Card, Weights};
use crate::cli::{Common, SlimArgs};
use crate::console::Console;
use crate::corpus::{Corpus, Subject};
use crate::error::explained;
use crate::recipe::Recipe;
use crate::report::{DataFacts, ModelReport, Report};
use crate::run_folder::{Existing, RunFolder};
use crate::task::Gold;
use crate::tokens::companions;
use crate::vocabulary::{Model, Staged};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use student::export::Format;
use student::export::onnx::{self, Storage};
use student::files::write_atomically;
use student::import::onnx::summary;

const CONFIG: &str = "config.json";
const CARD: &str = "README.md";

/// Makes a model smaller, and sets what was made beside what it was made from.
///
/// # Errors
/// When the model cannot be read, is quantised already, or is not the same on the corpus; nothing is written then.
pub fn run(args: &SlimArgs, common: &Common, console: &Console) -> Result<()> {
    let opener = Opener { common, console };
    let mut recipe = Recipe::default();
    args.columns.lay_over(&mut recipe);
    let model = opener.open(&args.model)?;
    refuse_quantised(model.path())?;
    let subject = Subject::of_model(&recipe.data, model.config(), model.num_classes())?;
    let config = config_of(model.path())?;
    let tokenizer = opener.tokenizer(&model, &args.model, subject.max_length)?;
    let folder = RunFolder::open(&args.out, existing(args), bundle::ONNX)?;

    let staged = match &args.trim_vocab {
        Some(corpus) => {
            let graph = Model::Graph { onnx: model.path(), config: &config };
            Some(trim(&graph, &tokenizer, corpus, &subject, &opener)?)
        }
        None => None,
    };
    let made = tempfile::tempdir().context("cannot make a temporary folder")?;
    let source = match &staged {
        Some(staged) => Source {
            graph: staged.path().join(bundle::ONNX),
            config: staged.path().join(CONFIG),
            tokenizer: staged.path(),
        },
        None => Source { graph: model.path().to_owned(), config, tokenizer: tokenizer.source().to_owned() },
    };
    let files = source.write(&args.formats, made.path())?;
    let report = measure(args, made.path(), &files, &subject, &opener)?;
    let labels = subject.logit_names();
    let card = describe(args, &report, &files, &labels, staged.as_ref(), &made.path().join(bundle::ONNX))?;
    bundle::write_text(&made.path().join(CARD), &card)?;
    bundle::write_text(&made.path().join("report.json"), &report.to_json())?;
    note_figures(made.path(), &report, &files)?;
    hand_over(made.path(), folder.path())?;
    console.hand_out(if console.json { report.to_json() } else { report.to_table() });
    Ok(())
}

fn existing(args: &SlimArgs) -> Existing {
    if args.overwrite { Existing::Overwrite } else { Existing::Refuse }
}

/// What the files are made from.
struct Source {
    graph: PathBuf,
    config: PathBuf,
    tokenizer: PathBuf,
}

impl Source {
    /// Writes a model directory with a graph in each format, and returns the places of the graphs in it.
    fn write(&self, formats: &[Format], folder: &Path) -> Result<Vec<String>> {
        std::fs::create_dir_all(folder.join("onnx"))?;
        for file in companions(&self.tokenizer).into_iter().chain([self.config.clone()]) {
            copy(&file, &folder.join(file.file_name().unwrap_or_default()))?;
        }
        let whole = onnx::Model::read(&self.graph)?;
        let mut formats = formats.to_vec();
        formats.sort_unstable();
        formats.dedup();
        let mut files = Vec::with_capacity(formats.len());
        for &format in &formats {
            let file = format.file(&formats);
            whole.stored_as(&Storage::of(format))?.write(&folder.join(file))?;
            files.push(file.to_owned());
        }
        Ok(files)
    }
}

/// Sets the files beside the model that they were made from. Without labelled texts, on a few built-in sentences.
fn measure(
    args: &SlimArgs,
    folder: &Path,
    files: &[String],
    subject: &Subject,
    opener: &Opener<'_>,
) -> Result<Report> {
    let corpus = args.eval.as_deref().map(|path| subject.read(path)).transpose()?;
    let built_in: Vec<_> = SENTENCES.iter().map(|text| (*text, None)).collect();
    let texts = corpus.as_ref().map_or(built_in, |corpus| corpus.dataset.texts());
    let gold = corpus.as_ref().map_or_else(|| vec![Gold::Missing; texts.len()], |corpus| corpus.gold.clone());
    let paths = std::iter::once(args.model.clone()).chain(files.iter().map(|file| folder.join(file)));
    let open = |path: PathBuf| -> Result<Contender> {
        let encodings = bundle::tokenizer(&path, subject.max_length)?.encode(&texts, opener.threads())?;
        Ok(Contender::open(opener, &path, subject)?.with_texts(encodings))
    };
    let mut contenders = paths.map(open).collect::<Result<Vec<_>>>()?;
    let mut report =
        compare(&mut contenders, &gold, facts(corpus.as_ref(), texts.len()), subject, opener.console)?;
    for (model, file) in report.models.iter_mut().skip(1).zip(files) {
        model.onnx.clone_from(file);
    }
    Ok(report)
}

fn facts(corpus: Option<&Corpus>, examples: usize) -> DataFacts {
    match corpus {
        Some(corpus) => DataFacts {
            path: corpus.dataset.path.display().to_string(),
            examples,
            labelled: corpus.num_labelled(),
            sha256: corpus.dataset.fingerprint.clone(),
        },
        None => DataFacts { path: "built-in sentences".into(), examples, labelled: 0, sha256: String::new() },
    }
}

fn describe(
    args: &SlimArgs,
    report: &Report,
    files: &[String],
    labels: &[String],
    staged: Option<&Staged>,
    graph: &Path,
) -> Result<String> {
    let notes = if graph.exists() { summary(graph)?.metadata } else { BTreeMap::new() };
    let name = args.out.file_name().unwrap_or(args.out.as_os_str()).to_string_lossy();
    let on = match report.data.labelled {
        0 => format!("On {} texts without labels.", report.data.examples),
        labelled => format!("On {labelled} labelled texts (SHA-256 `{}`).", report.data.sha256),
    };
    let card = Card {
        name: &name,
        files,
        figures: &figures(report),
        measured_on: &format!("{on} The first row is the model that the others were made from."),
        labels,
        notes: &notes,
        trimmed: staged.map(|staged| &staged.trimmed),
        weights: Weights::GraphsOnly,
    };
    Ok(card.to_markdown())
}

/// Returns the figures of a report as rows, a model each, under a row of titles.
fn figures(report: &Report) -> Vec<Vec<String>> {
    let qualities: Vec<&String> =
        report.models.first().map(|model| model.quality.keys().collect()).unwrap_or_default();
    let titles = qualities
        .iter()
        .map(|name| (*name).clone())
        .chain(["agreement", "MB", "one text, p50, ms", "texts per second"].map(str::to_owned));
    let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
    let row = |model: &ModelReport| {
        let quality =
            qualities.iter().map(|name| number(model.quality.get(*name).and_then(serde_json::Value::as_f64)));
        let rest = [
            number(model.agreement),
            format!("{:.1}", model.file_bytes as f64 / 1e6),
            format!("{:.2}", model.latency_p50_ms),
            format!("{:.0}", model.texts_per_second),
        ];
        std::iter::once(model.name.clone()).chain(quality).chain(rest).collect()
    };
    let titles = std::iter::once("file".to_owned()).chain(titles).collect();
    std::iter::once(titles).chain(report.models.iter().map(row)).collect()
}

/// Writes into each graph how good it was found to be.
fn note_figures(folder: &Path, report: &Report, files: &[String]) -> Result<()> {
    for (model, file) in report.models.iter().skip(1).zip(files) {
        let quality = model.quality.iter().map(|(name, value)| (format!("slim_{name}"), value.to_string()));
        let agreement = model.agreement.map(|share| ("slim_agreement".to_owned(), format!("{share:.6}")));
        let data = [("slim_data_sha256".to_owned(), report.data.sha256.clone())];
        let notes = quality.chain(agreement).chain(data).filter(|(_, value)| !value.is_empty()).collect();
        let path = folder.join(file);
        onnx::Model::read(&path)?.with_notes(&notes).write(&path)?;
    }
    Ok(())
}

/// Copies a finished directory to where it was asked for, each file whole or not at all.
fn hand_over(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to.join("onnx"))
        .with_context(|| format!("cannot write to `{}`", to.display()))?;
    for folder in ["", "onnx"] {
        for entry in std::fs::read_dir(from.join(folder))? {
            let path = entry?.path();
            if let (true, Some(name)) = (path.is_file(), path.file_name()) {
                copy(&path, &to.join(folder).join(name))?;
            }
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source =
        std::fs::File::open(from).with_context(|| format!("cannot read `{}`", from.display()))?;
    Ok(write_atomically(to, |file| std::io::copy(&mut source, file).and_then(|_| file.flush()))?)
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
