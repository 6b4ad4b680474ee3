//! Flags laid over a recipe.

use super::{Common, DataArgs, FinetuneArgs, TrainArgs, TrainingArgs};
use crate::recipe::Recipe;
use crate::run_folder::Existing;
use anyhow::Result;

impl TrainingArgs {
    /// Reads the recipe and lays the flags over it, which are not checked yet.
    ///
    /// # Errors
    /// As [`Recipe::load`].
    pub fn load(&self, common: &Common, columns: &DataArgs) -> Result<Recipe> {
        let mut recipe = Recipe::load(self.recipe.as_deref(), &self.set)?;
        let train = &mut recipe.train;
        replace(&mut train.epochs, self.epochs);
        replace_some(&mut train.max_steps, self.max_steps);
        replace(&mut train.batch_size, self.batch_size);
        replace_some(&mut train.batch_tokens, self.batch_tokens);
        replace(&mut train.precision, self.precision);
        replace_some(&mut train.learning_rate, self.lr);
        replace_some(&mut train.eval_every, self.eval_every);
        replace(&mut train.patience, self.patience);
        replace(&mut train.seed, self.seed);
        replace(&mut train.threads, common.threads);
        for (key, is_given) in [
            ("epochs", self.epochs.is_some()),
            ("max_steps", self.max_steps.is_some() || self.epochs.is_some()),
            ("batch_size", self.batch_size.is_some()),
            ("batch_tokens", self.batch_tokens.is_some()),
            ("precision", self.precision.is_some()),
            ("learning_rate", self.lr.is_some()),
            ("eval_every", self.eval_every.is_some()),
            ("patience", self.patience.is_some()),
            ("seed", self.seed.is_some()),
        ] {
            if is_given {
                recipe.claim("train", key);
            }
        }
        columns.lay_over(&mut recipe);
        Ok(recipe)
    }

    /// Returns what may happen to an output directory with files in it.
    pub fn existing(&self) -> Existing {
        match (self.overwrite, self.resume) {
            (true, _) => Existing::Overwrite,
            (_, true) => Existing::Resume,
            _ => Existing::Refuse,
        }
    }
}

impl DataArgs {
    /// Lays the flags over a recipe.
    pub fn lay_over(&self, recipe: &mut Recipe) {
        let data = &mut recipe.data;
        replace(&mut data.task, self.task.clone());
        replace_some(&mut data.format, self.format.clone());
        replace_some(&mut data.text, self.text.clone());
        replace_some(&mut data.text_pair, self.text_pair.clone());
        replace_some(&mut data.label, self.label.clone());
        replace_some(&mut data.labels, self.labels.clone());
        replace_some(&mut data.max_length, self.max_length);
    }
}

impl TrainArgs {
    /// Returns the recipe that the arguments ask for.
    ///
    /// # Errors
    /// As [`Recipe::load`].
    pub fn recipe(&self, common: &Common) -> Result<Recipe> {
        let mut recipe = self.training.load(common, &self.columns)?;
        replace_some(&mut recipe.teacher.path, self.teacher.clone());
        replace_some(&mut recipe.teacher.cache, self.cache.clone());
        recipe.teacher.cache_inside |= self.cache_inside;
        replace_some(&mut recipe.data.train, self.data.clone());
        replace_some(&mut recipe.data.eval, self.eval.clone());
        replace_some(&mut recipe.data.corpus, self.corpus.clone());
        replace_some(&mut recipe.student.shape, self.student.clone());
        replace_some(&mut recipe.student.init, self.init.clone());
        replace_some(&mut recipe.student.init_layers, self.init_layers.clone());
        replace_some(&mut recipe.student.init_embeddings, self.init_embeddings);
        replace(&mut recipe.objective.temperature, self.temperature);
        replace_some(&mut recipe.objective.alpha, self.alpha);
        if self.temperature.is_some() {
            recipe.claim("objective", "temperature");
        }
        if self.alpha.is_some() {
            recipe.claim("objective", "alpha");
        }
        recipe.validate()?;
        Ok(recipe)
    }
}

impl FinetuneArgs {
    /// Returns the recipe that the arguments ask for.
    ///
    /// # Errors
    /// As [`Recipe::load`].
    pub fn recipe(&self, common: &Common) -> Result<Recipe> {
        let mut recipe = self.training.load(common, &self.columns)?;
        replace_some(&mut recipe.student.init, self.base.clone());
        replace_some(&mut recipe.data.train, self.data.clone());
        replace_some(&mut recipe.data.eval, self.eval.clone());
        recipe.validate()?;
        Ok(recipe)
    }
}

fn replace<T>(setting: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *setting = value;
    }
}

fn replace_some<T>(setting: &mut Option<T>, flag: Option<T>) {
    if flag.is_some() {
        *setting = flag;
    }
}
