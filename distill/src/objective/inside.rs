//! Losses between the inside of a student and that of its teacher, layer pair by layer pair.

use super::{Loss, Needs, Part, attention_kl, hidden_cosine, hidden_mse, relation_kl, score_mse};
use crate::error::explained;
use anyhow::Result;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3};
use student::{Asked, OutputGrads, Outputs, Real};

/// The sizes that must agree before two models can be compared inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// L.
    pub layers: usize,
    /// H.
    pub hidden: usize,
    /// A.
    pub heads: usize,
}

/// What is asked of a student and of its teacher, and which layer is compared with which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The layers of the student, each with one of the teacher's.
    pub pairs: Vec<[usize; 2]>,
    /// What is asked of the student.
    pub student: Asked,
    /// What is asked of the teacher, less its logits.
    pub teacher: Asked,
}

impl Comparison {
    /// Finds out what the losses ask of both models.
    pub fn new(losses: impl IntoIterator<Item = Loss>, pairs: Vec<[usize; 2]>) -> Self {
        let mut sides = [Asked::default(), Asked::default()];
        for loss in losses {
            match loss.needs() {
                Needs::Labels | Needs::Logits => sides[0].logits = true,
                Needs::Words | Needs::WordsOfTeacher => sides[0].words = true,
                Needs::Inside(Part::Embeddings) => sides.iter_mut().for_each(|asked| asked.hidden.push(0)),
                Needs::Inside(part) => {
                    for (side, asked) in sides.iter_mut().enumerate() {
                        layers_of(asked, part).extend(pairs.iter().map(|pair| pair[side]));
                    }
                }
            }
        }
        let [student, teacher] = sides.map(sorted);
        Comparison { pairs, student, teacher }
    }

    /// Refuses losses that cannot compare models of these sizes, and says how to compare them otherwise.
    ///
    /// # Errors
    /// When numbers of heads differ where heads are compared, or widths are no multiple of the relation heads.
    pub fn check(losses: impl IntoIterator<Item = Loss>, student: Sizes, teacher: Sizes) -> Result<()> {
        for loss in losses {
            let name = loss.name();
            if loss.needs() == Needs::Inside(Part::Scores) && student.heads != teacher.heads {
                return Err(explained(
                    format!(
                        "`{name}` compares heads, but the student has {} and the teacher {}",
                        student.heads, teacher.heads
                    ),
                    "choose a student with as many heads, or `relation_kl`, which does not depend on them",
                ));
            }
            if let Loss::RelationKl { heads } = loss {
                for (who, width) in [("student", student.hidden), ("teacher", teacher.hidden)] {
                    if heads == 0 || !width.is_multiple_of(heads) {
                        return Err(explained(
                            format!("the {who}'s width of {width} cannot be cut into {heads} relation heads"),
                            "choose a divisor of both widths with `--set objective.relation_heads=…`",
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the sum of a loss over all pairs of layers, and adds its gradient, times `scale`, to `d_outputs`.
    pub(super) fn add<F: Real>(
        &self,
        loss: Loss,
        [student, teacher]: [&Outputs<F>; 2],
        offsets: &[usize],
        d_outputs: &mut OutputGrads<F>,
        scale: F,
    ) -> F {
        let mut sum = F::zero();
        let embeddings = [[0, 0]];
        let pairs = if loss == Loss::EmbeddingMse { &embeddings[..] } else { &self.pairs[..] };
        for &[s, t] in pairs {
            let place = |of: fn(&Asked) -> &Vec<usize>| {
                let at = |asked, layer| of(asked).binary_search(&layer).expect("it was asked for");
                [at(&self.student, s), at(&self.teacher, t)]
            };
            sum += match loss {
                Loss::EmbeddingMse | Loss::HiddenMse | Loss::HiddenCosine => {
                    let [s, t] = place(|asked| &asked.hidden);
                    let compare: Hidden<F> =
                        if loss == Loss::HiddenCosine { hidden_cosine } else { hidden_mse };
                    let (value, d) = compare(student.hidden[s].view(), teacher.hidden[t].view());
                    d_outputs.hidden[s].scaled_add(scale, &d);
                    value
                }
                Loss::ScoreMse | Loss::AttentionKl => {
                    let [s, t] = place(|asked| &asked.scores);
                    let compare: Scores<F> = if loss == Loss::ScoreMse { score_mse } else { attention_kl };
                    let sequences = student.scores[s].iter().zip(&teacher.scores[t]);
                    let each =
                        sequences.zip(&mut d_outputs.scores[s]).map(|((student, teacher), d_scores)| {
                            let (value, d) = compare(student.view(), teacher.view());
                            d_scores.scaled_add(scale, &d);
                            value
                        });
                    each.fold(F::zero(), |sum, value| sum + value)
                }
                Loss::RelationKl { heads } => {
                    let [s, t] = place(|asked| &asked.qkv);
                    let vectors = student.qkv[s].iter().zip(&teacher.qkv[t]).zip(&mut d_outputs.qkv[s]);
                    let each = vectors.map(|((student, teacher), d_vectors)| {
                        let (value, d) = relation_kl(student.view(), teacher.view(), offsets, heads);
                        d_vectors.scaled_add(scale, &d);
                        value
                    });
                    each.fold(F::zero(), |sum, value| sum + value)
                }
                _ => {
                    unreachable!("{} compares nothing inside", loss.name())
                }
            };
        }
        sum
    }
}

type Hidden<F> = fn(ArrayView2<'_, F>, ArrayView2<'_, F>) -> (F, Array2<F>);
type Scores<F> = fn(ArrayView3<'_, F>, ArrayView3<'_, F>) -> (F, Array3<F>);

fn layers_of(asked: &mut Asked, part: Part) -> &mut Vec<usize> {
    match part {
        Part::Embeddings | Part::Hidden => &mut asked.hidden,
        Part::Scores => &mut asked.scores,
        Part::Qkv => &mut asked.qkv,
    }
}

fn sorted(mut asked: Asked) -> Asked {
    for layers in [&mut asked.hidden, &mut asked.scores, &mut asked.qkv] {
        layers.sort_unstable();
        layers.dedup();
    }
    asked
}
