//! What a masked language model would say in a word's place, while it reads the whole text as a second segment.

use super::neighbours::Candidates;
use super::words::{fold, is_word};
use crate::bundle;
use crate::error::explained;
use crate::tokens::{Located, Tokenizer};
use anyhow::Result;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use teacher::{Masked, MaskedLm, Options, Tokens};

/// A masked language model and its vocabulary.
pub struct Masker {
    model: MaskedLm,
    tokenizer: Tokenizer,
    words: HashMap<u32, Arc<str>>,
    mask: u32,
    /// Whether the text follows as a second segment.
    twice: bool,
    count: usize,
}

/// A text, and the places of the words that are asked about.
pub type Asked<'a> = (&'a str, &'a [Range<usize>]);

/// The tokens at which texts are cut where the model does not say how long they may be.
const LENGTH: usize = 512;

impl Masker {
    /// The tokens at which the questions that have come together are asked.
    const HELD: usize = 1 << 20;

    /// Opens a masked language model, to be asked for the best `count` pieces of each word.
    ///
    /// # Errors
    /// When it is none, or its tokenizer is missing, is another's, or has no mask.
    pub fn open(path: &Path, count: usize, options: &Options<'_>) -> Result<Self> {
        let model = MaskedLm::open(path, options)?;
        let tokenizer = bundle::tokenizer(path, model.config().max_tokens().unwrap_or(LENGTH).min(LENGTH))?;
        if let Some(vocab_size) = model.config().vocab_size {
            tokenizer.check_vocabulary(vocab_size, &path.display().to_string())?;
        }
        let mask = tokenizer.mask_id().ok_or_else(|| {
            explained(
                format!("the tokenizer of `{}` has no mask: neither `[MASK]` nor `<mask>`", path.display()),
                "give a model that was trained to fill masks, with its own tokenizer",
            )
        })?;
        let whole = tokenizer.whole_words(options.workers, is_word);
        let words = whole.into_iter().map(|(id, word)| (id, Arc::from(word))).collect();
        let twice = tokenizer.has_pairs()?;
        Ok(Masker { model, tokenizer, words, mask, twice, count })
    }

    /// Returns for each word of each text what may stand in its place; nothing for words of several pieces, and for those
    /// beyond the model's length.
    ///
    /// The best pieces are taken and those among them dropped that are not whole words, so that fewer may be left. The word
    /// itself, which the model sees in the second segment, does not count.
    ///
    /// # Errors
    /// When tokenizer or model fail.
    pub fn candidates(&mut self, texts: &[Asked<'_>]) -> Result<Vec<Vec<Option<Candidates>>>> {
        let (mut waiting, mut tokens, mut answers) = (Vec::new(), 0, Vec::new());
        let mut numbers = Vec::with_capacity(texts.len());
        for (text, places) in texts {
            let located = match places.is_empty() {
                true => Located::default(),
                false => self.tokenizer.locate(text, self.twice)?,
            };
            let number = |place: &Range<usize>| {
                let token = only_token(text, &located, place)?;
                waiting.push(Question::new(&located, token, self.mask, &text[place.clone()]));
                tokens += located.ids.len();
                Some(answers.len() + waiting.len() - 1)
            };
            numbers.push(places.iter().map(number).collect::<Vec<_>>());
            if tokens > Self::HELD {
                answers.extend(self.answer(&waiting)?);
                waiting.clear();
                tokens = 0;
            }
        }
        answers.extend(self.answer(&waiting)?);
        let answer = |number: Option<usize>| Some(Arc::clone(&answers[number?]));
        Ok(numbers.into_iter().map(|numbers| numbers.into_iter().map(answer).collect()).collect())
    }

    fn answer(&mut self, questions: &[Question]) -> Result<Vec<Candidates>> {
        let masked: Vec<Masked<'_>> = questions.iter().map(Question::masked).collect();
        let best = self.model.best_words(&masked, self.count + 1, &|_| {})?;
        Ok(questions.iter().zip(best).map(|(question, best)| self.choose(&question.word, &best)).collect())
    }

    fn choose(&self, word: &str, best: &[u32]) -> Candidates {
        let word = fold(word);
        let is_itself = |id: &u32| self.words.get(id).is_some_and(|other| fold(other) == word);
        let others = best.iter().filter(|id| !is_itself(id)).take(self.count);
        others.filter_map(|id| self.words.get(id)).map(Arc::clone).collect()
    }
}

/// A sequence with one word masked.
struct Question {
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    position: usize,
    word: String,
}

impl Question {
    fn new(located: &Located, position: usize, mask: u32, word: &str) -> Self {
        let Located { mut ids, type_ids, .. } = located.clone();
        ids[position] = mask;
        Question { ids, type_ids, position, word: word.to_owned() }
    }

    fn masked(&self) -> Masked<'_> {
        Masked { tokens: Tokens { ids: &self.ids, type_ids: &self.type_ids }, position: self.position }
    }
}

/// Returns the token that stands for a word and for nothing else, if there is one.
fn only_token(text: &str, located: &Located, place: &Range<usize>) -> Option<usize> {
    let first = located.spans.partition_point(|(_, span)| span.end <= place.start);
    let mut touching = located.spans[first..].iter().take_while(|(_, span)| span.start < place.end);
    let (token, span) = touching.next()?;
    let is_whole = text.get(span.clone())?.trim() == &text[place.clone()];
    (is_whole && touching.next().is_none()).then_some(*token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_asked_about_where_one_token_stands_for_it_alone() {
        let text = "a films éa";
        let spans = vec![(1, 0..1), (2, 2..6), (3, 6..7), (4, 7..10)];
        let located = Located { ids: vec![0; 5], type_ids: vec![0; 5], spans };
        for (place, expected) in [(0..1, Some(1)), (2..7, None), (8..10, Some(4)), (8..11, None)] {
            assert_eq!(only_token(text, &located, &place), expected, "{place:?}");
        }
        assert_eq!(only_token("cut off", &Located::default(), &(4..7)), None);
    }
}
