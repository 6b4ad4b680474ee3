//! `distill recipes`: the recipes that come with the program, to be read and copied.

use crate::cli::RecipesArgs;
use crate::console::Console;
use crate::recipe::{BUILTIN, Recipe, text};
use anyhow::Result;
use serde_json::json;
use std::path::Path;

/// Lists the recipes, or prints one.
///
/// # Errors
/// When there is no such recipe.
pub fn run(args: &RecipesArgs, console: &Console) -> Result<()> {
    match &args.name {
        Some(name) => console.hand_out(text(Path::new(name))?.trim_end()),
        None if console.json => {
            console.hand_out(json!(BUILTIN.iter().map(|(name, _)| name).collect::<Vec<_>>()))
        }
        None => {
            for (name, _) in BUILTIN {
                let recipe = Recipe::load(Some(Path::new(name)), &[])?;
                let stages: Vec<String> = recipe.stages()?.into_iter().map(|stage| stage.name).collect();
                let about = recipe.about.unwrap_or_default();
                let title = about.trim().lines().next().unwrap_or_default().to_owned();
                console.hand_out(format!("{name:<14} {title}\n{:<14} stages: {}", "", stages.join(", ")));
            }
        }
    }
    Ok(())
}
