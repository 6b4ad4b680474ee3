//! `distill compare`: is a student good enough? A teacher beside its students, on quality, certainty and cost.

use super::Opener;
use crate::cli::{Common, CompareArgs, CostArgs};
use crate::comparison::measures::Measure;
use crate::comparison::{Condition, Contender, Ground, Settings, Spool, compare, variables};
use crate::console::Console;
use crate::corpus::Subject;
use crate::cost;
use crate::error::explained;
use crate::recipe::Recipe;
use crate::report::{DataFacts, FILES, Report, Role};
use crate::run_folder::{Existing, RunFolder};
use crate::task::Gold;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Compares models.
///
/// # Errors
/// When a model or the data cannot be read, two models have different classes, or a student meets the condition.
pub fn run(args: &CompareArgs, common: &Common, console: &Console) -> Result<()> {
    let mut recipe = Recipe::default();
    args.columns.lay_over(&mut recipe);
    let opener = Opener { common, console };
    let condition = args.fail_if.as_deref().map(Condition::parse).transpose()?;
    let mut cast = Cast::of(args)?;
    let existing = if args.overwrite { Existing::Overwrite } else { Existing::Refuse };
    let out = args.out.as_deref().map(|path| RunFolder::open(path, existing, FILES[0])).transpose()?;

    let teacher = opener.open(&args.teacher)?;
    let subject = Subject::of_model(&recipe.data, teacher.config(), teacher.num_classes())?;
    drop(teacher);
    let spool = Spool::read(&subject, &args.data)?;
    let labelled = spool.gold.iter().filter(|gold| **gold != Gold::Missing).count();
    if let Some(condition) = &condition {
        condition.check(&variables(&Measure::all_of(&subject, labelled > 0), !args.cost.no_time))?;
    }
    let contenders = cast
        .members
        .iter()
        .map(|(role, path)| contender(&opener, path, *role, &subject, &spool))
        .collect::<Result<Vec<_>>>()?;
    let data = DataFacts {
        path: args.data.display().to_string(),
        examples: spool.len(),
        labelled,
        sha256: spool.fingerprint.clone(),
        ..DataFacts::of(&subject)
    };
    let ground = Ground {
        subject: &subject,
        gold: &spool.gold,
        data: &data,
        passages: &|rows| rows.iter().map(|row| Some(spool.passage(*row))).collect(),
        open: &|path, cost| opener.contender(path, cost),
    };
    let settings = Settings {
        margin: args.margin / 100.0,
        resamples: args.resamples as usize,
        seed: args.seed,
        threads: opener.threads(),
        groups: std::mem::take(&mut cast.groups),
        cost: args.cost.settings(),
        condition,
    };
    let report = compare(contenders, &ground, &settings, console)?;
    hand_out(&report, out.as_ref(), console)
}

/// Who takes part, the teacher first, and which of them are runs of one student.
struct Cast {
    members: Vec<(Role, PathBuf)>,
    groups: Vec<(String, Vec<usize>)>,
}

impl Cast {
    fn of(args: &CompareArgs) -> Result<Self> {
        if !(args.margin >= 0.0 && args.margin <= 100.0) {
            return Err(explained(
                format!("a margin of {} points makes no sense", args.margin),
                "give a number from 0 to 100, e.g. `--margin 1`",
            ));
        }
        let mut members = vec![(Role::Teacher, args.teacher.clone())];
        members.extend(args.student.iter().map(|path| (Role::Student, path.clone())));
        let mut groups = Vec::new();
        for runs in &args.seeds_of {
            let (name, paths) =
                runs.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
                    explained(
                        format!("`--seeds-of {runs}` does not name a student and its runs"),
                        "write it as in `--seeds-of small=runs/1,runs/2,runs/3`",
                    )
                })?;
            let first = members.len();
            let paths = paths.split(',').filter(|path| !path.is_empty());
            members.extend(paths.map(|path| (Role::Student, PathBuf::from(path))));
            groups.push((name.to_owned(), (first..members.len()).collect()));
        }
        members.extend(args.control.iter().map(|path| (Role::Control, path.clone())));
        Ok(Cast { members, groups })
    }
}

impl CostArgs {
    fn settings(&self) -> Option<cost::Settings> {
        (!self.no_time).then(|| cost::Settings {
            batch: self.time_batch as usize,
            length: self.time_length as usize,
            threads: self.time_threads as usize,
            budget: Duration::from_secs(self.time_seconds.into()),
            core_hour_price: self.core_hour_price,
            ..cost::Settings::default()
        })
    }
}

fn contender<'a>(
    opener: &Opener<'_>,
    path: &Path,
    role: Role,
    subject: &Subject,
    spool: &'a Spool,
) -> Result<Contender<'a>> {
    let model = opener.open(path)?;
    let tokenizer = opener.tokenizer(&model, path, subject.max_length)?;
    let threads = opener.threads();
    let tokens = Box::new(move |rows| spool.encode(&tokenizer, rows, threads));
    Contender::new(&model, path, role, subject, tokens)
}

/// Writes a report down and shows it; a condition that a student meets is an error.
fn hand_out(report: &Report, out: Option<&RunFolder>, console: &Console) -> Result<()> {
    if let Some(folder) = out {
        report.write(folder.path())?;
    }
    console.hand_out(if console.json { report.to_json() } else { report.to_table() });
    if let Some(folder) = out {
        console.say(format_args!("the report is in {}", folder.join(FILES[2]).display()));
    }
    match &report.condition {
        Some(condition) if !condition.met_by.is_empty() => {
            let names = condition.met_by.iter().map(|model| report.models[*model].name.as_str());
            Err(explained(
                format!("the condition `{}` holds for {}", condition.text, crate::names::list(names)),
                "`--fail-if` asked to be told so; the figures are in the report",
            ))
        }
        _ => Ok(()),
    }
}
