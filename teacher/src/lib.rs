//! Opens any BERT-like ONNX classifier and reads what it says: raw logits, in order, fast.
//!
//! ```no_run
//! use teacher::{Options, Teacher, Tokens};
//!
//! # fn main() -> Result<(), teacher::Error> {
//! let mut teacher = Teacher::open("my-bert".as_ref(), &Options::default())?;
//! let hello = Tokens { ids: &[101, 7592, 102], type_ids: &[0, 0, 0] };
//! let logits = teacher.logits(&[hello], &|_| {})?; // [1, C]
//! # Ok(())
//! # }
//! ```
//!
//! The same graph tells what its layers say inside, if it is asked:
//!
//! ```no_run
//! # use teacher::{Options, Taps, Teacher, Tokens};
//! # fn main() -> Result<(), teacher::Error> {
//! # let hello = Tokens { ids: &[101, 7592, 102], type_ids: &[0, 0, 0] };
//! let mut body = Teacher::open_body("my-bert".as_ref(), &Options::default())?;
//! body.tap(&Taps { hidden: vec![0, 12], scores: vec![12], qkv: vec![12] })?;
//! let signals = body.signals(&[hello], &|_| {})?; // `hidden`, `scores`, `qkv` and `logits`, without padding
//! # Ok(())
//! # }
//! ```
//!
//! The crate takes token ids, not text, and gives logits, not probabilities: tokenizing, temperatures and losses are
//! other people's business. It reads its way down:
//!
//! - `model_files` finds the graph and its [`config`](ModelConfig) in a folder,
//! - [`runtime`] finds the ONNX Runtime library, or fetches it once with [`pip`],
//! - `signature` decides which tensor of the graph is what,
//! - `batching` sorts, cuts, pads, and puts rows back in order,
//! - `workers` shares the batches out,
//! - `taps` finds what the graph says inside, where that is asked for,
//! - `teacher` alone talks to ONNX Runtime; no type of it leaves that file,
//! - `masked_lm` is the same for models that say of every token which words could stand there.
//!
//! The batches depend on the sequences and the budget, never on the number of workers; so do the results.

mod batching;
mod config;
mod error;
mod fingerprint;
mod masked_lm;
mod model_files;
mod options;
pub mod pip;
mod protobuf;
mod python;
pub mod runtime;
mod sha256;
mod signature;
mod taps;
mod teacher;
mod tokens;
mod words;
mod workers;

pub use config::ModelConfig;
pub use error::Error;
pub use fingerprint::external_files;
pub use masked_lm::{Masked, MaskedLm};
pub use options::Options;
pub use signature::{Dimension, Element, Names, Signature, TensorInfo};
pub use taps::{Anatomy, Finding, Layer, Signals, Site, Taps};
pub use teacher::Teacher;
pub use tokens::Tokens;
pub use words::{LikelyWords, WordsAsked};
