//! A small transformer encoder that trains on the CPU, written to be read.
//!
//! The crate turns packed token ids into [`Outputs`], takes the gradients of those outputs back, updates itself, and
//! reads and writes model files. It knows no text, no loss, no network and no clock. The mathematics stands in
//! [`layers`] and in the wiring of an architecture ([`bert`]); the numbers stand in an [`Arena`]; the speed stands in
//! `kernels`, the only place with threads; [`Engine`] is the door through which a trainer comes in.
//!
//! | symbol | meaning | | symbol | meaning |
//! |---|---|---|---|---|
//! | `B` | sequences in a batch | | `D` | width of a head, `H / A` |
//! | `N` | tokens in a packed batch | | `I` | intermediate width of the feed-forward block |
//! | `T` | longest sequence of a batch | | `L` | encoder layers |
//! | `H` | hidden width | | `V` | vocabulary size |
//! | `A` | attention heads | | `C` | classes, or 1 for regression |
//!
//! The gradient of the loss with respect to `x` is called `d_x`. `forward` returns `(output, Saved)` and `backward`
//! consumes `Saved` by value, so that a backward pass without its forward pass, or a second one, does not compile.

pub mod architecture;
pub mod arena;
pub mod batch;
pub mod bert;
pub mod checkpoint;
pub mod engine;
pub mod error;
pub mod export;
pub mod files;
pub mod gradcheck;
pub mod header;
pub mod import;
pub mod init;
mod kernels;
pub mod layers;
pub mod measure;
pub mod optim;
pub mod params;
pub mod quant;
pub mod real;
pub mod weights;

pub use architecture::{Architecture, Asked, Mode, OutputGrads, Outputs};
pub use arena::{Arena, Layout, Scope, Slot};
pub use batch::PackedBatch;
pub use engine::{CpuEngine, Engine, Snapshot};
pub use error::Error;
pub use kernels::{Precision, Threads};
pub use params::Params;
pub use real::Real;
