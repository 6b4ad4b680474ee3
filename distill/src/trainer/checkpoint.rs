//! What a run leaves behind so that it can be continued: everything that training changes, and the best student so far.

use super::health::Health;
use crate::error::explained;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use student::Arena;
use student::checkpoint::{read_snapshot, read_weights, write_snapshot, write_weights};
use student::engine::Engine;

/// The folder with the checkpoints of one run.
pub struct CheckpointFolder {
    folder: PathBuf,
    identity: String,
}

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The updates made.
    pub step: u64,
    /// The updates after which the best student was evaluated, and its score.
    pub best: Option<(u64, f64)>,
    /// The evaluations since then.
    pub stale: u32,
    /// Whether training ended because they were too many.
    pub stopped_early: bool,
    /// The losses so far.
    pub health: Health,
}

/// What stands in a checkpoint beside the numbers.
#[derive(Serialize, Deserialize)]
struct State {
    identity: String,
    progress: Progress,
}

impl CheckpointFolder {
    /// Makes the folder, or opens the one that is there. `identity` tells runs apart: recipe and data.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: &Path, identity: String) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        Ok(CheckpointFolder { folder: folder.to_owned(), identity })
    }

    /// Forgets an earlier run.
    ///
    /// # Errors
    /// When its files cannot be removed.
    pub fn clear(&self) -> Result<()> {
        for path in [self.last(), self.best()].iter().filter(|path| path.exists()) {
            std::fs::remove_file(path).with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
        Ok(())
    }

    /// Returns the update after which the folder's checkpoint was written; 0 when there is none.
    ///
    /// # Errors
    /// As [`CheckpointFolder::open`], or when the checkpoint is of another run.
    pub fn step(&self, engine: &dyn Engine) -> Result<u64> {
        Ok(self.read(engine)?.map_or(0, |(_, progress)| progress.step))
    }

    /// Brings the engine to where the run was left; returns nothing for a new run.
    pub(super) fn restore(&self, engine: &mut dyn Engine) -> Result<Option<Progress>> {
        Ok(self.read(engine)?.map(|(snapshot, progress)| {
            engine.restore(snapshot);
            progress
        }))
    }

    /// Brings the parameters of the best student into the engine.
    pub(super) fn restore_best(&self, engine: &mut dyn Engine) -> Result<()> {
        let mut params = Arena::zeros(engine.layout());
        read_weights(&self.best())?.load(engine.layout(), &mut params, None)?;
        engine.adopt(params);
        Ok(())
    }

    pub(super) fn save(&self, engine: &mut dyn Engine, progress: &Progress) -> Result<()> {
        let state = State { identity: self.identity.clone(), progress: progress.clone() };
        let state =
            serde_json::to_string(&state).context("the state of the run cannot be written as JSON")?;
        let layout = engine.layout().clone();
        Ok(write_snapshot(&self.last(), &layout, &engine.snapshot(), &state)?)
    }

    pub(super) fn save_best(&self, engine: &mut dyn Engine) -> Result<()> {
        let layout = engine.layout().clone();
        Ok(write_weights(&self.best(), &layout, engine.params())?)
    }

    fn read(&self, engine: &dyn Engine) -> Result<Option<(student::Snapshot<'static>, Progress)>> {
        let path = self.last();
        if !path.exists() {
            return Ok(None);
        }
        let (snapshot, state) = read_snapshot(&path, engine.layout())?;
        let state: State = serde_json::from_str(&state)
            .with_context(|| format!("`{}` does not hold the state of a training run", path.display()))?;
        if state.identity != self.identity {
            return Err(explained(
                format!(
                    "`{}` belongs to a run with another recipe or other data, or of another version of distill",
                    path.display()
                ),
                "resume with the settings, files and version that the run was started with, or start anew with \
                 `--overwrite`",
            ));
        }
        Ok(Some((snapshot, state.progress)))
    }

    fn last(&self) -> PathBuf {
        self.folder.join("last.safetensors")
    }

    fn best(&self) -> PathBuf {
        self.folder.join("best.safetensors")
    }
}
