//! Every setting of a run, in one file that can be written, read, changed and run again.
//!
//! Defaults are laid under the recipe file, `--set section.key=value` over it, and flags over both. A setting that is
//! `None` is not decided yet; [`crate::commands`] decides it from the data and the model, and writes the resolved recipe
//! beside the result.

mod augment;
mod builtin;
mod data;
mod objective;
mod precision;
mod sections;
mod stage;

pub use augment::AugmentSection;
pub use builtin::{BUILTIN, text};
pub use data::{DataSection, MaskChoice, Read};
pub use objective::ObjectiveSection;
pub use precision::Precision;
pub use sections::{InitEmbeddings, StudentSection, TeacherSection, TrainSection};
pub use stage::Stage;

use crate::error::explained;
use crate::tokens::MIN_LENGTH;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Every setting of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// What it is, where it comes from, and what it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The teacher, and how it is asked.
    pub teacher: TeacherSection,
    /// The text, and what to read of it.
    pub data: DataSection,
    /// Copies of the texts to train on.
    #[serde(skip_serializing_if = "AugmentSection::is_default")]
    pub augment: AugmentSection,
    /// The model that is trained.
    pub student: StudentSection,
    /// What it is trained for.
    pub objective: ObjectiveSection,
    /// How it is trained.
    pub train: TrainSection,
    /// What is different in each of several runs, the next of which starts with the student of the one before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stage: Vec<toml::Table>,
}

impl Recipe {
    /// Reads a recipe, a file or one that comes with the program, or the defaults when there is none, and lays
    /// `--set section.key=value` over it.
    ///
    /// # Errors
    /// When the file is no TOML, or a setting is unknown or of the wrong type.
    pub fn load(file: Option<&Path>, settings: &[String]) -> Result<Recipe> {
        let text = match file {
            None => String::new(),
            Some(path) => text(path)?,
        };
        let whole = |text: &str| toml::from_str::<Recipe>(text);
        let mut recipe = whole(&text).map_err(|error| {
            let path = file.unwrap_or(Path::new("recipe")).display();
            explained(format!("`{path}` is not a valid recipe: {}", error.to_string().trim_end()), COMPARE)
        })?;
        let mut table: toml::Table = text.parse().expect("the text has just been read as a recipe");
        for setting in settings {
            set(&mut table, setting)?;
            recipe = table.clone().try_into().map_err(|error: toml::de::Error| {
                explained(format!("`--set {setting}`: {}", error.message()), COMPARE)
            })?;
        }
        recipe.validate()?;
        // A setting of all stages may be there for one of them.
        if recipe.stage.is_empty() {
            recipe.train.check_needed()?;
        }
        Ok(recipe)
    }

    /// Writes the recipe as text that [`Recipe::load`] reads.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a recipe that is valid can be written")
    }

    /// Returns every setting that is decided, as `section.key` with its value; texts without quotes.
    pub fn settings(&self) -> Vec<(String, String)> {
        let table = self.written().expect("a recipe that is valid can be written");
        let shown = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let section = |(name, section): (&String, &toml::Value)| {
            let settings = section.as_table().into_iter().flatten();
            settings.map(|(key, value)| (format!("{name}.{key}"), shown(value))).collect::<Vec<_>>()
        };
        table.iter().flat_map(section).collect()
    }

    /// Writes the recipe and reads it again, or says what no recipe can hold.
    fn written(&self) -> Result<toml::Table, String> {
        let text = toml::to_string(self).map_err(|error| error.to_string())?;
        text.parse().map_err(|error: toml::de::Error| error.message().to_owned())
    }

    /// Lets a setting that a flag gave count in every stage, whatever the recipe says of it there.
    pub fn claim(&mut self, section: &str, key: &str) {
        self.stage.iter_mut().for_each(|stage| stage::forget(stage, section, key));
    }

    /// Refuses settings that no run could use.
    ///
    /// # Errors
    /// When a number lies outside its range, or a setting cannot be written down.
    pub fn validate(&self) -> Result<()> {
        let train = &self.train;
        let refuse = |key: &str, value: String, range: &str| {
            Err(explained(format!("`{key}` is `{value}`"), format!("it must be {range}")))
        };
        for (key, value) in [
            ("teacher.batch_tokens", self.teacher.batch_tokens),
            ("train.batch_size", train.batch_size),
            ("train.accumulate", train.accumulate),
            ("train.batch_tokens", train.batch_tokens.unwrap_or(1)),
            ("train.epochs", train.epochs as usize),
            ("train.max_steps", train.max_steps.map_or(1, |steps| steps.min(1 << 40) as usize)),
            ("train.eval_every", train.eval_every.map_or(1, |steps| steps.min(1 << 40) as usize)),
        ] {
            if value == 0 {
                return refuse(key, value.to_string(), "at least 1");
            }
        }
        let learning_rate = train.learning_rate.unwrap_or(1.0);
        for (key, value, low, high, range) in [
            ("train.learning_rate", learning_rate, f64::MIN_POSITIVE, 1e3, "above 0"),
            ("train.warmup", train.warmup, 0.0, 1.0, "a share between 0 and 1"),
            ("train.weight_decay", train.weight_decay, 0.0, 1e3, "at least 0"),
            ("train.max_grad_norm", train.max_grad_norm, 0.0, f64::MAX, "at least 0"),
            ("train.beta1", train.beta1, 0.0, 1.0 - 1e-9, "at least 0 and below 1"),
            ("train.beta2", train.beta2, 0.0, 1.0 - 1e-9, "at least 0 and below 1"),
            ("train.epsilon", train.epsilon, f64::MIN_POSITIVE, 1.0, "above 0"),
            ("data.holdout", self.data.holdout, 0.0, 0.5, "a share between 0 and 0.5"),
            ("data.mask", self.data.mask, 1e-6, 1.0, "a share above 0"),
            ("data.short", self.data.short, 0.0, 1.0, "a share between 0 and 1"),
        ] {
            if !(low..=high).contains(&value) {
                return refuse(key, value.to_string(), range);
            }
        }
        train.storage()?;
        self.augment.validate()?;
        self.written().map_err(|reason| {
            let hint = "it takes whole numbers below 2⁶³, and paths in UTF-8: rename what has another name";
            explained(format!("the settings cannot be written down as a recipe: {reason}"), hint)
        })?;
        if let Some(length) = self.data.max_length.filter(|&length| length < MIN_LENGTH) {
            return refuse("data.max_length", length.to_string(), &format!("at least {MIN_LENGTH}"));
        }
        Ok(())
    }
}

