//! What goes on inside a teacher, found out in a thread of its own while the student learns from the batch before; or looked
//! up where it was kept.

mod kept;
#[cfg(test)]
mod kept_tests;
mod shape;

pub use kept::{Kept, Request};
pub use shape::Shape;

use crate::error::explained;
use crate::objective;
use anyhow::{Context, Result};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use student::{Outputs, PackedBatch};
use teacher::{LikelyWords, Signals, Teacher, Tokens, WordsAsked};

/// What was found out about a batch.
#[derive(Debug)]
pub struct Found {
    /// What goes on inside the teacher, and its logits if it has any.
    pub inside: Outputs,
    /// What it thinks could stand where words were masked, where that was asked.
    pub words: Option<objective::LikelyWords>,
}

/// Somebody who can be asked what goes on inside a teacher.
///
/// When it goes, it waits for the answer in the making: a process must not end while a thread computes in a library whose
/// globals are destroyed then.
pub struct Insight {
    // Goes first, which tells the thread that nobody asks any more.
    questions: Sender<Question>,
    _thread: Awaited,
}

/// A thread that is waited for.
struct Awaited(Option<JoinHandle<()>>);

/// A batch, and where the answer goes.
struct Question {
    batch: PackedBatch,
    answer: Sender<Result<Found>>,
}

/// An answer that may not be there yet.
pub struct Pending {
    answer: Receiver<Result<Found>>,
}

impl Insight {
    /// Starts a thread that answers one question after the other with what `answer` returns. It ends when nobody can ask
    /// any more.
    pub fn new(mut answer: impl FnMut(&PackedBatch) -> Result<Found> + Send + 'static) -> Self {
        let (questions, asked) = channel::<Question>();
        let thread = thread::spawn(move || {
            for question in asked {
                // Whoever asked may be gone: an interrupted run does not want the batch it will not see.
                let _ = question.answer.send(answer(&question.batch));
            }
        });
        Insight { questions, _thread: Awaited(Some(thread)) }
    }

    /// Sets a teacher to answer, whose inner tensors have been asked for.
    pub fn of(mut teacher: Teacher) -> Self {
        Insight::new(move |batch| Ok(Found::of(look(&mut teacher, batch, &|_| {})?)))
    }

    /// Sets a masked language model to answer, whose inner tensors have been asked for: besides what goes on inside it, for
    /// how many words it is asked at each masked token, and how it is softened. `vocabulary`: the student's words.
    pub fn of_masked_lm(mut teacher: Teacher, (count, temperature): (usize, f64), vocabulary: usize) -> Self {
        Insight::new(move |batch| {
            let positions = batch.chosen();
            let asked = WordsAsked { positions, count, temperature: temperature as f32 };
            let (signals, words) = teacher.signals_and_words(&sequences(batch), &asked, &|_| {})?;
            if words.vocabulary != vocabulary {
                return Err(explained(
                    format!(
                        "the teacher chooses among {} words, the student among {vocabulary}",
                        words.vocabulary
                    ),
                    "give both the same vocabulary, or leave `objective.masked_kl` out",
                ));
            }
            let LikelyWords { ids, logits, others, .. } = words;
            let words = objective::LikelyWords { ids, logits, others: others.into() };
            Ok(Found { words: Some(words), ..Found::of(outputs(signals)) })
        })
    }

    /// Answers with what was kept.
    pub fn of_kept(kept: Kept) -> Self {
        Insight::new(move |batch| Ok(Found::of(kept.of(batch)?)))
    }

    /// Asks about a batch, without waiting.
    pub fn ask(&self, batch: PackedBatch) -> Pending {
        let (sender, answer) = channel();
        // Without the thread there is no answer, which is an error where it is waited for.
        let _ = self.questions.send(Question { batch, answer: sender });
        Pending { answer }
    }
}

/// Returns what goes on inside a teacher whose inner tensors have been asked for. `progress` is told how many more sequences
/// are done.
///
/// # Errors
/// When the teacher fails.
pub fn look(
    teacher: &mut Teacher,
    batch: &PackedBatch,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Outputs> {
    Ok(outputs(teacher.signals(&sequences(batch), progress)?))
}

fn sequences(batch: &PackedBatch) -> Vec<Tokens<'_>> {
    let (ids, type_ids) = (batch.ids(), batch.type_ids());
    batch.sequences().map(|of| Tokens { ids: &ids[of.clone()], type_ids: &type_ids[of] }).collect()
}

fn outputs(signals: Signals) -> Outputs {
    let Signals { logits, hidden, scores, qkv } = signals;
    Outputs { hidden, scores, qkv, ..Outputs::of_logits(logits) }
}

impl Found {
    fn of(inside: Outputs) -> Self {
        Found { inside, words: None }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        // Whoever waits for an answer learns that the thread has panicked.
        let _ = self.0.take().map(JoinHandle::join);
    }
}

impl Pending {
    /// Waits for the answer.
    ///
    /// # Errors
    /// What the teacher failed with, or that its thread ended.
    pub fn wait(self) -> Result<Found> {
        self.answer.recv().context("the thread of the teacher ended without an answer")?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    fn batch(ids: &[u32]) -> PackedBatch {
        PackedBatch::pack([(ids, ids)])
    }

    #[test]
    fn every_question_gets_its_own_answer_in_any_order() {
        let insight = Insight::new(|batch| {
            if batch.num_tokens() == 3 {
                bail!("three is too many");
            }
            Ok(Found::of(Outputs::of_logits(ndarray::Array2::zeros((batch.num_tokens(), 1)))))
        });
        let pending: Vec<_> = [&[1][..], &[1, 2], &[1, 2, 3], &[4]].map(|ids| insight.ask(batch(ids))).into();
        let answers: Vec<_> = pending.into_iter().rev().map(Pending::wait).collect();
        let rows: Vec<_> =
            answers.iter().map(|answer| answer.as_ref().ok().map(|it| it.inside.logits.nrows())).collect();
        assert_eq!(rows, [Some(1), None, Some(2), Some(1)]);
    }

    #[test]
    fn nothing_is_computed_any_more_when_it_is_gone() {
        let (begun, begins) = channel();
        let done = Arc::new(AtomicBool::new(false));
        let insight = Insight::new({
            let done = Arc::clone(&done);
            move |_| {
                begun.send(())?;
                thread::sleep(Duration::from_millis(50));
                done.store(true, Ordering::Relaxed);
                Ok(Found::of(Outputs::default()))
            }
        });
        drop(insight.ask(batch(&[1])));
        begins.recv().expect("the thread answers");
        drop(insight);
        assert!(done.load(Ordering::Relaxed));
    }

    #[test]
    fn a_thread_that_panics_is_an_error_and_not_a_hang() {
        let insight = Insight::new(|_| panic!("broken"));
        assert!(insight.ask(batch(&[1])).wait().is_err());
        assert!(insight.ask(batch(&[1])).wait().is_err());
    }
}
