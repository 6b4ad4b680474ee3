//! Controls: the student once more without what distillation gives it, so that a report can say what that is.
//!
//! A control is another recipe, and nothing else: the same start, batches, schedule and number of updates. `undistilled`
//! learns from the labels alone. `shuffled` learns from the same logits, each example from those of another: what it still
//! gains is not knowledge of the texts, but what any soft target does (as in Müller et al. 2019, "When does label
//! smoothing help?").

use crate::error::explained;
use crate::objective::{Objective, Weight};
use crate::recipe::{ObjectiveSection, Recipe};
use anyhow::Result;
use serde::Serialize;

/// A student that shows what another learnt from its teacher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// It learns from the labels alone.
    Undistilled,
    /// It learns from logits that belong to other examples.
    Shuffled,
}

/// The folder of the controls in the folder of the student.
pub const FOLDER: &str = "controls";

impl Control {
    /// All of them.
    pub const ALL: [Control; 2] = [Control::Undistilled, Control::Shuffled];

    /// Returns the name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Control::Undistilled => "undistilled",
            Control::Shuffled => "shuffled",
        }
    }

    /// Returns what it is in a few words.
    pub fn describe(self) -> &'static str {
        match self {
            Control::Undistilled => "the same student on labels alone",
            Control::Shuffled => "the same student with the logits of other texts",
        }
    }

    /// Returns the recipe of the control of a student. `recipe`: that of the student, resolved.
    pub fn recipe(self, recipe: &Recipe, regression: bool) -> Recipe {
        let mut recipe = recipe.clone();
        match self {
            Control::Shuffled => recipe.teacher.shuffled = true,
            Control::Undistilled => {
                let on_labels = |applies: bool| Some(Weight::from(if applies { 1.0 } else { 0.0 }));
                recipe.objective = ObjectiveSection {
                    kl: Some(0.0.into()),
                    logit_mse: Some(0.0.into()),
                    cross_entropy: on_labels(!regression),
                    label_mse: on_labels(regression),
                    ..recipe.objective
                };
            }
        }
        recipe
    }

    /// Refuses controls that could learn nothing, before any work is done.
    ///
    /// # Errors
    /// When no example has a label, or the objective compares more than logits.
    pub fn check(wanted: &[Control], objective: &Objective, labelled: usize) -> Result<()> {
        if !wanted.is_empty() && objective.compares_tokens() {
            return Err(explained(
                "`--controls` shows what the teacher's logits are worth, but the objective compares more of it",
                "leave `--controls` out, and train the student once more by a recipe with other terms",
            ));
        }
        if wanted.contains(&Control::Undistilled) && labelled == 0 {
            return Err(explained(
                "`--controls` trains a student on labels alone, but no example has a label",
                "name the label column with `--label`, or leave `--controls` out",
            ));
        }
        Ok(())
    }
}

/// What distillation added to a student: one figure of it, and of its controls.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Added {
    /// The name of the figure.
    pub figure: String,
    /// The student's.
    pub student: f64,
    /// That of the one on labels alone.
    pub undistilled: f64,
    /// That of the one with the logits of other examples.
    pub shuffled: f64,
    /// What the student has more than the one on labels alone.
    pub by_distillation: f64,
    /// What the one with the logits of other examples has more than it: what any soft target gives.
    pub by_softness: f64,
}

impl Added {
    /// Compares a student with its controls.
    pub fn new(figure: &str, student: f64, [undistilled, shuffled]: [f64; 2]) -> Self {
        Added {
            figure: figure.to_owned(),
            student,
            undistilled,
            shuffled,
            by_distillation: student - undistilled,
            by_softness: shuffled - undistilled,
        }
    }

    /// Says it in a line.
    pub fn sentence(&self) -> String {
        let points = |difference: f64| format!("{:+.1} points", 100.0 * difference);
        format!(
            "distillation: {} of {} over the same student on labels alone ({:.4}); the logits of other texts: {}",
            points(self.by_distillation),
            self.figure,
            self.undistilled,
            points(self.by_softness),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_differs_from_its_student_in_one_thing() {
        for regression in [false, true] {
            let mut recipe = Recipe::default();
            recipe.objective.resolve(true, true, regression).unwrap();
            let [undistilled, shuffled] = Control::ALL.map(|control| control.recipe(&recipe, regression));
            let terms = undistilled.objective.objective().unwrap();
            assert!(!terms.needs_teacher());
            assert_eq!(terms.terms().len(), 1);
            assert_eq!(Recipe { objective: recipe.objective.clone(), ..undistilled }, recipe);
            assert_ne!(shuffled, recipe);
            assert_eq!(Recipe { teacher: recipe.teacher.clone(), ..shuffled }, recipe);
        }
    }

    #[test]
    fn what_was_added_is_said_in_points() {
        let added = Added::new("accuracy", 0.9, [0.87, 0.86]);
        let expected = "distillation: +3.0 points of accuracy over the same student on labels alone (0.8700); the logits \
                        of other texts: -1.0 points";
        assert_eq!(added.sentence(), expected);
    }
}
