//! The command: parse, do, and say what went wrong and what to do about it.

use clap::Parser;
use distill::cli::Cli;
use distill::error::hint_of;
use std::process::ExitCode;

/// A training step allocates what the step before it has freed; this allocator keeps it at hand.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_freed_memory();
    match distill::commands::run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            distill::console::complain(&error, hint_of(&error).as_deref());
            ExitCode::FAILURE
        }
    }
}

/// Keeps freed pages instead of giving them back after a second, as the allocator would: a step of a large student takes
/// as long, and its pages would come back zeroed by the system, a fifth of the step's time.
///
/// `MIMALLOC_PURGE_DELAY`, in milliseconds, says otherwise.
fn keep_freed_memory() {
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    const NEVER: std::ffi::c_long = -1;
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        // SAFETY: sets a number inside of the allocator; no other thread runs yet.
        unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, NEVER) };
    }
}
