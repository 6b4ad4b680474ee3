//! The student before its first step: its shape, and the weights it starts with.

mod shape;
mod source;

pub use shape::read_config;
pub use source::{read_weights, start_with};

use crate::corpus::Subject;
use crate::error::explained;
use crate::examples::Examples;
use crate::narrowing::{Wide, narrowed};
use crate::recipe::{StudentSection, TrainSection};
use crate::tokens::Tokenizer;
use anyhow::Result;
use ndarray::ArrayView2;
use source::Source;
use student::arena::Entry;
use student::bert::{Bert, ProblemType};
use student::weights::{Loaded, Tensor, Weights};
use student::{Architecture, Arena, PackedBatch, Threads, init};

/// What a student must fit.
pub struct Purpose {
    /// V of its tokenizer.
    pub vocab_size: usize,
    /// The segments that its tokenizer tells apart.
    pub num_segments: usize,
    /// The id that fills up shorter texts.
    pub pad_token_id: u32,
    /// The names of the logits.
    pub labels: Vec<String>,
    /// Whether it predicts a number.
    pub regression: bool,
}

impl Purpose {
    /// Says what a student must fit that reads with `tokenizer` and predicts `subject`.
    ///
    /// # Errors
    /// When the tokenizer cannot encode a text.
    pub fn of(subject: &Subject, tokenizer: &Tokenizer) -> Result<Self> {
        Ok(Purpose {
            vocab_size: tokenizer.vocab_size(),
            num_segments: tokenizer.num_segments()?,
            pad_token_id: tokenizer.pad_id(),
            labels: subject.logit_names(),
            regression: subject.is_regression(),
        })
    }
}

/// A student that is ready to be trained.
pub struct Blueprint {
    /// The model.
    pub bert: Bert,
    /// The weights it starts with.
    pub params: Arena,
    /// How many of its tensors were copied.
    pub num_copied: usize,
    source: Option<Source>,
    /// What the student is made of once it is known what it reads. Until then it has no weights.
    wide: Option<Wide>,
    chance: Chance,
}

/// How the numbers come about that are copied from nowhere.
#[derive(Clone, Copy)]
struct Chance {
    seed: u64,
    threads: usize,
}

/// The texts on which a wide model is watched before it is made narrow, at most.
const WATCHED_TEXTS: usize = 512;
/// About how many tokens they have at most: many more than a model is wide.
const WATCHED_TOKENS: usize = 1 << 14;

impl Blueprint {
    /// Builds the student that a recipe asks for.
    ///
    /// # Errors
    /// When the shape is unknown, or weights do not fit it.
    pub fn build(section: &StudentSection, purpose: &Purpose, train: &TrainSection) -> Result<Self> {
        let mut config = shape::of(section, purpose)?;
        config.labels.clone_from(&purpose.labels);
        config.pad_token_id = purpose.pad_token_id;
        config.problem_type = Some(match purpose.regression {
            true => ProblemType::Regression,
            false => ProblemType::SingleLabelClassification,
        });
        config.architectures = vec![config.model_type.classifier().into()];
        if let Some(rate) = section.dropout {
            (config.hidden_dropout_prob, config.attention_probs_dropout_prob) = (rate, rate);
            config.classifier_dropout = None;
        }
        let bert = Bert::new(config)?;
        let params = Arena::zeros(bert.layout());
        let source = Source::of(section);
        let wide = source.as_ref().map_or(Ok(None), |source| source.wide(&bert, train.threads))?;
        let chance = Chance { seed: train.seed, threads: train.threads };
        let blueprint = Blueprint { bert, params, num_copied: 0, source, wide, chance };
        match (&blueprint.source, &blueprint.wide) {
            (None, _) => blueprint.drawn(|_| true),
            (Some(source), None) => {
                let weights = source.weights(&blueprint.bert)?;
                blueprint.copied(&weights)
            }
            (Some(_), Some(_)) => Ok(blueprint),
        }
    }

    /// Copies what these weights have, and draws the rest.
    fn copied(mut self, weights: &Weights) -> Result<Self> {
        let Some(source) = &self.source else { return Ok(self) };
        let Loaded { loaded, missing, .. } = source.copy(weights, &self.bert, &mut self.params)?;
        self.num_copied = loaded.len();
        self.drawn(|entry| missing.contains(&entry.name))
    }

