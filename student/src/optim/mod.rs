//! How parameters move: the optimiser and its learning-rate schedule.

mod adamw;
mod lazy;
mod schedule;

pub use adamw::{AdamW, AdamWStep};
pub use lazy::LazyAdamW;
pub use schedule::Schedule;

#[cfg(test)]
mod tests;
