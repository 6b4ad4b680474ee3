//! Which texts there are already. A text is remembered by a hash of 64 bits, so that millions of them take little memory:
//! among 10⁸ texts, the chance that one is wrongly taken for a repetition is below 0.1 %.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;

/// Texts, by their hashes. Case and the amount of white space make no difference.
#[derive(Debug, Default)]
pub struct Seen(HashSet<u64>);

impl Seen {
    /// Remembers a text; says whether it is new.
    pub fn insert(&mut self, key: u64) -> bool {
        self.0.insert(key)
    }

    /// Says whether a text is known.
    pub fn contains(&self, key: u64) -> bool {
        self.0.contains(&key)
    }
}

/// Returns the hash of a text.
pub fn key(text: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    add(&mut hash, text);
    hash.finish()
}

/// Returns the hash of an example.
pub fn key_of(text: &str, text_pair: Option<&str>) -> u64 {
    let Some(text_pair) = text_pair else { return key(text) };
    let mut hash = DefaultHasher::new();
    add(&mut hash, text);
    hash.write_u8(END);
    add(&mut hash, text_pair);
    hash.finish()
}

/// A byte that is in no text.
const END: u8 = 0xff;

fn add(hash: &mut DefaultHasher, text: &str) {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(word.chars().flat_map(char::to_lowercase));
    }
    hash.write(folded.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_spaces_make_no_difference_and_everything_else_does() {
        assert_eq!(key("A  good\tFilm É"), key(" a good film é "));
        assert_eq!(key_of("A", Some("b ")), key_of("a", Some("B")));
        assert_eq!(key_of("a b", None), key("a b"));
        let all = [
            key_of("a b", None),
            key_of("ab", None),
            key_of("a", Some("b")),
            key_of("a b", Some("")),
            key_of("", Some("a b")),
            key_of("b", Some("a")),
        ];
        let mut seen = Seen::default();
        assert!(all.iter().all(|&key| seen.insert(key)) && all.iter().all(|&key| !seen.insert(key)));
        assert!(seen.contains(all[0]) && !seen.contains(key("c")));
    }
}
