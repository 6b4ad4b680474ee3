//! The losses there are: what each is called, what it needs, and over what it is averaged.

use super::{Target, cross_entropy, kl, label_mse, logit_mse, masked_cross_entropy, masked_kl};
use ndarray::{Array2, ArrayView2};
use student::Real;

/// A loss between what the student says and what it should say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// The divergence from the teacher's softened distribution; see [`kl`].
    Kl {
        /// T; higher is softer.
        temperature: f64,
    },
    /// The negative log-likelihood of the gold class; see [`cross_entropy`].
    CrossEntropy,
    /// The squared distance from the teacher's logits; see [`logit_mse`].
    LogitMse,
    /// The squared distance from the gold value of a regression; see [`label_mse`].
    LabelMse,
    /// The negative log-likelihood of the words that were masked; see [`masked_cross_entropy`].
    MaskedCrossEntropy,
    /// The divergence from what the teacher thinks could stand where words were masked; see [`masked_kl`].
    MaskedKl {
        /// T; higher is softer.
        temperature: f64,
        /// The words that are compared one by one, K.
        words: usize,
    },
    /// The squared distance of what comes out of the embeddings; see [`super::hidden_mse`].
    EmbeddingMse,
    /// The squared distance of the hidden states of paired layers; see [`super::hidden_mse`].
    HiddenMse,
    /// How far the hidden states of paired layers point apart; see [`super::hidden_cosine`].
    HiddenCosine,
    /// The squared distance of the attention scores of paired layers; see [`super::score_mse`].
    ScoreMse,
    /// The divergence of the attention of paired layers; see [`super::attention_kl`].
    AttentionKl,
    /// The divergence of how queries, keys and values of paired layers relate; see [`super::relation_kl`].
    RelationKl {
        /// The relation heads, A_r.
        heads: usize,
    },
}

/// What a loss compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// The gold labels.
    Labels,
    /// The teacher's logits.
    Logits,
    /// The words that were masked.
    Words,
    /// What the teacher thinks could stand there.
    WordsOfTeacher,
    /// What goes on inside the teacher, token by token.
    Inside(Part),
}

/// A part of the inside of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What comes out of the embeddings.
    Embeddings,
    /// Hidden states.
    Hidden,
    /// Attention scores.
    Scores,
    /// Queries, keys and values.
    Qkv,
}

/// What a loss is averaged over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Examples.
    Example,
    /// Examples with a gold label.
    Labelled,
    /// Tokens.
    Token,
    /// Pairs of tokens of one sequence.
    Pair,
    /// Masked tokens.
    Masked,
}

impl Loss {
    /// Returns the name of the loss in recipes and logs.
    pub fn name(self) -> &'static str {
        match self {
            Loss::Kl { .. } => "kl",
            Loss::CrossEntropy => "cross_entropy",
            Loss::LogitMse => "logit_mse",
            Loss::LabelMse => "label_mse",
            Loss::MaskedCrossEntropy => "masked_cross_entropy",
            Loss::MaskedKl { .. } => "masked_kl",
            Loss::EmbeddingMse => "embedding_mse",
            Loss::HiddenMse => "hidden_mse",
            Loss::HiddenCosine => "hidden_cosine",
            Loss::ScoreMse => "score_mse",
            Loss::AttentionKl => "attention_kl",
            Loss::RelationKl { .. } => "relation_kl",
        }
    }

    /// Returns what the loss compares with.
    pub fn needs(self) -> Needs {
        match self {
            Loss::Kl { .. } | Loss::LogitMse => Needs::Logits,
            Loss::CrossEntropy | Loss::LabelMse => Needs::Labels,
            Loss::MaskedCrossEntropy => Needs::Words,
            Loss::MaskedKl { .. } => Needs::WordsOfTeacher,
            Loss::EmbeddingMse => Needs::Inside(Part::Embeddings),
            Loss::HiddenMse | Loss::HiddenCosine => Needs::Inside(Part::Hidden),
            Loss::ScoreMse | Loss::AttentionKl => Needs::Inside(Part::Scores),
            Loss::RelationKl { .. } => Needs::Inside(Part::Qkv),
        }
    }

    /// Returns what the loss is averaged over.
    pub fn unit(self) -> Unit {
        match self {
            Loss::Kl { .. } | Loss::LogitMse | Loss::RelationKl { .. } => Unit::Example,
            Loss::CrossEntropy | Loss::LabelMse => Unit::Labelled,
            Loss::EmbeddingMse | Loss::HiddenMse | Loss::HiddenCosine | Loss::AttentionKl => Unit::Token,
            Loss::ScoreMse => Unit::Pair,
            Loss::MaskedCrossEntropy | Loss::MaskedKl { .. } => Unit::Masked,
        }
    }

    /// Says whether the loss compares what goes on inside, token by token.
    pub fn looks_inside(self) -> bool {
        matches!(self.needs(), Needs::Inside(_))
    }

    /// Says whether the loss compares with the teacher, and not with labels or words.
    pub fn needs_teacher(self) -> bool {
        matches!(self.needs(), Needs::Logits | Needs::WordsOfTeacher | Needs::Inside(_))
    }

    /// Says whether the loss compares with the teacher token by token.
    pub fn compares_tokens(self) -> bool {
        matches!(self.needs(), Needs::WordsOfTeacher | Needs::Inside(_))
    }

    /// Returns the sum over the masked tokens and its gradient with respect to the logits of words, both [M, V].
    pub(super) fn of_words<F: Real>(
        self,
        words: ArrayView2<'_, F>,
        target: &Target<'_, F>,
    ) -> (F, Array2<F>) {
        let likely = || target.likely.expect("a teacher was asked which words could stand there");
        match self {
            Loss::MaskedCrossEntropy => masked_cross_entropy(words, target.words),
            Loss::MaskedKl { temperature, .. } => masked_kl(words, likely(), F::of(temperature)),
            _ => unreachable!("{} compares no words", self.name()),
        }
    }

    /// Returns the sum over the examples and its gradient with respect to the logits, both [B, C].
    pub(super) fn of_logits<F: Real>(
        self,
        logits: ArrayView2<'_, F>,
        target: &Target<'_, F>,
    ) -> (F, Array2<F>) {
        let soft = || target.soft.expect("the objective was checked against what the data supplies");
        match self {
            Loss::Kl { temperature } => kl(logits, soft(), F::of(temperature)),
            Loss::LogitMse => logit_mse(logits, soft()),
            Loss::CrossEntropy => cross_entropy(logits, target.gold),
            Loss::LabelMse => label_mse(logits, target.gold),
            _ => unreachable!("{} compares no logits", self.name()),
        }
    }
}
