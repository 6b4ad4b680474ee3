//! The stages of a recipe: each is the recipe itself with some settings laid over it.
//!
//! ```toml
//! [train]
//! batch_size = 32
//!
//! [[stage]]
//! name = "intermediate"
//! objective = { score_mse = 1, hidden_mse = 1 }
//! train = { epochs = 10, learning_rate = 5e-5 }
//!
//! [[stage]]
//! name = "prediction"
//! objective = { kl = 1, temperature = 1 }
//! ```

use super::Recipe;
use crate::error::explained;
use anyhow::Result;

/// One of several runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its name, unlike that of all others.
    pub name: String,
    /// Every setting of it.
    pub recipe: Recipe,
}

/// The key of a stage's name.
const NAME: &str = "name";

impl Recipe {
    /// Returns the runs that the recipe stands for: its stages, or itself when it has none.
    ///
    /// # Errors
    /// When a stage has no name of its own, or settings that are unknown or out of range.
    pub fn stages(&self) -> Result<Vec<Stage>> {
        let base = Recipe { about: None, stage: Vec::new(), ..self.clone() };
        if self.stage.is_empty() {
            return Ok(vec![Stage { name: "train".into(), recipe: base }]);
        }
        let mut stages: Vec<Stage> = Vec::with_capacity(self.stage.len());
        for (number, over) in (1..).zip(&self.stage) {
            let stage = base.with(over, number)?;
            if stages.iter().any(|other| other.name == stage.name) {
                let what = format!("two stages are called `{}`", stage.name);
                return Err(explained(what, "give each stage of the recipe a `name` of its own"));
            }
            stages.push(stage);
        }
        Ok(stages)
    }

    /// Lays the settings of a stage over the recipe.
    fn with(&self, over: &toml::Table, number: usize) -> Result<Stage> {
        let mut over = over.clone();
        let name = match over.remove(NAME) {
            Some(toml::Value::String(name)) if is_name(&name) => name,
            _ => {
                return Err(explained(
                    format!("stage {number} of the recipe has no name"),
                    "write `name = \"…\"`, of letters, digits and hyphens: a folder is called by it",
                ));
            }
        };
        if let Some(key) = ["stage", "about"].into_iter().find(|key| over.contains_key(*key)) {
            return Err(explained(
                format!("stage `{name}` of the recipe has `{key}`, which only a whole recipe has"),
                "write the stages one after the other, each under its own `[[stage]]`",
            ));
        }
        let mut table = self.written().expect("a recipe that is valid can be written");
        for (section, settings) in over {
            let into = table.entry(section).or_insert_with(|| toml::Table::new().into());
            match (into, settings) {
                (toml::Value::Table(into), toml::Value::Table(settings)) => into.extend(settings),
                (into, settings) => *into = settings,
            }
        }
        let recipe: Recipe = table.try_into().map_err(|error: toml::de::Error| {
            explained(format!("stage `{name}` of the recipe: {}", error.message()), super::COMPARE)
        })?;
        recipe.validate()?;
        Ok(Stage { name, recipe })
    }
}

/// Lets the recipe's own setting count in all its stages.
pub(super) fn give_up(recipe: &mut toml::Table, section: &str, key: &str) {
    let stages = recipe.get_mut("stage").and_then(toml::Value::as_array_mut);
    stages
        .into_iter()
        .flatten()
        .filter_map(toml::Value::as_table_mut)
        .for_each(|stage| forget(stage, section, key));
}

/// Takes a setting out of a stage.
pub(super) fn forget(stage: &mut toml::Table, section: &str, key: &str) {
    if let Some(section) = stage.get_mut(section).and_then(toml::Value::as_table_mut) {
        section.remove(key);
    }
}

