//! Does the teacher mean by its outputs what its labels say?
//!
//! Checkpoints whose `id2label` is in another order than their outputs are common, and a student distilled from one is
//! a good student of the wrong names. Labelled rows tell: under the right order a teacher agrees with them more.
//!
//! The rule. Let `R[g][p]` be the share of rows of class `g` that the teacher calls `p`. Find the renaming `π` of outputs
//! that maximises `Σ_p R[π(p)][p]`: recall summed over classes, so that a teacher that says the same of everything gains
//! nothing by renaming, however unbalanced the data. Split `π` into cycles: each is a separate claim that these `m` classes
//! are permuted among themselves. Accept a claim if
//!
//! - renaming raises the mean recall of the cycle's classes by more than [`MIN_GAIN`], and
//! - the gain `Σ_g d_g`, with `d_g = R[g][π⁻¹(g)] − R[g][g]` and variance
//!   `Σ_g (R[g][π⁻¹(g)] + R[g][g] − d_g² + 1/n_g) / n_g`, is more than `4 + √(2 m ln C)` standard errors above zero. The
//!   `1/n_g` keeps a class of few rows from looking certain; the root is what the best of the `C^m` renamings of `m` classes
//!   reaches by chance.
//!
//! Nothing is claimed on fewer than [`MIN_LABELLED`] labelled rows.

use super::assignment::best_assignment;
use super::{Gold, LabelSet};
use crate::error::explained;
use anyhow::Result;

/// The gain in mean recall above which a renaming is taken seriously.
const MIN_GAIN: f64 = 0.1;

/// The least number of labelled rows that can show anything.
const MIN_LABELLED: usize = 50;

/// Above so many classes the check takes too long, as the cube of their number.
const MAX_CLASSES: usize = 1000;

/// Standard errors that a gain must exceed, besides those that the search for it accounts for.
const MIN_STANDARD_ERRORS: f64 = 4.0;

/// Checks on labelled rows that the teacher's outputs are in the order of its labels; see the module for the rule.
///
/// `rows`: the class with the teacher's greatest logit and the label of each row; classes below `labels.len()`.
///
/// # Errors
///
/// Under another order of labels the teacher would clearly be more often right.
pub fn check_order(rows: impl IntoIterator<Item = (usize, Gold)>, labels: &LabelSet) -> Result<()> {
    if labels.len() > MAX_CLASSES {
        return Ok(());
    }
    let confusion = Confusion::count(rows, labels.len());
    let Some(meaning) = confusion.clear_renaming() else { return Ok(()) };
    let name = |class: usize| labels.names()[class].as_str();
    let moved: Vec<usize> = (0..labels.len()).filter(|output| meaning[*output] != *output).collect();
    let mut renamings: Vec<String> = moved
        .iter()
        .take(6)
        .map(|output| format!("`{}` means `{}`", name(*output), name(meaning[*output])))
        .collect();
    if moved.len() > renamings.len() {
        renamings.push(format!("and so on for {} more", moved.len() - renamings.len()));
    }
    let identity: Vec<usize> = (0..labels.len()).collect();
    let order: Vec<&str> = meaning.iter().map(|class| name(*class)).collect();
    Err(explained(
        format!(
            "the teacher's outputs are not in the order of its labels: on {} labelled rows its accuracy is {:.3}, but {:.3} if {}",
            confusion.labelled(),
            confusion.accuracy(&identity),
            confusion.accuracy(&meaning),
            renamings.join(", "),
        ),
        format!("name the outputs in their true order: `--labels {}`", order.join(",")),
    ))
}

/// How often the teacher calls each class what.
struct Confusion {
    classes: usize,
    /// Rows of class `g` that the teacher calls `p`, at `g * classes + p`.
    counts: Vec<f64>,
    /// Rows of each class.
    rows: Vec<f64>,
}

impl Confusion {
    fn count(pairs: impl IntoIterator<Item = (usize, Gold)>, classes: usize) -> Self {
        let (mut counts, mut rows) = (vec![0.0; classes * classes], vec![0.0; classes]);
        for (predicted, gold) in pairs {
            assert!(predicted < classes, "a prediction must be one of the classes");
            if let Gold::Class(class) = gold {
                counts[class * classes + predicted] += 1.0;
                rows[class] += 1.0;
            }
        }
        Self { classes, counts, rows }
    }

