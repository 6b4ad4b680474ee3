//! A run in MLflow's file store, in the layout that MLflow itself writes (`mlflow/store/tracking/file_store.py`, 3.x).
//!
//! ```text
//! mlruns/EXPERIMENT/meta.yaml
//! mlruns/EXPERIMENT/RUN/meta.yaml                      name, status, start and end
//!                      /params/SECTION.KEY             a setting
//!                      /tags/KEY                       where the run comes from
//!                      /metrics/train/loss …           a line for each point: milliseconds, value, step
//! ```
//!
//! MLflow 3.17 opens such a store only with `MLFLOW_ALLOW_FILE_STORE=true` in its environment, and turns it into a
//! database with `mlflow migrate-filestore`.

mod store;

use super::{About, Ending};
use crate::bundle::write_text;
use crate::data::fingerprint;
use crate::log::Scalars;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use store::{META, make_folder, read, text, uri_of, value_of, yaml};

/// The experiment to which all runs belong.
const EXPERIMENT: &str = "distill";
/// The tag that tells which folder a run writes.
const FOLDER: &str = "distill.folder";
/// The longest values that MLflow takes, in bytes.
const MOST_BYTES: usize = 6000;

/// A run that is being written.
pub struct MlflowRun {
    folder: PathBuf,
    id: String,
    name: String,
    start: u64,
    metrics: BTreeMap<String, File>,
}

/// What MLflow numbers so.
#[derive(Clone, Copy)]
enum Status {
    Running = 1,
    Finished = 3,
    Failed = 4,
    Killed = 5,
}

impl MlflowRun {
    /// Starts a run, or goes on with the one of a resumed run, with what its log says already.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub fn open(store: &Path, about: &About, kept: &[Scalars]) -> Result<Self> {
        let now = milliseconds();
        let experiment = store::experiment(store, EXPERIMENT, now)?;
        let owner = about.folder.display().to_string();
        let known = if about.is_resumed { latest_of(&experiment, &owner)? } else { None };
        let (id, start) = known.unwrap_or_else(|| {
            let unlike_any_other = format!("{owner}\n{:?}\n{}", SystemTime::now(), std::process::id());
            (fingerprint(unlike_any_other.as_bytes())[..32].to_owned(), now)
        });
        let folder = experiment.join(&id);
        for part in ["artifacts", "params", "tags", "metrics"] {
            make_folder(&folder.join(part))?;
        }
        let user = user();
        let own = [
            ("mlflow.runName", about.name.as_str()),
            ("mlflow.source.name", "distill"),
            ("mlflow.source.type", "LOCAL"),
            ("mlflow.user", &user),
            ("distill.version", env!("CARGO_PKG_VERSION")),
            (FOLDER, &owner),
        ];
        let known =
            |pairs| <[(String, String)]>::iter(pairs).map(|(key, value)| (key.as_str(), value.as_str()));
        let (params, tags) = (known(&about.params), own.into_iter().chain(known(&about.tags)));
        for (part, key, value) in params
            .map(|(key, value)| ("params", key, value))
            .chain(tags.map(|(key, value)| ("tags", key, value)))
        {
            write_text(&folder.join(part).join(key), cut(value))?;
        }
        let run = MlflowRun { folder, id, name: about.name.clone(), start, metrics: BTreeMap::new() };
        run.write_metrics(kept)?;
        run.write_meta(Status::Running, None)?;
        Ok(run)
    }

    /// Adds the numbers of a step.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn record(&mut self, scalars: &Scalars) -> Result<()> {
        for (tag, value) in &scalars.values {
            let path = self.path(tag);
            let context = || format!("cannot write `{}`", path.display());
            if !self.metrics.contains_key(tag) {
                make_folder(path.parent().unwrap_or(&self.folder))?;
                let file = File::options().create(true).append(true).open(&path).with_context(context)?;
                self.metrics.insert(tag.clone(), file);
            }
            if let Some(file) = self.metrics.get_mut(tag) {
                file.write_all(line(scalars, *value).as_bytes()).with_context(context)?;
            }
        }
        Ok(())
    }

    /// Says how the run ended.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(self, ending: Ending) -> Result<()> {
        let status = match ending {
            Ending::Finished => Status::Finished,
            Ending::Stopped => Status::Killed,
            Ending::Failed => Status::Failed,
        };
        self.write_meta(status, Some(milliseconds()))
    }

    fn path(&self, tag: &str) -> PathBuf {
        self.folder.join("metrics").join(tag)
    }

    /// Writes every metric anew, so that nothing is left of what came after the checkpoint.
    fn write_metrics(&self, kept: &[Scalars]) -> Result<()> {
        let metrics = self.folder.join("metrics");
        std::fs::remove_dir_all(&metrics)
            .with_context(|| format!("cannot write to the folder `{}`", metrics.display()))?;
        make_folder(&metrics)?;
        let mut files = BTreeMap::<&str, String>::new();
        for scalars in kept {
            for (tag, value) in &scalars.values {
                *files.entry(tag).or_default() += &line(scalars, *value);
            }
        }
        for (tag, lines) in files {
            let path = self.path(tag);
            make_folder(path.parent().unwrap_or(&metrics))?;
            write_text(&path, &lines)?;
        }
        Ok(())
    }

    fn write_meta(&self, status: Status, end: Option<u64>) -> Result<()> {
        let experiment = self.folder.parent().and_then(Path::file_name).unwrap_or_default();
        let meta = [
            ("artifact_uri", text(&uri_of(&self.folder.join("artifacts"))?)),
            ("end_time", end.map_or_else(|| "null".to_owned(), |end| end.to_string())),
            ("entry_point_name", text("")),
            ("experiment_id", text(&experiment.to_string_lossy())),
            ("lifecycle_stage", text("active")),
            ("run_id", text(&self.id)),
            ("run_name", text(&self.name)),
            ("source_name", text("")),
            ("source_type", "4".to_owned()),
            ("source_version", text("")),
            ("start_time", self.start.to_string()),
            ("status", (status as i32).to_string()),
            ("tags", "[]".to_owned()),
            ("user_id", text(&user())),
        ];
        write_text(&self.folder.join(META), &yaml(&meta))
    }
}

