//! What a recipe says of the objective: the weight of each term.

use crate::error::explained;
use crate::objective::{LayerMap, Loss, Needs, Objective, Term, Weight};
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// What the student is trained for: the weight of each term, a number or a ramp, `{ from = 0.0, to = 1.0, over = 0.5 }` for one
/// that rises in a straight line over the first half of the updates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveSection {
    /// The share of the teacher in an objective whose weights are left open; the gold labels have the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// The weight of the divergence from the teacher.
    pub kl: Option<Weight>,
    /// The temperature T of that divergence.
    pub temperature: f64,
    /// The weight of the likelihood of the gold labels.
    pub cross_entropy: Option<Weight>,
    /// The weight of the squared distance from the teacher's logits.
    pub logit_mse: Option<Weight>,
    /// The weight of the squared distance from gold values.
    pub label_mse: Option<Weight>,
    /// The weight of the likelihood of the words that were masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked_cross_entropy: Option<Weight>,
    /// The weight of the divergence from what the teacher, a masked language model, thinks could stand where words were
    /// masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked_kl: Option<Weight>,
    /// The words that are compared one by one for that; all others count as one.
    #[serde(skip_serializing_if = "is_usual_number_of_words")]
    pub masked_words: usize,
    /// The weight of the squared distance of what comes out of the embeddings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_mse: Option<Weight>,
    /// The weight of the squared distance of hidden states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden_mse: Option<Weight>,
    /// The weight of how far hidden states point apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden_cosine: Option<Weight>,
    /// The weight of the squared distance of attention scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_mse: Option<Weight>,
    /// The weight of the divergence of attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_kl: Option<Weight>,
    /// The weight of the divergence of the relations of queries, of keys and of values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relation_kl: Option<Weight>,
    /// The heads into which queries, keys and values are cut for that.
    pub relation_heads: usize,
    /// Which layers are compared: `uniform`, `top`, `bottom`, `last`, or pairs of the student's layer and the teacher's,
    /// which count from 1.
    pub layers: LayerMap,
}

/// The words of a vocabulary that are worth being compared one by one: beyond them hardly any mass is left.
const MASKED_WORDS: usize = 1024;

fn is_usual_number_of_words(words: &usize) -> bool {
    *words == MASKED_WORDS
}

impl Default for ObjectiveSection {
    fn default() -> Self {
        ObjectiveSection {
            alpha: None,
            kl: None,
            temperature: 2.0,
            cross_entropy: None,
            logit_mse: None,
            label_mse: None,
            masked_cross_entropy: None,
            masked_kl: None,
            masked_words: MASKED_WORDS,
            embedding_mse: None,
            hidden_mse: None,
            hidden_cosine: None,
            score_mse: None,
            attention_kl: None,
            relation_kl: None,
            relation_heads: 12,
            layers: LayerMap::default(),
        }
    }
}

impl ObjectiveSection {
    /// Decides the weights that were left open, once it is known what the data supplies.
    ///
    /// A classification is distilled with 0.9 on the teacher and 0.1 on the gold labels, a regression with the same
    /// shares of squared distances; without labels only the teacher counts, without a teacher only the labels.
    ///
    /// # Errors
    /// When both the share of the teacher and a weight are given: then one of them would do nothing.
    pub fn resolve(&mut self, has_teacher: bool, has_labels: bool, regression: bool) -> Result<()> {
        let undecided = self.is_undecided();
        let (soft, hard) = match (self.alpha.take(), has_teacher, has_labels) {
            (Some(_), ..) if !undecided => {
                let hint = "give `--alpha`, or the weight of each term with `--set objective.…`";
                return Err(explained(
                    "the objective has both a share of the teacher and weights of its own",
                    hint,
                ));
            }
            // Rounded, since a person who says 0.9 means 0.1 for the rest.
            (Some(alpha), ..) => (alpha, ((1.0 - alpha) * 1e12).round() / 1e12),
            (None, true, true) => (0.9, 0.1),
            (None, true, false) => (1.0, 0.0),
            (None, false, _) => (0.0, 1.0),
        };
        let default =
            |applies: bool, weight: f64| if undecided && applies { weight.into() } else { 0.0.into() };
        self.kl.get_or_insert(default(!regression, soft));
        self.cross_entropy.get_or_insert(default(!regression, hard));
        self.logit_mse.get_or_insert(default(regression, soft));
        self.label_mse.get_or_insert(default(regression, hard));
        Ok(())
    }

    /// Returns the objective of the weights.
    ///
    /// # Errors
    /// As [`Objective::new`].
    pub fn objective(&self) -> Result<Objective> {
        Objective::new(self.counting())
    }

    /// Says whether no weight is given, so that the data decides.
    pub fn is_undecided(&self) -> bool {
        self.weights().iter().all(|(weight, _)| weight.is_none())
    }

    /// Says whether a term compares logits, or may come to do so.
    pub fn may_need_logits(&self) -> bool {
        self.is_undecided() || self.needs(Needs::Logits)
    }

    /// Says whether a term compares with the words that a masked language model thinks likely.
    pub fn compares_words(&self) -> bool {
        self.needs(Needs::WordsOfTeacher)
    }

    /// Returns the terms in a few words.
    pub fn describe(&self) -> String {
        let word = |Term { weight, loss }: Term| format!("{weight} {}", loss.name());
        let terms: Vec<String> = self.counting().map(word).collect();
        if terms.is_empty() { "as the data allows".to_owned() } else { terms.join(" + ") }
    }

    /// Says whether a term needs this.
    fn needs(&self, what: Needs) -> bool {
        self.counting().any(|term| term.loss.needs() == what)
    }

    /// Returns the terms that are given a weight and count.
    fn counting(&self) -> impl Iterator<Item = Term> {
        let given =
            self.weights().into_iter().filter_map(|(weight, loss)| Some(Term { weight: weight?, loss }));
        given.filter(|term| !term.weight.is_zero())
    }

    /// Returns every loss with its weight, if one is given.
    fn weights(&self) -> [(Option<Weight>, Loss); 12] {
        let masked_kl = Loss::MaskedKl { temperature: self.temperature, words: self.masked_words };
        [
            (self.kl, Loss::Kl { temperature: self.temperature }),
            (self.cross_entropy, Loss::CrossEntropy),
            (self.logit_mse, Loss::LogitMse),
            (self.label_mse, Loss::LabelMse),
            (self.masked_cross_entropy, Loss::MaskedCrossEntropy),
            (self.masked_kl, masked_kl),
            (self.embedding_mse, Loss::EmbeddingMse),
            (self.hidden_mse, Loss::HiddenMse),
            (self.hidden_cosine, Loss::HiddenCosine),
            (self.score_mse, Loss::ScoreMse),
            (self.attention_kl, Loss::AttentionKl),
            (self.relation_kl, Loss::RelationKl { heads: self.relation_heads }),
        ]
    }
}
