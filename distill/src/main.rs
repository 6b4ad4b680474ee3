//! The command: parse, do, and say what went wrong and what to do about it.

use clap::Parser;
use distill::cli::Cli;
use distill::error::hint_of;
use std::process::ExitCode;

/// A training step allocates what the step before it has freed; this allocator keeps it at hand.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    distill::memory::keep_freed_pages();
    match distill::commands::run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            distill::console::complain(&error, hint_of(&error).as_deref());
            ExitCode::FAILURE
        }
    }
}
