//! Sentences that say nothing, in the words of a tokenizer and in the lengths of film reviews.

use crate::batches::Permutation;
use crate::tokens::Tokenizer;
use serde_json::Value;

/// The mean number of words in a training phrase of SST-2, and the most.
const MEAN_WORDS: f64 = 9.4;
const MAX_WORDS: usize = 52;

/// Words for tokenizers whose vocabulary cannot be read.
const WORDS: [&str; 12] =
    ["the", "film", "story", "is", "a", "and", "of", "good", "bad", "with", "long", "scene"];

/// Returns `count` different sentences, the same for the same tokenizer.
pub fn sentences(tokenizer: &Tokenizer, count: usize) -> Vec<String> {
    let words = words(tokenizer);
    let (shuffled, places) = (Permutation::new(words.len(), &[1]), Permutation::new(count, &[2]));
    let mut drawn = 0;
    let mut sentence = |i: usize| {
        // As in an exponential distribution; the number in front keeps short sentences apart.
        let share = places.get(i) as f64 / count as f64;
        let length = ((-MEAN_WORDS * (1.0 - share).ln()).round() as usize).clamp(1, MAX_WORDS);
        let mut sentence = i.to_string();
        for _ in 1..length {
            sentence += " ";
            sentence += &words[shuffled.get(drawn % words.len())];
            drawn += 1;
        }
        sentence
    };
    (0..count).map(&mut sentence).collect()
}

/// Returns the whole words in small letters that a tokenizer knows.
fn words(tokenizer: &Tokenizer) -> Vec<String> {
    let folder = tokenizer.source();
    let file = if folder.is_dir() { folder.join("tokenizer.json") } else { folder.to_owned() };
    let json: Value =
        std::fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let known = json["model"]["vocab"].as_object().into_iter().flat_map(|vocab| vocab.keys());
    let whole = |word: &&String| word.len() > 1 && word.chars().all(|letter| letter.is_ascii_lowercase());
    let words: Vec<String> = known.filter(whole).cloned().collect();
    if words.is_empty() { WORDS.map(str::to_owned).to_vec() } else { words }
}