/// Returns the id and the start of the last run that wrote a folder; nothing where there is none.
fn latest_of(experiment: &Path, owner: &str) -> Result<Option<(String, u64)>> {
    let context = || format!("cannot read the folder `{}`", experiment.display());
    let mut latest = None;
    for entry in std::fs::read_dir(experiment).with_context(context)? {
        let folder = entry.with_context(context)?.path();
        if read(&folder.join("tags").join(FOLDER)) == owner {
            let meta = read(&folder.join(META));
            let start = value_of(&meta, "start_time").and_then(|start| start.parse().ok()).unwrap_or(0);
            let id = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            latest = latest.max(Some((start, id)));
        }
    }
    Ok(latest.map(|(start, id)| (id, start)))
}

/// Returns a point as it stands in a metric's file.
fn line(scalars: &Scalars, value: f64) -> String {
    format!("{} {value} {}\n", (scalars.time * 1000.0) as u64, scalars.step)
}

/// Cuts a value that is longer than MLflow takes.
fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(MOST_BYTES)]
}

fn user() -> String {
    ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default()
}

fn milliseconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalars(step: u64) -> Scalars {
        let values = vec![("train/loss".to_owned(), 0.5), ("eval/accuracy".to_owned(), 1e-9)];
        Scalars { step, seconds: 0.0, time: 1.5, values }
    }

    fn about(folder: &str, is_resumed: bool) -> About {
        About {
            folder: folder.into(),
            name: "a: \"run\"".into(),
            is_resumed,
            params: vec![("train.epochs".into(), "3".into()), ("data.text".into(), "ä".repeat(4000))],
            tags: vec![("distill.sha256.teacher".into(), "00".into())],
        }
    }

    #[test]
    fn a_run_lies_as_mlflow_lays_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = MlflowRun::open(folder.path(), &about("/out", false), &[scalars(1)]).unwrap();
        let path = run.folder.clone();
        assert_eq!(value_of(&read(&path.join(META)), "status"), Some("1"));
        run.record(&scalars(2)).unwrap();
        run.finish(Ending::Finished).unwrap();
        assert_eq!(read(&path.join("metrics/train/loss")), "1500 0.5 1\n1500 0.5 2\n");
        assert_eq!(read(&path.join("metrics/eval/accuracy")), "1500 0.000000001 1\n1500 0.000000001 2\n");
        assert_eq!(read(&path.join("params/train.epochs")), "3");
        assert_eq!(read(&path.join("params/data.text")).len(), 6000, "MLflow takes no longer value");
        assert_eq!(read(&path.join("tags/mlflow.runName")), "a: \"run\"");
        let meta = read(&path.join(META));
        assert!(meta.contains("run_name: \"a: \\\"run\\\"\"\n") && meta.contains("\nstatus: 3\n"), "{meta}");
        assert!(value_of(&meta, "end_time").unwrap().parse::<u64>().is_ok());
        assert_eq!(value_of(&meta, "run_id"), path.file_name().and_then(|name| name.to_str()));
    }

    #[test]
    fn a_resumed_run_goes_on_and_a_new_one_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let open = |out: &str, is_resumed, kept: &[Scalars]| {
            MlflowRun::open(folder.path(), &about(out, is_resumed), kept).unwrap()
        };
        let mut run = open("/out", false, &[]);
        (1..=5).for_each(|step| run.record(&scalars(step)).unwrap());
        let first = run.id.clone();
        drop(run);
        let mut resumed = open("/out", true, &[scalars(1), scalars(2)]);
        assert_eq!(resumed.id, first);
        resumed.record(&scalars(3)).unwrap();
        let loss = read(&resumed.path("train/loss"));
        assert_eq!(
            loss.lines().map(|line| line.split(' ').nth(2).unwrap()).collect::<Vec<_>>(),
            ["1", "2", "3"]
        );
        assert_ne!(open("/else", true, &[]).id, first);
        assert_ne!(open("/out", false, &[]).id, first, "a run that starts anew does not replace the old one");
    }
}
