//! The recipes that come with the program, to be used by name or copied.

use crate::error::explained;
use crate::names;
use anyhow::{Context, Result};
use std::path::Path;

/// The recipes, by name.
pub const BUILTIN: &[(&str, &str)] = &[
    ("distilbert", include_str!("../../recipes/distilbert.toml")),
    ("kd", include_str!("../../recipes/kd.toml")),
    ("minilmv2", include_str!("../../recipes/minilmv2.toml")),
    ("pkd", include_str!("../../recipes/pkd.toml")),
    ("tinybert", include_str!("../../recipes/tinybert.toml")),
    ("tinybert-task", include_str!("../../recipes/tinybert-task.toml")),
];

/// Returns the text of a recipe: of a file, or of one that comes with the program where there is no such file.
///
/// # Errors
/// When there is neither, or the file cannot be read.
pub fn text(recipe: &Path) -> Result<String> {
    let name = recipe.to_string_lossy();
    let builtin = BUILTIN.iter().find(|(builtin, _)| *builtin == name);
    match builtin.filter(|_| !recipe.exists()) {
        Some((_, text)) => Ok((*text).to_owned()),
        None if !recipe.exists() => {
            let known: Vec<&str> = BUILTIN.iter().map(|(name, _)| *name).collect();
            let hint = match names::nearest(&name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`, which comes with the program?"),
                None => format!("give a file, or one that comes with the program: {}", known.join(", ")),
            };
            Err(explained(format!("there is no recipe `{name}`"), hint))
        }
        None => std::fs::read_to_string(recipe)
            .with_context(|| format!("cannot read the recipe `{}`", recipe.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    #[test]
    fn every_recipe_can_be_used_and_says_what_it_took_and_what_it_changed() {
        for (name, text) in BUILTIN {
            let recipe =
                Recipe::load(Some(Path::new(name)), &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
            let about = recipe.about.as_deref().unwrap_or_else(|| panic!("{name} says nothing of itself"));
            assert!(about.contains("From the paper:") && about.contains("Changed:"), "{name}: {about}");
            for stage in recipe.stages().unwrap() {
                stage
                    .recipe
                    .objective
                    .objective()
                    .map(|_| ())
                    .or_else(|error| {
                        // Weights that are left open are decided by the data.
                        if stage.recipe.objective.describe().contains("data") { Ok(()) } else { Err(error) }
                    })
                    .unwrap();
            }
            assert_eq!(self::text(Path::new(name)).unwrap(), *text);
        }
    }

    #[test]
    fn a_recipe_that_is_nowhere_is_refused_with_the_nearest() {
        let error = text(Path::new("tinybrt")).unwrap_err();
        assert!(error.to_string().contains("there is no recipe `tinybrt`"), "{error}");
        assert!(crate::error::hint_of(&error).is_some_and(|hint| hint.contains("`tinybert`")));
    }
}
