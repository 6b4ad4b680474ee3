//! `distill doctor`: what this machine has, and what is missing.

use crate::cli::Common;
use crate::console::Console;
use anyhow::Result;
use serde_json::json;
use teacher::runtime::{Attempt, search_report};

/// Shows where ONNX Runtime was looked for and found, and what the machine can do.
///
/// # Errors
/// None that the machine could be blamed for: what is missing is part of the report.
pub fn run(common: &Common, console: &Console) -> Result<()> {
    let attempts = search_report(common.onnxruntime.as_deref());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let chosen = attempts.iter().find_map(|attempt| attempt.outcome.as_ref().ok());
    if console.json {
        let places: Vec<_> = attempts.iter().map(place_as_json).collect();
        console.hand_out(serde_json::to_string_pretty(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "cpu_features": student::engine::cpu_features(),
            "threads": threads,
            "cache": teacher::runtime::cache_dir().ok(),
            "onnxruntime": chosen.map(|found| &found.path),
            "places": places,
        }))?);
        return Ok(());
    }
    console.hand_out(format_args!("distill {}", env!("CARGO_PKG_VERSION")));
    console.hand_out(format_args!("threads       {threads}"));
    console.hand_out(format_args!("cpu features  {}", student::engine::cpu_features().join(" ")));
    match teacher::runtime::cache_dir() {
        Ok(folder) => console.hand_out(format_args!("cache         {}", folder.display())),
        Err(error) => console.hand_out(format_args!("cache         {error}")),
    }
    console.hand_out("ONNX Runtime, in the order of the search:");
    for attempt in &attempts {
        console.hand_out(format_args!("  {}", place(attempt)));
    }
    console.hand_out(match chosen {
        Some(found) => format!("in use        {}", found.path.display()),
        None => "in use        none yet; the first command that needs it fetches it".to_owned(),
    });
    Ok(())
}

fn place(attempt: &Attempt) -> String {
    match &attempt.outcome {
        Ok(found) => {
            let version =
                found.version.as_deref().map_or_else(String::new, |version| format!(" ({version})"));
            format!("{}: {}{version}", attempt.origin, found.path.display())
        }
        Err(reason) => format!("{}: {reason}", attempt.origin),
    }
}

fn place_as_json(attempt: &Attempt) -> serde_json::Value {
    match &attempt.outcome {
        Ok(found) => {
            json!({ "place": attempt.origin.to_string(), "found": found.path, "version": found.version })
        }
        Err(reason) => json!({ "place": attempt.origin.to_string(), "missing": reason }),
    }
}
