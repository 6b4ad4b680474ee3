//! What goes on inside a teacher, found out in a thread of its own while the student learns from the batch before.

use anyhow::{Context, Result};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use student::{Outputs, PackedBatch};
use teacher::{Signals, Teacher, Tokens};

/// Somebody who can be asked what goes on inside a teacher.
pub struct Insight {
    questions: Sender<Question>,
}

/// A batch, and where the answer goes.
struct Question {
    batch: PackedBatch,
    answer: Sender<Result<Outputs>>,
}

/// An answer that may not be there yet.
pub struct Pending {
    answer: Receiver<Result<Outputs>>,
}

impl Insight {
    /// Starts a thread that answers one question after the other with what `answer` returns. It ends when nobody can ask
    /// any more.
    pub fn new(mut answer: impl FnMut(&PackedBatch) -> Result<Outputs> + Send + 'static) -> Self {
        let (questions, asked) = channel::<Question>();
        thread::spawn(move || {
            for question in asked {
                // Whoever asked may be gone: an interrupted run does not wait for the batch it will not see.
                let _ = question.answer.send(answer(&question.batch));
            }
        });
        Insight { questions }
    }

    /// Sets a teacher to answer, whose inner tensors have been asked for.
    pub fn of(mut teacher: Teacher) -> Self {
        Insight::new(move |batch| {
            let (ids, type_ids) = (batch.ids(), batch.type_ids());
            let sequences: Vec<Tokens<'_>> = batch
                .sequences()
                .map(|of| Tokens { ids: &ids[of.clone()], type_ids: &type_ids[of] })
                .collect();
            let Signals { logits, hidden, scores, qkv } = teacher.signals(&sequences, &|_| {})?;
            Ok(Outputs { hidden, scores, qkv, ..Outputs::of_logits(logits) })
        })
    }

    /// Asks about a batch, without waiting.
    pub fn ask(&self, batch: PackedBatch) -> Pending {
        let (sender, answer) = channel();
        // Without the thread there is no answer, which is an error where it is waited for.
        let _ = self.questions.send(Question { batch, answer: sender });
        Pending { answer }
    }
}

impl Pending {
    /// Waits for the answer.
    ///
    /// # Errors
    /// What the teacher failed with, or that its thread ended.
    pub fn wait(self) -> Result<Outputs> {
        self.answer.recv().context("the thread of the teacher ended without an answer")?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    fn batch(ids: &[u32]) -> PackedBatch {
        PackedBatch::pack([(ids, ids)])
    }

    #[test]
    fn every_question_gets_its_own_answer_in_any_order() {
        let insight = Insight::new(|batch| {
            if batch.num_tokens() == 3 {
                bail!("three is too many");
            }
            Ok(Outputs::of_logits(ndarray::Array2::zeros((batch.num_tokens(), 1))))
        });
        let pending: Vec<_> = [&[1][..], &[1, 2], &[1, 2, 3], &[4]].map(|ids| insight.ask(batch(ids))).into();
        let answers: Vec<_> = pending.into_iter().rev().map(Pending::wait).collect();
        let rows: Vec<_> =
            answers.iter().map(|answer| answer.as_ref().ok().map(|it| it.logits.nrows())).collect();
        assert_eq!(rows, [Some(1), None, Some(2), Some(1)]);
    }

    #[test]
    fn a_thread_that_panics_is_an_error_and_not_a_hang() {
        let insight = Insight::new(|_| panic!("broken"));
        assert!(insight.ask(batch(&[1])).wait().is_err());
        assert!(insight.ask(batch(&[1])).wait().is_err());
    }
}