/// Returns the stage of a recipe that is called `name`.
///
/// # Errors
/// When there is none.
pub(super) fn named<'a>(recipe: &'a mut toml::Table, name: &str) -> Result<&'a mut toml::Table> {
    let stages = recipe.get_mut("stage").and_then(toml::Value::as_array_mut);
    let mut stages = stages.into_iter().flatten().filter_map(toml::Value::as_table_mut);
    let is_named = |stage: &toml::Table| stage.get(NAME).and_then(toml::Value::as_str) == Some(name);
    stages.find(|stage| is_named(stage)).ok_or_else(|| {
        explained(
            format!("the recipe has no stage `{name}`"),
            "write `--set section.key=value`, or `--set stage.section.key=value` with the name of one of its stages",
        )
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;

    fn stages(text: &str) -> Result<Vec<Stage>> {
        toml::from_str::<Recipe>(text).unwrap().stages()
    }

    #[test]
    fn a_recipe_without_stages_is_one() {
        let recipe = Recipe::default();
        let stages = recipe.stages().unwrap();
        assert_eq!((stages.len(), &stages[0].recipe), (1, &recipe));
    }

    #[test]
    fn a_stage_is_the_recipe_with_its_own_settings_over_it() {
        let text = "[train]\nseed = 7\nepochs = 9\n[[stage]]\nname = \"a\"\n[stage.train]\nepochs = 2\n\
                    [stage.objective]\nhidden_mse = 1\nlayers = [[1, 2]]\n[[stage]]\nname = \"b\"\n";
        let stages = stages(text).unwrap();
        let [a, b] = &stages[..] else { panic!("two stages") };
        assert_eq!((a.name.as_str(), a.recipe.train.seed, a.recipe.train.epochs), ("a", 7, 2));
        assert_eq!((b.name.as_str(), b.recipe.train.seed, b.recipe.train.epochs), ("b", 7, 9));
        assert_eq!((a.recipe.objective.hidden_mse, b.recipe.objective.hidden_mse), (Some(1.0.into()), None));
        assert!(a.recipe.stage.is_empty());
    }

    #[test]
    fn a_setting_from_outside_counts_in_all_stages_or_in_the_one_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.toml");
        let text = "[[stage]]\nname = \"a\"\ntrain = { epochs = 2 }\n[[stage]]\nname = \"b\"\n";
        std::fs::write(&path, text).unwrap();
        let epochs = |settings: &[&str]| {
            let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
            let stages = Recipe::load(Some(&path), &settings)?.stages()?;
            anyhow::Ok(stages.iter().map(|stage| stage.recipe.train.epochs).collect::<Vec<_>>())
        };
        assert_eq!(epochs(&[]).unwrap(), [2, 3]);
        assert_eq!(epochs(&["train.epochs=5"]).unwrap(), [5, 5]);
        assert_eq!(epochs(&["b.train.epochs=5"]).unwrap(), [2, 5]);
        assert_eq!(epochs(&["train.epochs=5", "b.train.epochs=6"]).unwrap(), [5, 6]);
        let error = epochs(&["c.train.epochs=5"]).unwrap_err();
        assert!(error.to_string().contains("no stage `c`"), "{error}");
        let mut recipe = Recipe::load(Some(&path), &[]).unwrap();
        recipe.claim("train", "epochs");
        assert_eq!(recipe.stages().unwrap()[0].recipe.train.epochs, 3);
    }

    #[test]
    fn what_is_wrong_with_a_stage_is_named() {
        for (text, expected) in [
            ("[[stage]]\n", "stage 1 of the recipe has no name"),
            ("[[stage]]\nname = \"../a\"\n", "stage 1 of the recipe has no name"),
            ("[[stage]]\nname = \"a\"\n[[stage]]\nname = \"a\"\n", "two stages are called `a`"),
            (
                "[[stage]]\nname = \"a\"\ntrain = { epoch = 1 }\n",
                "stage `a` of the recipe: unknown field `epoch`",
            ),
            ("[[stage]]\nname = \"a\"\nstage = [{ name = \"b\" }]\n", "stage `a`"),
            ("[[stage]]\nname = \"a\"\ntrain = { epochs = 0 }\n", "`train.epochs` is `0`"),
        ] {
            let error = stages(text).unwrap_err();
            assert!(error.to_string().contains(expected), "{text}: {error}");
            assert!(hint_of(&error).is_some());
        }
    }
}
