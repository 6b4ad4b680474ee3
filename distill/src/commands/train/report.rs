//! The comparison at the end of a run: the students that were written beside their teacher.

use super::Opener;
use crate::commands::controls::Added;
use crate::commands::run::Finished;
use crate::comparison::{Answers, Contender, Ground, Passage, Settings, compare};
use crate::corpus::Subject;
use crate::cost;
use crate::examples::Examples;
use crate::report::{DataFacts, Report, Role};
use crate::run_folder::RunFolder;
use anyhow::Result;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Sets the students that were written, the distilled one first and then its controls, beside their teacher. `eval`: the
/// same texts with the tokens of the teacher and of the students.
///
/// What the teacher's file says of them is in the store, so it is opened only to be timed.
pub(super) fn report(
    students: &[(&RunFolder, &Finished)],
    teacher: &Path,
    eval: [&Examples; 2],
    subject: &Subject,
    opener: &Opener<'_>,
) -> Result<()> {
    let console = opener.console;
    let contender = |path, role, eval: &'_ Examples| {
        let eval = eval.clone();
        let tokens = Box::new(move |rows| Ok(eval.encodings(rows)));
        Contender::new(&opener.open(path)?, path, role, subject, tokens)
    };
    let mut asked = contender(teacher, Role::Teacher, eval[0])?;
    if let Some(logits) = eval[0].soft(0..eval[0].len()) {
        asked = asked.having_said(Answers::of(logits.view())?);
    }
    let mut contenders = vec![asked];
    for (place, (folder, _)) in students.iter().enumerate() {
        let role = if place == 0 { Role::Student } else { Role::Control };
        contenders.push(contender(folder.path(), role, eval[1])?);
    }
    let gold = eval[0].golds();
    let table = eval[0].table();
    let data = DataFacts {
        path: table.path().display().to_string(),
        examples: gold.len(),
        labelled: eval[0].num_labelled(),
        sha256: table.fingerprint().to_owned(),
        ..DataFacts::of(subject)
    };
    let ground = Ground {
        subject,
        gold: &gold,
        data: &data,
        passages: &|examples| passages(eval[0], subject, examples),
        open: &|path, cost| opener.contender(path, cost),
    };
    let settings = Settings { threads: opener.threads(), cost: Some(AT_A_GLANCE), ..Settings::default() };
    let mut report = compare(contenders, &ground, &settings, console)?;
    let [(folder, student), controls @ ..] = students else { return Ok(()) };
    let mut training = student.summary();
    let added = added(&report, &student.score_name);
    if let Some(added) = &added {
        let of = |(folder, finished): &(&RunFolder, &Finished)| {
            let mut summary = finished.summary();
            summary["folder"] = json!(folder.path());
            summary
        };
        training["controls"] = controls.iter().map(of).collect();
        training["added"] = json!(added);
    }
    report.training = Some(training);
    report.write(folder.path())?;
    console.hand_out(if console.json { report.to_json() } else { report.to_table() });
    if let Some(added) = added {
        console.say(added.sentence());
    }
    console.say(format_args!("the student is in {}", folder.path().display()));
    Ok(())
}

/// How models are measured after training: with one turn of each where a second is not enough for more, and without processes
/// of their own. `compare` takes its time.
const AT_A_GLANCE: cost::Settings = cost::Settings {
    batch: 1,
    length: 128,
    threads: 1,
    budget: Duration::from_millis(200),
    rounds: 1,
    core_hour_price: None,
    program: None,
};

/// Returns the texts of some examples, read from the data once more; nothing where it cannot be read again.
fn passages(eval: &Examples, subject: &Subject, examples: &[usize]) -> Vec<Option<Passage>> {
    let path = eval.table().path();
    let mut wanted: BTreeMap<usize, Option<Passage>> =
        examples.iter().map(|example| (eval.row(*example), None)).collect();
    let mut at = 0;
    if path.is_file() {
        // A file that has changed since gives no texts, or others; the figures are not those of the file.
        let _ = subject.scan(path, &mut |row| {
            if let Some(passage) = wanted.get_mut(&at) {
                *passage = Some(Passage { text: row.text, text_pair: row.text_pair, line: Some(row.line) });
            }
            at += 1;
            Ok(())
        });
    }
    examples.iter().map(|example| wanted.get(&eval.row(*example)).cloned().flatten()).collect()
}

/// Says what distillation added, where there are controls.
fn added(report: &Report, figure: &str) -> Option<Added> {
    let [_, student, undistilled, shuffled] = &report.models[..] else { return None };
    let of = |model| report.figure(model, figure).and_then(|estimate| estimate.value);
    Some(Added::new(figure, of(student)?, [of(undistilled)?, of(shuffled)?]))
}