/// Lays `section.key=value` over a recipe and all its stages, or `stage.section.key=value` over one of them. The value is
/// TOML, or a string when it is no TOML.
fn set(table: &mut toml::Table, setting: &str) -> Result<()> {
    let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
    let parts: Vec<&str> = name.trim().split('.').collect();
    let value = format!("value = {}", value.trim())
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.trim().to_owned()));
    let (into, section, key) = match parts[..] {
        [section, key] if setting.contains('=') => {
            stage::give_up(table, section, key);
            (table, section, key)
        }
        [stage, section, key] if setting.contains('=') => (stage::named(table, stage)?, section, key),
        _ => {
            let hint = "write `--set section.key=value`, e.g. `--set objective.temperature=4`";
            return Err(explained(format!("`--set {setting}` is not a setting"), hint));
        }
    };
    let section = into.entry(section).or_insert_with(|| toml::Table::new().into());
    if let toml::Value::Table(section) = section {
        section.insert(key.to_owned(), value);
    }
    Ok(())
}

const COMPARE: &str = "compare with the `recipe.toml` of an earlier run, which holds every setting";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;

    fn load(text: &str, settings: &[&str]) -> Result<Recipe> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.toml");
        std::fs::write(&path, text).unwrap();
        Recipe::load(Some(&path), &settings.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn a_written_recipe_reads_back_as_itself() {
        let mut recipe = Recipe::default();
        recipe.data.labels = Some(vec!["a b".into(), "\"".into()]);
        recipe.student.init_layers = Some(vec![1, 3]);
        recipe.objective.resolve(true, true, false).unwrap();
        assert_eq!(load(&recipe.to_toml(), &[]).unwrap(), recipe);
    }

    #[test]
    fn every_setting_has_a_name_and_a_value() {
        let mut recipe = Recipe::default();
        recipe.data.task = "sst2".into();
        recipe.student.init_layers = Some(vec![1, 3]);
        let settings = recipe.settings();
        let value =
            |name: &str| settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(value("data.task"), Some("sst2"));
        assert_eq!(value("student.init_layers"), Some("[1, 3]"));
        assert_eq!(value("train.seed"), Some("42"));
        assert_eq!(value("train.learning_rate"), None, "it is not decided");
    }

    #[test]
    fn settings_lie_over_the_file_and_the_file_over_the_defaults() {
        let file = "[train]\nseed = 7\nepochs = 9\n";
        let settings =
            ["train.epochs=2", "data.task=sst2", "student.init_layers=[0, 2]", "data.text=#1 String"];
        let recipe = load(file, &settings).unwrap();
        assert_eq!((recipe.train.seed, recipe.train.epochs, recipe.train.batch_size), (7, 2, 32));
        assert_eq!((recipe.data.task.as_str(), recipe.data.text.as_deref()), ("sst2", Some("#1 String")));
        assert_eq!(recipe.student.init_layers, Some(vec![0, 2]));
    }

    #[test]
    fn what_is_wrong_with_a_recipe_is_named() {
        for (text, settings, expected) in [
            ("[train]\nepoch = 3", &[][..], "unknown field `epoch`, expected one of"),
            ("[train]\nepochs = \"many\"", &[], "epochs = \"many\""),
            ("[train", &[], "line 1"),
            ("", &["train.epoch=3"], "`--set train.epoch=3`: unknown field `epoch`"),
            ("", &["training.epochs=3"], "unknown field `training`"),
            ("", &["epochs=3"], "`--set epochs=3` is not a setting"),
            ("", &["train.epochs=0"], "`train.epochs` is `0`"),
            ("", &["train.learning_rate=-1"], "`train.learning_rate` is `-1`"),
            ("", &["train.learning_rate=nan"], "`train.learning_rate` is `NaN`"),
            ("", &["train.warmup=2"], "`train.warmup` is `2`"),
            ("", &["data.max_length=2"], "`data.max_length` is `2`"),
            ("", &["train.rounding=int3"], "there is no format `int3`"),
            ("", &["train.rounding=fp16"], "`fp16` rounds nothing"),
            ("", &["train.embedding_bits=5"], "embeddings of 5 bits"),
            (
                "",
                &["train.embedding_bits=4"],
                "`train.embedding_bits` changes nothing without `train.rounding`",
            ),
            ("", &["train.exclude=['a']"], "`train.exclude` changes nothing"),
        ] {
            let error = load(text, settings).unwrap_err();
            assert!(error.to_string().contains(expected), "{text} {settings:?}: {error}");
            assert!(hint_of(&error).is_some(), "{error}");
        }
    }

    #[test]
    fn how_to_round_may_be_said_for_all_stages_of_which_one_rounds() {
        let file = "[train]\nexclude = ['a']\nembedding_bits = 4\n[[stage]]\nname = 'whole'\n\
                    [[stage]]\nname = 'rounded'\ntrain = { rounding = 'int4' }\n";
        let stages = load(file, &[]).unwrap().stages().unwrap();
        let rounds: Vec<bool> =
            stages.iter().map(|stage| stage.recipe.train.storage().unwrap().is_some()).collect();
        assert_eq!(rounds, [false, true]);
    }

    #[cfg(unix)]
    #[test]
    fn what_no_recipe_can_hold_is_refused() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let mut unnamed = Recipe::default();
        unnamed.data.train = Some(OsStr::from_bytes(b"train\xff.tsv").into());
        let mut large = Recipe::default();
        large.train.seed = u64::MAX;
        for recipe in [unnamed, large] {
            let error = recipe.validate().unwrap_err();
            assert!(error.to_string().starts_with("the settings cannot be written down"), "{error}");
        }
    }

    #[test]
    fn an_objective_left_open_follows_what_the_data_supplies() {
        for (teacher, labels, regression, expected) in [
            (true, true, false, [0.9, 0.1, 0.0, 0.0]),
            (true, false, false, [1.0, 0.0, 0.0, 0.0]),
            (false, true, false, [0.0, 1.0, 0.0, 0.0]),
            (true, true, true, [0.0, 0.0, 0.9, 0.1]),
            (false, true, true, [0.0, 0.0, 0.0, 1.0]),
        ] {
            let mut section = ObjectiveSection::default();
            section.resolve(teacher, labels, regression).unwrap();
            let weights = [section.kl, section.cross_entropy, section.logit_mse, section.label_mse];
            assert_eq!(
                weights,
                expected.map(|weight| Some(weight.into())),
                "{teacher} {labels} {regression}"
            );
        }
        let mut chosen = ObjectiveSection { logit_mse: Some(1.0.into()), ..ObjectiveSection::default() };
        chosen.resolve(true, true, false).unwrap();
        assert_eq!((chosen.kl, chosen.logit_mse), (Some(0.0.into()), Some(1.0.into())));
        let mut shared = ObjectiveSection { alpha: Some(0.5), ..ObjectiveSection::default() };
        shared.resolve(true, true, true).unwrap();
        assert_eq!(
            (shared.alpha, shared.logit_mse, shared.label_mse),
            (None, Some(0.5.into()), Some(0.5.into()))
        );
        let mut both =
            ObjectiveSection { alpha: Some(0.5), kl: Some(1.0.into()), ..ObjectiveSection::default() };
        assert!(both.resolve(true, true, false).is_err());
    }
}