    /// Draws some tensors.
    fn drawn(mut self, which: impl Fn(&Entry) -> bool) -> Result<Self> {
        let (Chance { seed, threads }, range) = (self.chance, self.bert.config().initializer_range);
        let entries: Vec<&Entry> = self.bert.layout().entries().iter().filter(|entry| which(entry)).collect();
        Threads::new(threads)?.run(|| init::draw(&mut self.params, entries, range, seed));
        Ok(self)
    }

    /// Lets the student start as a narrow form of the wider model that it was given to start with, if it was given one, in
    /// the directions that matter in what it will read. Returns the share of the wide model's hidden states that these keep.
    ///
    /// # Errors
    /// When the model lacks layers, or says what is no number.
    pub fn narrowed(mut self, texts: &Examples) -> Result<(Self, Option<f64>)> {
        let (Some(wide), Some(source)) = (self.wide.take(), &self.source) else {
            return Ok((self, None));
        };
        let narrow = wide.narrowed(self.bert.config(), source.layers.as_deref(), watched(texts))?;
        let mut student = self.copied(&narrow.weights)?;
        student.source = None;
        Ok((student, Some(narrow.kept)))
    }

    /// Says whether the student starts with the weights of another model.
    pub fn has_source(&self) -> bool {
        self.source.is_some()
    }

    /// Returns the same student once more, at the same start.
    pub fn again(&self) -> Self {
        let config = self.bert.config().clone();
        let bert = Bert::new(config).expect("the configuration has made a model before");
        let (params, source) = (self.params.clone(), self.source.clone());
        Blueprint { bert, params, source, wide: None, ..*self }
    }

    /// Gives the student the word embeddings of another model, in its own width. `table`: [V, H of the other].
    ///
    /// # Errors
    /// When the other has another vocabulary, or is narrower.
    pub fn with_words(mut self, table: &Tensor) -> Result<Self> {
        let config = self.bert.config();
        let (theirs, ours) = (table.shape[0], config.vocab_size);
        if theirs != ours {
            return Err(explained(
                format!("the teacher has embeddings of {theirs} words, the student of {ours}"),
                "give the student its teacher's tokenizer, or leave `--init-embeddings` out",
            ));
        }
        let words = ArrayView2::from_shape((theirs, table.shape[1]), &table.data)?;
        let words = narrowed(words, config.hidden_size)?;
        self.params.matrix_mut(self.bert.word_embeddings()).assign(&words);
        Ok(self)
    }

    /// Gives the student a head that says which word stands where, for as long as it is trained: that of the model whose
    /// weights it starts with, or one at random where that has none.
    ///
    /// # Errors
    /// When that model cannot be read once more.
    pub fn predicting_words(self) -> Result<Self> {
        let own = self.params.data().len();
        let mut student = self.given(Bert::predicting_words)?;
        if let Some(source) = &student.source {
            let mut copied = student.params.clone();
            source.weights(&student.bert)?.load(
                student.bert.layout(),
                &mut copied,
                source.layers.as_deref(),
            )?;
            student.params.data_mut()[own..].copy_from_slice(&copied.data()[own..]);
        }
        Ok(student)
    }

    /// Gives the student a map to the width of its teacher, at random, for as long as it is trained.
    ///
    /// # Errors
    /// When threads cannot be started.
    pub fn projecting(self, width: usize) -> Result<Self> {
        self.given(|bert| bert.projecting(width))
    }

    /// Gives the student parameters more, which come after its own.
    fn given(self, more: impl FnOnce(Bert) -> Bert) -> Result<Self> {
        let (own, bert) = (self.params.data().len(), more(self.bert));
        let mut params = Arena::zeros(bert.layout());
        params.data_mut()[..own].copy_from_slice(self.params.data());
        Blueprint { bert, params, ..self }.drawn(|entry| entry.range().start >= own)
    }
}

/// Returns some texts, spread over all, in batches.
fn watched(texts: &Examples) -> Vec<PackedBatch> {
    let tokens: usize = texts.spread(WATCHED_TEXTS).map(|example| texts.length(example)).sum();
    let share = (WATCHED_TOKENS as f64 / tokens.max(1) as f64).min(1.0);
    let most = (WATCHED_TEXTS as f64 * share).ceil() as usize;
    let chosen: Vec<usize> = texts.spread(most).collect();
    chosen.chunks(32).map(|batch| texts.pack(batch)).collect()
}
