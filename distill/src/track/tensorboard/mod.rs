//! TensorBoard's event files: the curves of a run as TensorFlow writes them.
//!
//! Each process that works on a run adds a file. Before that, it cuts the files of the earlier ones at the step from which
//! it goes on, so that a point that was written after the checkpoint, or torn when a process was killed, is in no file any
//! more. They are cut and not replaced because a TensorBoard that is looking has read so far, and goes on from there; its
//! memory is set right by the start of a session, with which a file begins: it takes back what was said of later steps.

mod messages;
mod records;

use crate::log::Scalars;
use anyhow::{Context, Result};
use messages::{Event, SessionLog, Status, Summary, Value, What};
use prost::Message;
use records::{frame, records};
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
    /// Adds a file for a run in a folder. `kept`: what its log says already, nothing for a run that starts anew.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn create(folder: &Path, kept: &[Scalars]) -> Result<Self> {
        let context = || format!("cannot write to the folder `{}`", folder.display());
        std::fs::create_dir_all(folder).with_context(context)?;
        let known = cut(folder, kept.last().map_or(0, |last| last.step)).with_context(context)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let path = folder.join(format!("{PREFIX}{:010}.{:09}{SUFFIX}", now.as_secs(), now.subsec_nanos()));
        let session = SessionLog { status: Status::Start.into() };
        let head =
            [(0, What::FileVersion(VERSION.to_owned())), (known as i64 + 1, What::SessionLog(session))]
                .map(|(step, what)| Event { wall_time: now.as_secs_f64(), step, what: Some(what) });
        let lacking = kept.iter().filter(|scalars| scalars.step > known).map(event);
        write_atomically(&path, |file| {
            head.into_iter().chain(lacking).try_for_each(|event| file.write_all(&framed(&event)))
        })?;
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

/// Cuts the files of earlier processes after a step; returns the last step that they still have, 0 when none.
///
/// A file with nothing left is removed, except the last, at which somebody may be looking.
fn cut(folder: &Path, step: u64) -> std::io::Result<u64> {
    let files = ours(folder)?;
    let mut last = 0;
    for (i, path) in files.iter().enumerate() {
        let bytes = std::fs::read(path)?;
        let (kept, reached) = prefix(&bytes, step);
        last = reached.max(last);
        if reached == 0 && i + 1 < files.len() {
            std::fs::remove_file(path)?;
        } else if kept < bytes.len() {
            write_atomically(path, |file| file.write_all(&bytes[..kept])).map_err(std::io::Error::other)?;
        }
    }
    Ok(last)
}

/// Returns the length of the part of a file before the first event after `step`, and the last step with numbers in it.
fn prefix(bytes: &[u8], step: u64) -> (usize, u64) {
    let (mut kept, mut last) = (0, 0);
    for (record, end) in records(bytes) {
        let Ok(event) = Event::decode(record) else { break };
        let at = event.step.try_into().unwrap_or(0);
        if at > step {
            break;
        }
        kept = end;
        if matches!(event.what, Some(What::Summary(_))) {
            last = at;
        }
    }
    (kept, last)
}

/// Returns the files of events in a folder that this project wrote, the oldest first.
fn ours(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let paths =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(PREFIX) && name.ends_with(SUFFIX)
    };
    let mut ours: Vec<PathBuf> = paths.into_iter().filter(is_ours).collect();
    ours.sort();
    Ok(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalars(step: u64) -> Scalars {
        let values = vec![("train/loss".to_owned(), 1.0 / step as f64), ("train/kl".to_owned(), 0.0)];
        Scalars { step, seconds: step as f64, time: 1e9 + step as f64, values }
    }

    /// Returns the events of each file.
    fn events(folder: &Path) -> Vec<Vec<Event>> {
        let events = |path: PathBuf| {
            let bytes = std::fs::read(path).unwrap();
            records(&bytes).map(|(record, _)| Event::decode(record).unwrap()).collect()
        };
        ours(folder).unwrap().into_iter().map(events).collect()
    }

    /// Returns the steps with numbers of each file.
    fn steps(folder: &Path) -> Vec<Vec<i64>> {
        let of = |events: Vec<Event>| {
            let numbers = events.into_iter().filter(|event| matches!(event.what, Some(What::Summary(_))));
            numbers.map(|event| event.step).collect()
        };
        events(folder).into_iter().map(of).collect()
    }

    fn write(folder: &Path, kept: u64, until: u64) -> EventFile {
        let mut file = EventFile::create(folder, &(1..=kept).map(scalars).collect::<Vec<_>>()).unwrap();
        (kept + 1..=until).for_each(|step| file.record(&scalars(step)).unwrap());
        file
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 1, 2);
        let [events] = &events(folder.path())[..] else { panic!("there is one file") };
        assert_eq!(events[0].what, Some(What::FileVersion("brain.Event:2".into())));
        assert!(matches!(events[1], Event { step: 1, what: Some(What::SessionLog(_)), .. }));
        assert_eq!((events[2].step, events[3].step, events[3].wall_time), (1, 2, 1e9 + 2.0));
        let Some(What::Summary(summary)) = &events[3].what else { panic!("{events:?}") };
        let values: Vec<_> =
            summary.value.iter().map(|value| (value.tag.as_str(), value.simple_value)).collect();
        assert_eq!(values, [("train/loss", Some(0.5)), ("train/kl", Some(0.0))]);
    }

    #[test]
    fn a_resumed_run_has_each_step_once_in_all_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = write(folder.path(), 0, 5);
        // The process is killed while it writes, and goes on from step 3; a file of somebody else's stays.
        let torn = std::fs::metadata(&file.path).unwrap().len() - 9;
        file.file.set_len(torn).unwrap();
        let before = std::fs::read(&file.path).unwrap();
        let foreign = folder.path().join("events.out.tfevents.1.host.2.0");
        std::fs::write(&foreign, "").unwrap();
        write(folder.path(), 3, 6);
        assert_eq!(steps(folder.path()), [vec![1, 2, 3], vec![4, 5, 6]]);
        assert!(
            before.starts_with(&std::fs::read(&file.path).unwrap()),
            "who is reading goes on where it was"
        );
        let session = &events(folder.path())[1][1];
        assert!(matches!(session, Event { step: 4, what: Some(What::SessionLog(_)), .. }), "{session:?}");
        write(folder.path(), 2, 4);
        assert_eq!(steps(folder.path()), [vec![1, 2], vec![], vec![3, 4]]);
        write(folder.path(), 4, 5);
        assert_eq!(
            steps(folder.path()),
            [vec![1, 2], vec![3, 4], vec![5]],
            "a file that said nothing is gone"
        );
        assert!(foreign.exists());
    }

    #[test]
    fn points_that_were_lost_are_written_again_and_a_new_run_forgets_all() {
        let folder = tempfile::tempdir().unwrap();
        let lost = write(folder.path(), 0, 4);
        std::fs::write(&lost.path, "no events").unwrap();
        write(folder.path(), 3, 4);
        assert_eq!(steps(folder.path()), [vec![], vec![1, 2, 3, 4]]);
        write(folder.path(), 0, 2);
        assert_eq!(steps(folder.path()), [vec![], vec![1, 2]]);
    }
}
