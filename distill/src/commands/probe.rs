//! `distill probe`: a hidden command, by which `distill` measures a model in a process of its own.

use crate::console::Console;
use crate::cost::probe;
use anyhow::Result;

/// Answers the request on standard input.
///
/// # Errors
/// When it is none, or the model cannot be opened or fails.
pub fn run(console: &Console) -> Result<()> {
    console.hand_out(probe::answer(std::io::stdin().lock())?);
    Ok(())
}
