//! The name of an example: a hash of its text, the same in every file and at every place in it.

use sha2::{Digest, Sha256};

/// The name of an example.
pub type Key = [u8; 16];

/// Returns the first 128 bits of the SHA-256 of an example's text and, if it has one, its pair.
///
/// Hashed are the text's length in bytes as a little-endian `u64`, the text, a byte that says whether a pair follows, and
/// the pair in the same way; so no two examples hash the same bytes. Among 10⁹ texts, two share a key with a probability
/// below 10⁻²⁰.
pub fn key(text: &str, text_pair: Option<&str>) -> Key {
    let mut hash = Sha256::new();
    add(&mut hash, text);
    hash.update([u8::from(text_pair.is_some())]);
    if let Some(text_pair) = text_pair {
        add(&mut hash, text_pair);
    }
    shortened(hash)
}

/// Returns the name of an example that is tokens and no text: of the same length, and none that a text has, since no text
/// is as long as what is hashed first, `u64::MAX`. The number of tokens, their ids and their segments follow, all in 32 bits
/// but the number.
pub fn key_of_tokens(ids: &[u32], segments: &[u32]) -> Key {
    let mut hash = Sha256::new();
    hash.update(u64::MAX.to_le_bytes());
    hash.update((ids.len() as u64).to_le_bytes());
    let mut numbers = Vec::with_capacity(8 * ids.len());
    numbers.extend(ids.iter().chain(segments).flat_map(|number| number.to_le_bytes()));
    hash.update(&numbers);
    shortened(hash)
}

fn shortened(hash: Sha256) -> Key {
    let digest: [u8; 32] = hash.finalize().into();
    let mut key = Key::default();
    key.copy_from_slice(&digest[..16]);
    key
}

fn add(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_key_is_the_documented_hash() {
        // printf '\x01\0\0\0\0\0\0\0a\x01\x02\0\0\0\0\0\0\0bc' | sha256sum
        assert_eq!(
            format!("{:x}", u128::from_be_bytes(key("a", Some("bc")))),
            "84dc0dd371ea64562068271f72b55dfb"
        );
    }

    #[test]
    fn tokens_are_named_by_ids_and_segments() {
        let keys = [
            key_of_tokens(&[1, 2], &[0, 0]),
            key_of_tokens(&[1, 2], &[0, 1]),
            key_of_tokens(&[1], &[2]),
            key_of_tokens(&[1, 2, 0], &[0, 0, 0]),
        ];
        assert_eq!(HashSet::from(keys).len(), 4);
        assert_eq!(keys[0], key_of_tokens(&[1, 2], &[0, 0]));
    }

    #[test]
    fn no_two_ways_to_cut_a_text_share_a_key() {
        let texts = ["", "a", "ab", "abc", "bc", "c", "a\0", "\0", "\u{1}"];
        let pairs = || texts.into_iter().map(Some).chain([None]);
        let keys: HashSet<Key> =
            texts.into_iter().flat_map(|text| pairs().map(move |pair| key(text, pair))).collect();
        assert_eq!(keys.len(), texts.len() * (texts.len() + 1));
    }
}