    fn labelled(&self) -> f64 {
        self.rows.iter().sum()
    }

    /// The accuracy if output `p` means class `meaning[p]`.
    fn accuracy(&self, meaning: &[usize]) -> f64 {
        let right: f64 = meaning
            .iter()
            .enumerate()
            .map(|(output, class)| self.counts[class * self.classes + output])
            .sum();
        right / self.labelled()
    }

    /// `R[class][output]`, 0 for a class without rows.
    fn recall(&self, class: usize, output: usize) -> f64 {
        self.counts[class * self.classes + output] / self.rows[class].max(1.0)
    }

    /// Returns what each output means, where that clearly is not what its label says; nothing if all do.
    fn clear_renaming(&self) -> Option<Vec<usize>> {
        if self.labelled() < MIN_LABELLED as f64 {
            return None;
        }
        // Among equally good renamings, that which renames least.
        let preference = |output, class| if output == class { 1e-9 } else { 0.0 };
        let best = best_assignment(self.classes, |output, class| {
            self.recall(class, output) + preference(output, class)
        });
        let mut meaning: Vec<usize> = (0..self.classes).collect();
        for cycle in cycles(&best).into_iter().filter(|cycle| self.is_clear(cycle, &best)) {
            for output in cycle {
                meaning[output] = best[output];
            }
        }
        meaning.iter().enumerate().any(|(output, class)| output != *class).then_some(meaning)
    }

    fn is_clear(&self, cycle: &[usize], meaning: &[usize]) -> bool {
        let (mut gain, mut variance) = (0.0, 0.0);
        for output in cycle {
            let class = meaning[*output];
            let (renamed, named, rows) =
                (self.recall(class, *output), self.recall(class, class), self.rows[class]);
            let difference = renamed - named;
            gain += difference;
            if rows > 0.0 {
                variance += (renamed + named - difference.powi(2) + 1.0 / rows) / rows;
            }
        }
        let size = cycle.len() as f64;
        let by_chance = (2.0 * size * (self.classes as f64).ln()).sqrt();
        gain > MIN_GAIN * size && gain > (MIN_STANDARD_ERRORS + by_chance) * variance.sqrt()
    }
}

