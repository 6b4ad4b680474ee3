//! A made-up language in which sentiment can be learnt from a few hundred sentences: no data is shipped.

use std::fmt::Write;

pub const GOOD: [&str; 6] = ["good", "great", "lovely", "fine", "bright", "warm"];
pub const BAD: [&str; 6] = ["bad", "awful", "dull", "poor", "cold", "grim"];
pub const NEUTRAL: [&str; 12] =
    ["the", "a", "film", "story", "was", "and", "in", "of", "scene", "actor", "with", "end"];

/// A reproducible stream of numbers.
pub struct Stream(u64);

impl Stream {
    pub fn new(seed: u64) -> Self {
        Stream(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }
}

/// Returns sentences of 2 to 12 words with their labels: whether there are more good words than bad ones.
pub fn sentences(count: usize, seed: u64) -> Vec<(String, &'static str)> {
    let mut stream = Stream::new(seed);
    (0..count)
        .map(|_| {
            let positive = stream.below(2) == 1;
            let words = if positive { GOOD } else { BAD };
            let mut sentence = vec![words[stream.below(words.len())]];
            for _ in 0..1 + stream.below(11) {
                sentence.push(NEUTRAL[stream.below(NEUTRAL.len())]);
            }
            let place = stream.below(sentence.len());
            sentence.swap(0, place);
            (sentence.join(" "), if positive { "positive" } else { "negative" })
        })
        .collect()
}

/// Returns sentences as plain text: documents of six lines, divided by blank ones.
pub fn documents(count: usize, seed: u64) -> String {
    let lines: Vec<String> = sentences(count, seed).into_iter().map(|(sentence, _)| sentence).collect();
    lines.chunks(6).map(|document| document.join("\n") + "\n\n").collect()
}

/// Returns the sentences as a TSV file with a header.
pub fn tsv(count: usize, seed: u64) -> String {
    let mut text = String::from("sentence\tlabel\n");
    for (sentence, label) in sentences(count, seed) {
        writeln!(text, "{sentence}\t{label}").expect("writing to a string cannot fail");
    }
    text
}
