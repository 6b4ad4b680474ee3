//! Copies that a teacher is sure of, or says the same of as of the text that they were made from.

use super::Copy;
use crate::asking::ask;
use crate::corpus::Subject;
use crate::data::Row;
use crate::error::explained;
use crate::measure::probabilities;
use crate::task::Gold;
use crate::tokens::Tokenizer;
use anyhow::Result;
use ndarray::{Array2, ArrayView1};
use teacher::Teacher;

/// What a copy has to be to stay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demands {
    /// The teacher's probability of the class that it chooses is at least this.
    pub min_confidence: Option<f64>,
    /// The teacher chooses the label, or where there is none, what it says of the original.
    pub agreement: bool,
}

impl Demands {
    /// Says whether anything is asked for.
    pub fn any(&self) -> bool {
        self.min_confidence.is_some() || self.agreement
    }
}

/// A teacher that is asked about copies.
pub struct Judge {
    teacher: Teacher,
    tokenizer: Tokenizer,
    demands: Demands,
    threads: usize,
}

impl Judge {
    /// Takes a teacher of classes.
    ///
    /// # Errors
    /// When it is one of numbers, which it cannot be more or less sure of.
    pub fn new(
        teacher: Teacher,
        tokenizer: Tokenizer,
        subject: &Subject,
        demands: Demands,
        threads: usize,
    ) -> Result<Self> {
        if subject.is_regression() {
            return Err(explained(
                "the teacher predicts a number, of which it cannot say how sure it is",
                "leave `--min-confidence` and `--agree` out",
            ));
        }
        Ok(Judge { teacher, tokenizer, demands, threads })
    }

    /// Returns for each row the class that its copies have to be of. `gold`: their labels.
    ///
    /// # Errors
    /// When the teacher fails.
    pub fn expected(&mut self, rows: &[Row], gold: &[Gold]) -> Result<Vec<usize>> {
        let mut classes = vec![0; rows.len()];
        if !self.demands.agreement {
            return Ok(classes);
        }
        let mut unlabelled = Vec::new();
        for (row, gold) in gold.iter().enumerate() {
            match gold {
                Gold::Class(class) => classes[row] = *class,
                _ => unlabelled.push(row),
            }
        }
        let texts = unlabelled.iter().map(|&row| (rows[row].text.as_str(), rows[row].text_pair.as_deref()));
        let logits = self.ask(&texts.collect::<Vec<_>>())?;
        unlabelled.iter().zip(logits.rows()).for_each(|(&row, logits)| classes[row] = surest(logits).0);
        Ok(classes)
    }

    /// Returns for each copy whether it stays; `expected`: the class that each row's copies have to be of.
    ///
    /// # Errors
    /// When the teacher fails.
    pub fn keeps(&mut self, copies: &[&Copy], expected: &[usize]) -> Result<Vec<bool>> {
        let texts: Vec<_> = copies.iter().map(|copy| (&*copy.text, copy.text_pair.as_deref())).collect();
        let logits = self.ask(&texts)?;
        let stays = |(copy, logits): (&&Copy, ArrayView1<'_, f32>)| {
            let (class, confidence) = surest(logits);
            let sure = self.demands.min_confidence.is_none_or(|least| confidence >= least);
            sure && (!self.demands.agreement || class == expected[copy.row])
        };
        Ok(copies.iter().zip(logits.rows()).map(stays).collect())
    }

    fn ask(&mut self, texts: &[(&str, Option<&str>)]) -> Result<Array2<f32>> {
        let encodings = self.tokenizer.encode(texts, self.threads)?;
        ask(&mut self.teacher, &encodings, 0..encodings.len(), &|_| {})
    }
}

/// Returns the class with the largest probability, and that.
fn surest(logits: ArrayView1<'_, f32>) -> (usize, f64) {
    let probs = probabilities(logits);
    let best = (0..probs.len()).max_by(|&a, &b| probs[a].total_cmp(&probs[b])).unwrap_or(0);
    (best, probs.get(best).copied().unwrap_or(0.0))
}
