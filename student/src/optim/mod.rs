//! How parameters move: the optimiser and its learning-rate schedule.

mod adamw;
mod schedule;

pub use adamw::{AdamW, AdamWStep};
pub use schedule::Schedule;
