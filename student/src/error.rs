//! What can go wrong with a model's files, and what to do about it.

use std::path::PathBuf;

/// An error of reading, writing or building a student.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be written; what was there before is untouched.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("`{path}` is not a valid {format} file: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The format it should have.
        format: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A configuration describes no model that can be built.
    #[error("the model configuration is not valid: {0}")]
    Config(String),
    /// Weights do not fit the model.
    #[error("`{path}` does not fit the model: {reason}")]
    Mismatch {
        /// The file with the weights.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// A graph holds no weights that a student could take over.
    #[error("no weights can be taken out of `{path}`: {reason}")]
    Unusable {
        /// The graph.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A graph cannot be stored as asked.
    #[error("the graph cannot be stored as `{format}`: {reason}")]
    Rewrite {
        /// The format.
        format: &'static str,
        /// Why not.
        reason: String,
    },
    /// A graph cannot do without some of its words.
    #[error("the vocabulary of the graph cannot be trimmed: {0}")]
    Vocabulary(String),
    /// `backward` was called without a `forward` before it.
    #[error("backward was called without a forward pass before it")]
    BackwardWithoutForward,
    /// The thread pool could not be started.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
}

impl Error {
    /// Returns what the user can do about the error.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Some("check the path; a model directory holds `config.json` and `model.safetensors`".into())
            }
            Error::Write { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("free some space and run the same command again; older files are still whole".into())
            }
            Error::Malformed { .. } => Some("the file may be truncated; download or write it again".into()),
            Error::Mismatch { .. } => {
                Some("use weights of the same shape, or name the layers to copy with `--init-layers`".into())
            }
            Error::Vocabulary(_) => Some(
                "start from the float32 export of the model, before it was quantised, or leave the vocabulary whole"
                    .into(),
            ),
            Error::Unusable { .. } => Some(
                "use the model's `model.safetensors`, or its float32 export without optimisations".into(),
            ),
            Error::Rewrite { .. } => Some(
                "`distill export --sensitivity` lists the names; a graph of another tool is best exported anew in                  single precision and opset 17"
                    .into(),
            ),
            _ => None,
        }
    }
}
