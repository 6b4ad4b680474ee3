//! A batch from end to end: packed, perhaps with words hidden, asked about, and judged by the objective.

use crate::examples::Examples;
use crate::insight::{Insight, Pending};
use crate::masking::{Masker, Moment};
use crate::objective::{Evaluation, Objective, Target, Totals};
use crate::task::Gold;
use anyhow::Result;
use student::{OutputGrads, Outputs, PackedBatch};

/// What batches are made of.
#[derive(Clone, Copy)]
pub struct Supply<'a> {
    /// The texts.
    pub examples: &'a Examples,
    /// Whom to ask what goes on inside the teacher, where the objective compares that.
    pub insight: Option<&'a Insight>,
    /// What hides words, where the objective asks which were hidden.
    pub masker: Option<&'a Masker>,
}

/// Some examples, as the student and its teacher read them.
pub struct Batch {
    examples: Vec<usize>,
    packed: PackedBatch,
    words: Vec<u32>,
    inside: Option<Pending>,
}

impl Supply<'_> {
    /// Packs examples, and hides words of them.
    pub fn batch(&self, examples: Vec<usize>, moment: Moment) -> Batch {
        let packed = self.examples.pack(&examples);
        let (packed, words) = match self.masker {
            Some(masker) => {
                let rows: Vec<usize> = examples.iter().map(|&example| self.examples.row(example)).collect();
                masker.hide(packed, &rows, moment)
            }
            None => (packed, Vec::new()),
        };
        Batch { examples, packed, words, inside: None }
    }

    /// Asks the teacher about a batch, without waiting.
    pub fn ask(&self, batch: Batch) -> Batch {
        Batch { inside: self.insight.map(|insight| insight.ask(batch.packed.clone())), ..batch }
    }

    /// Counts what sums over these batches together are divided by.
    pub fn totals(&self, batches: &[Batch]) -> Totals {
        let examples = batches.iter().flat_map(|batch| &batch.examples);
        let gold: Vec<Gold> = examples.map(|&example| self.examples.gold(example)).collect();
        let lengths = batches.iter().flat_map(|batch| batch.packed.sequences()).map(|it| it.len());
        let masked = batches.iter().map(|batch| batch.words.len()).sum();
        Totals { masked, ..Totals::of(&gold, lengths) }
    }

    /// Returns what an objective says of what a student said about a batch, and the gradient of that. Waits for the teacher.
    ///
    /// # Errors
    /// What the teacher failed with.
    pub fn evaluate(
        &self,
        objective: &Objective,
        batch: Batch,
        outputs: &Outputs,
        totals: Totals,
    ) -> Result<(Evaluation, OutputGrads)> {
        let (soft, gold) = self.examples.targets(&batch.examples);
        let found = batch.inside.map(Pending::wait).transpose()?;
        let target = Target {
            soft: soft.as_ref().map(|soft| soft.view()),
            gold: &gold,
            inside: found.as_ref().map(|found| &found.inside),
            offsets: batch.packed.offsets(),
            words: &batch.words,
            likely: found.as_ref().and_then(|found| found.words.as_ref()),
        };
        Ok(objective.evaluate(outputs, &target, totals))
    }
}

impl Batch {
    /// Returns the tokens as the student is given them.
    pub fn packed(&self) -> &PackedBatch {
        &self.packed
    }
}
