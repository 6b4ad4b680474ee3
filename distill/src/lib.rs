//! The distillation pipeline: text and a teacher in, a verified student out.
//!
//! ```text
//! data ──▶ table ──▶ soft_labels ──▶ examples ──▶ trainer ──▶ bundle ──▶ report
//! text      (tokens)   (labels)       (masking)  (objective)  (verify)  (measure)
//! ```
//!
//! Each of the [`commands`] is one straight line through these modules; [`cli`] parses, [`recipe`] resolves, and only
//! [`console`] talks. This crate alone knows both the `teacher`, an ONNX graph that answers, and the `student`, a model
//! that learns.

pub mod asking;
pub mod augment;
pub mod batches;
pub mod blueprint;
pub mod bundle;
pub mod card;
pub mod certainty;
pub mod cli;
pub mod commands;
pub mod comparison;
pub mod console;
pub mod corpus;
pub mod cost;
pub mod data;
pub mod draws;
pub mod error;
pub mod examples;
pub mod insight;
pub mod interrupt;
pub mod labels;
pub mod log;
pub mod masking;
pub mod measure;
pub mod memory;
pub mod metrics;
pub mod names;
pub mod narrowing;
pub mod objective;
pub mod recipe;
pub mod report;
pub mod run_folder;
pub mod soft_labels;
pub mod table;
pub mod task;
pub mod tensors;
pub mod text;
pub mod threads;
pub mod tokens;
pub mod track;
pub mod trainer;
pub mod vocabulary;
