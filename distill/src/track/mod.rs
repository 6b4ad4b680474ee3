//! Where a run can be followed besides its log: in TensorBoard always, in MLflow when asked for.
//!
//! Both are written from the lines of the log, live as well as when a run is resumed, so that they say what it says: each
//! step once, however often the run was interrupted.

mod mlflow;
mod tensorboard;

pub use tensorboard::FOLDER as TENSORBOARD;

use crate::log::Scalars;
use anyhow::Result;
use mlflow::MlflowRun;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tensorboard::EventFile;

/// A place at which runs of many folders are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The file store of MLflow in this folder, which MLflow calls `mlruns`.
    Mlflow(PathBuf),
}

/// What is known of a run before it starts.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The folder that it writes, absolute: by it a resumed run is found again.
    pub folder: PathBuf,
    /// What people call it.
    pub name: String,
    /// Whether it goes on with what wrote the folder.
    pub is_resumed: bool,
    /// Every setting.
    pub params: Vec<(String, String)>,
    /// What it is made from.
    pub tags: Vec<(String, String)>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It came to its end.
    Finished,
    /// It was interrupted, and can go on.
    Stopped,
    /// It failed.
    Failed,
}

/// Everything that follows a run.
pub struct Trackers {
    tensorboard: EventFile,
    mlflow: Vec<MlflowRun>,
}

impl Trackers {
    /// Starts to follow a run. `kept`: what its log says already.
    ///
    /// # Errors
    /// When a place cannot be written to.
    pub fn open(about: &About, destinations: &[Destination], kept: &[Scalars]) -> Result<Self> {
        let open = |Destination::Mlflow(store): &Destination| MlflowRun::open(store, about, kept);
        Ok(Trackers {
            tensorboard: EventFile::create(&about.folder.join(TENSORBOARD), kept)?,
            mlflow: destinations.iter().map(open).collect::<Result<_>>()?,
        })
    }

    /// Adds the numbers of a line of the log.
    ///
    /// # Errors
    /// When a place cannot be written to.
    pub fn record(&mut self, scalars: &Scalars) -> Result<()> {
        self.tensorboard.record(scalars)?;
        self.mlflow.iter_mut().try_for_each(|run| run.record(scalars))
    }

    /// Says how the run ended.
    ///
    /// # Errors
    /// When a place cannot be written to.
    pub fn finish(self, ending: Ending) -> Result<()> {
        self.mlflow.into_iter().try_for_each(|run| run.finish(ending))
    }
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("mlflow", folder)) if !folder.is_empty() => {
                Ok(Destination::Mlflow(Path::new(folder).into()))
            }
            _ => {
                Err("write `mlflow:DIR`, where DIR is the folder of MLflow's file store, such as `mlruns`"
                    .into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_names_its_kind_and_its_folder() {
        assert_eq!("mlflow:a:b".parse(), Ok(Destination::Mlflow("a:b".into())));
        for wrong in ["mlflow", "mlflow:", "wandb:x", "mlruns", ""] {
            assert!(wrong.parse::<Destination>().unwrap_err().contains("mlflow:DIR"), "{wrong}");
        }
    }
}