/// The cycles of a permutation that move anything.
fn cycles(permutation: &[usize]) -> Vec<Vec<usize>> {
    let mut visited = vec![false; permutation.len()];
    let mut cycles = Vec::new();
    for start in 0..permutation.len() {
        let mut cycle = Vec::new();
        let mut at = start;
        while !visited[at] {
            visited[at] = true;
            cycle.push(at);
            at = permutation[at];
        }
        if cycle.len() > 1 {
            cycles.push(cycle);
        }
    }
    cycles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;
    use proptest::prelude::*;

    fn set(classes: usize) -> LabelSet {
        LabelSet::new((0..classes).map(|class| format!("class-{class}"))).unwrap()
    }

    /// A linear congruential generator (Knuth's MMIX), for numbers in [0, 1).
    fn random(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493);
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    /// Rows whose class is drawn by `skew` (1: evenly; larger: more of the low classes), and what a teacher says of them: the
    /// truth with probability `accuracy`, else anything, drawn by its own `bias`.
    fn teacher(
        rows: usize,
        classes: usize,
        accuracy: f64,
        [skew, bias]: [f64; 2],
        seed: u64,
    ) -> (Vec<usize>, Vec<Gold>) {
        let mut random = random(seed);
        let mut class = |skew: f64| ((random().powf(skew) * classes as f64) as usize, random());
        (0..rows)
            .map(|_| {
                let ((gold, luck), (guess, _)) = (class(skew), class(bias));
                (if luck < accuracy { gold } else { guess }, Gold::Class(gold))
            })
            .unzip()
    }

    fn check(predicted: &[usize], gold: &[Gold], labels: &LabelSet) -> Result<()> {
        check_order(predicted.iter().copied().zip(gold.iter().copied()), labels)
    }

    #[test]
    fn a_permuted_teacher_is_refused_with_the_order_that_puts_it_right() {
        let mut two_of_77: Vec<usize> = (0..77).collect();
        two_of_77.swap(3, 40);
        let all_of_77: Vec<usize> = (0..77).map(|class| (class + 5) % 77).collect();
        for (classes, rows, accuracy, skew, moved) in [
            (2, 50, 0.9, 1.0, vec![1, 0]),
            (2, 872, 0.85, 1.0, vec![1, 0]),
            (2, 1000, 0.8, 3.0, vec![1, 0]),
            (3, 500, 0.8, 1.0, vec![2, 0, 1]),
            (3, 500, 0.7, 1.0, vec![2, 1, 0]),
            (4, 400, 0.8, 1.0, vec![0, 1, 3, 2]),
            (77, 3080, 0.9, 1.0, two_of_77),
            (77, 3080, 0.9, 1.0, all_of_77),
        ] {
            let (predicted, gold) = teacher(rows, classes, accuracy, [skew, 1.0], 7);
            // Output p of the teacher means class moved[p], so it says p when it thinks moved[p].
            let output_of = |class: usize| moved.iter().position(|meant| *meant == class).unwrap();
            let predicted: Vec<usize> = predicted.into_iter().map(output_of).collect();
            let error = check(&predicted, &gold, &set(classes)).unwrap_err();
            let order: Vec<String> = moved.iter().map(|class| format!("class-{class}")).collect();
            assert!(
                hint_of(&error).unwrap().ends_with(&format!("`--labels {}`", order.join(","))),
                "{error}"
            );
        }
    }

    #[test]
    fn both_accuracies_and_the_renaming_are_said() {
        let predicted = [vec![1; 90], vec![0; 10], vec![0; 80], vec![1; 20]].concat();
        let gold = [vec![Gold::Class(0); 100], vec![Gold::Class(1); 100]].concat();
        let error = check(&predicted, &gold, &LabelSet::new(["negative", "positive"]).unwrap()).unwrap_err();
        assert!(
            error.to_string().ends_with(
                "on 200 labelled rows its accuracy is 0.150, but 0.850 if `negative` means `positive`, `positive` means `negative`"
            ),
            "{error}"
        );
    }

    #[test]
    fn a_teacher_that_says_the_same_of_everything_is_not_accused() {
        for (classes, said, skew) in [(2, 1, 4.0), (2, 0, 4.0), (3, 2, 3.0), (77, 40, 2.0)] {
            let (_, gold) = teacher(5000, classes, 1.0, [skew, 1.0], 3);
            assert!(check(&vec![said; 5000], &gold, &set(classes)).is_ok());
        }
        // Nor one that nearly does, and is right when it does not.
        let gold: Vec<Gold> = (0..1000).map(|row| Gold::Class(usize::from(row % 10 != 0))).collect();
        let predicted: Vec<usize> = (0..1000).map(|row| usize::from(row % 10 != 0 && row % 9 == 0)).collect();
        assert!(check(&predicted, &gold, &set(2)).is_ok());
    }

    #[test]
    fn too_few_labelled_rows_prove_nothing() {
        let predicted = vec![1; 1000];
        let gold: Vec<Gold> =
            (0..1000).map(|row| if row < 49 { Gold::Class(0) } else { Gold::Missing }).collect();
        assert!(check(&predicted, &gold, &set(2)).is_ok());
        assert!(check(&[], &[], &set(2)).is_ok());
    }

    proptest! {
        #[test]
        fn a_weak_teacher_in_the_right_order_is_not_accused(
            classes in prop_oneof![2_usize..7, Just(77)],
            rows in prop_oneof![1_usize..300, Just(3000)],
            accuracy in 0.0..0.3,
            skew in 0.5..4.0,
            bias in 0.25..4.0,
            seed in any::<u64>(),
        ) {
            let (predicted, gold) = teacher(rows, classes, accuracy, [skew, bias], seed);
            prop_assert!(check(&predicted, &gold, &set(classes)).is_ok());
        }
    }
}
