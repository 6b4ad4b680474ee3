//! TensorBoard's event file: the curves of a run as TensorFlow writes them.
//!
//! A folder has one file of ours. A run that is resumed writes a new one, from its log, and takes the old one away: a
//! point that was written after the checkpoint, or torn when the process was killed, is in no file any more. A
//! TensorBoard that is looking meanwhile drops what it knew, since the file begins with the start of a session at step 0.

mod messages;
mod records;

use crate::log::Scalars;
use anyhow::{Context, Result};
use messages::{Event, SessionLog, Status, Summary, Value, What};
use prost::Message;
use records::frame;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use student::files::write_atomically;

/// The folder's name in the folder of a run.
pub const FOLDER: &str = "tensorboard";

/// How TensorBoard tells a file of events, and we ours.
const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".distill";
/// The version of the format whose readers heed the start of a session.
const VERSION: &str = "brain.Event:2";

/// A file of events that is being written.
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Makes the file of a run in a folder, with what its log says already, and removes that of an earlier run.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn create(folder: &Path, kept: &[Scalars]) -> Result<Self> {
        let context = || format!("cannot write to the folder `{}`", folder.display());
        std::fs::create_dir_all(folder).with_context(context)?;
        let earlier = ours(folder).with_context(context)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let name = format!("{PREFIX}{:010}.{:09}{SUFFIX}", now.as_secs(), now.subsec_nanos());
        let path = folder.join(name);
        let start = kept.first().map_or(now.as_secs_f64(), |first| first.time);
        let session = SessionLog { status: Status::Start.into() };
        let head = [What::FileVersion(VERSION.to_owned()), What::SessionLog(session)].map(|what| Event {
            wall_time: start,
            step: 0,
            what: Some(what),
        });
        write_atomically(&path, |file| {
            head.into_iter()
                .chain(kept.iter().map(event))
                .try_for_each(|event| file.write_all(&framed(&event)))
        })?;
        for path in earlier.iter().filter(|earlier| **earlier != path) {
            std::fs::remove_file(path).with_context(context)?;
        }
        let file = File::options().append(true).open(&path).with_context(context)?;
        Ok(EventFile { path, file })
    }

    /// Adds the numbers of a step.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn record(&mut self, scalars: &Scalars) -> Result<()> {
        self.file
            .write_all(&framed(&event(scalars)))
            .with_context(|| format!("cannot write `{}`", self.path.display()))
    }
}

fn framed(event: &Event) -> Vec<u8> {
    frame(&event.encode_to_vec())
}

fn event(scalars: &Scalars) -> Event {
    let value = |(tag, value): &(String, f64)| Value { tag: tag.clone(), simple_value: Some(*value as f32) };
    let summary = Summary { value: scalars.values.iter().map(value).collect() };
    Event { wall_time: scalars.time, step: scalars.step as i64, what: Some(What::Summary(summary)) }
}

/// Returns the files of events in a folder that this project wrote.
fn ours(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let paths =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(PREFIX) && name.ends_with(SUFFIX)
    };
    Ok(paths.into_iter().filter(is_ours).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalars(step: u64) -> Scalars {
        let values = vec![("train/loss".to_owned(), 1.0 / step as f64), ("train/kl".to_owned(), 0.0)];
        Scalars { step, seconds: step as f64, time: 1e9 + step as f64, values }
    }

    fn events(folder: &Path) -> Vec<Event> {
        let files = ours(folder).unwrap();
        let [file] = &files[..] else { panic!("there is one file: {files:?}") };
        let records = records::tests::records(&std::fs::read(file).unwrap());
        records.iter().map(|record| Event::decode(&record[..]).unwrap()).collect()
    }

    fn steps(events: &[Event]) -> Vec<i64> {
        events.iter().map(|event| event.step).collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(folder.path(), &[scalars(1)]).unwrap();
        file.record(&scalars(2)).unwrap();
        let events = events(folder.path());
        assert_eq!(events[0].what, Some(What::FileVersion("brain.Event:2".into())));
        assert!(matches!(events[1].what, Some(What::SessionLog(_))));
        assert_eq!((steps(&events[2..]), events[3].wall_time), (vec![1, 2], 1e9 + 2.0));
        let Some(What::Summary(summary)) = &events[3].what else { panic!("{events:?}") };
        let values: Vec<_> =
            summary.value.iter().map(|value| (value.tag.as_str(), value.simple_value)).collect();
        assert_eq!(values, [("train/loss", Some(0.5)), ("train/kl", Some(0.0))]);
    }

    #[test]
    fn a_resumed_run_has_one_file_with_each_step_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(folder.path(), &[]).unwrap();
        (1..=5).for_each(|step| file.record(&scalars(step)).unwrap());
        // The process is killed while it writes, and goes on from step 3; a file of somebody else's stays.
        let torn = std::fs::metadata(&file.path).unwrap().len() - 9;
        file.file.set_len(torn).unwrap();
        assert_eq!(steps(&events(folder.path())), [0, 0, 1, 2, 3, 4]);
        let foreign = folder.path().join("events.out.tfevents.1.host.2.0");
        std::fs::write(&foreign, "").unwrap();
        let kept: Vec<Scalars> = (1..=3).map(scalars).collect();
        let mut file = EventFile::create(folder.path(), &kept).unwrap();
        (4..=6).for_each(|step| file.record(&scalars(step)).unwrap());
        assert_eq!(steps(&events(folder.path())), [0, 0, 1, 2, 3, 4, 5, 6]);
        assert!(foreign.exists());
    }
}
