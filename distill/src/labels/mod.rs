//! The teacher's logits on disk, asked for once: each under a hash of its text, so that no other text ever gets them.
//!
//! A store is one safetensors file, `labels.safetensors`, that any tool can open:
//!
//! ```text
//! logits    F32 [n, C]    raw, T = 1: temperature belongs to the loss
//! keys      U8  [n, 16]   the hash of each example, in strictly increasing order
//! metadata  `distill`     JSON: format version, and the [`Provenance`]
//! ```
//!
//! Rows are sorted by key, so that the same labelled examples give the same bytes, whatever the order, the shards or the
//! interruptions in which they were labelled. The store only grows: rows that the present data does not ask for stay.
//!
//! Beside it lie, for a while, `labels.safetensors.journal`, what an unfinished run has labelled so far, and
//! `labels.shard-2-of-8.safetensors`, what a run with a [`Shard`] has labelled. A run without one gathers the shards and
//! leaves them where they are; once it is done, they can be deleted.

mod journal;
mod key;
mod keys;
mod known;
mod provenance;
mod rows;
mod run;
mod shard;
mod store;

pub use key::{Key, key, key_of_tokens};
pub use keys::{Keys, SortedKeys, sorted};
pub use provenance::Provenance;
pub use run::{CHUNK, Classify, Plan, Request, finished, label, plan};
pub use shard::Shard;
pub use store::LabelStore;

#[cfg(test)]
mod sample;
