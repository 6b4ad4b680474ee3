//! The command: parse, do, and say what went wrong and what to do about it.

use clap::Parser;
use distill::cli::Cli;
use distill::error::hint_of;
use std::process::ExitCode;
use student::engine::ReusingAllocator;

#[global_allocator]
static MEMORY: ReusingAllocator = ReusingAllocator::new();

fn main() -> ExitCode {
    match distill::commands::run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            distill::console::complain(&error, hint_of(&error).as_deref());
            ExitCode::FAILURE
        }
    }
}
