//! Which parts of a text are words, in any language, and how another word is written in their place.
//!
//! Words are those of Unicode's text segmentation (UAX #29). Where a script writes them without spaces that leaves single
//! characters, of which the longest run that a table of words knows is taken as one word.

use std::borrow::Cow;
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// The most characters that are tried as one word where there are no spaces.
const MOST_JOINED: usize = 8;

/// Returns the places of the words of a text that another may stand in for: those of letters alone. `is_known` is asked
/// where a word may go on without a space.
pub fn words(text: &str, is_known: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let segments: Vec<Range<usize>> =
        text.unicode_word_indices().map(|(start, word)| start..start + word.len()).collect();
    let mut words = Vec::new();
    for run in segments.chunk_by(|a, b| a.end == b.start) {
        let mut rest = run;
        while let [first, ..] = rest {
            let joined = |taken: &usize| is_known(&text[first.start..rest[taken - 1].end]);
            let taken = (2..=rest.len().min(MOST_JOINED)).rev().find(joined).unwrap_or(1);
            words.push(first.start..rest[taken - 1].end);
            rest = &rest[taken..];
        }
    }
    words.retain(|word| is_word(&text[word.clone()]));
    words
}

/// Says whether a word is of letters alone, marks on them included, and of more than one, unless one says a syllable.
pub fn is_word(word: &str) -> bool {
    let is_letter = |letter: &str| letter.chars().next().is_some_and(char::is_alphabetic);
    let letters = word.chars().filter(|c| c.is_alphabetic()).take(2).count();
    (letters > 1 || word.chars().next().is_some_and(stands_alone)) && word.graphemes(true).all(is_letter)
}

/// Returns a word as it is compared with others.
pub fn fold(word: &str) -> String {
    word.to_lowercase()
}

/// Writes a word in capitals, or with a capital first, where the word in whose place it stands is written so. A word
/// that brings capitals of its own keeps them.
pub fn written_like<'a>(word: &'a str, original: &str) -> Cow<'a, str> {
    if word.chars().any(char::is_uppercase) {
        return word.into();
    }
    let mut letters = original.chars();
    let starts_high = letters.next().is_some_and(char::is_uppercase);
    let is_high = starts_high && !original.chars().any(char::is_lowercase);
    if is_high && letters.any(char::is_uppercase) {
        return word.to_uppercase().into();
    }
    let mut rest = word.chars();
    match rest.next() {
        Some(first) if starts_high => first.to_uppercase().chain(rest).collect::<String>().into(),
        _ => word.into(),
    }
}

/// Says whether a character is a word in itself: a Chinese character, or a Korean syllable.
fn stands_alone(c: char) -> bool {
    matches!(c,
        '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}'
        | '\u{ac00}'..='\u{d7a3}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(text: &'a str, known: &[&str]) -> Vec<&'a str> {
        words(text, |word| known.contains(&word)).into_iter().map(|word| &text[word]).collect()
    }

    #[test]
    fn words_of_letters_are_found_in_any_script() {
        for (text, expected) in [
            ("It's a well-made film , 3d in 1999 !", &["well", "made", "film", "in"][..]),
            ("Ünïcödé  façade\t«crème»", &["Ünïcödé", "façade", "crème"]),
            ("e\u{301}te\u{301}", &["e\u{301}te\u{301}"]),
            ("हिन्दी में किताब", &["हिन्दी", "में", "किताब"]),
            ("מְאוֹד טוב", &["מְאוֹד", "טוב"]),
            ("мир, дружба", &["мир", "дружба"]),
            ("물 한잔", &["물", "한잔"]),
            ("東京へ", &["東", "京"]),
            ("a I 5 _x_ e.g. http://x.y/ab 🙂", &["http", "ab"]),
            ("", &[]),
            ("\u{0}\u{301}\u{200d}", &[]),
        ] {
            assert_eq!(found(text, &[]), expected, "{text}");
        }
    }

    #[test]
    fn without_spaces_the_longest_known_words_are_taken() {
        assert_eq!(
            found("我喜欢东京大学tower", &["喜欢", "东京", "东京大学"]),
            ["我", "喜欢", "东京大学", "tower"]
        );
        assert_eq!(found("กขค", &["กข"]), ["กข"]);
    }

    #[test]
    fn a_word_is_written_as_the_one_whose_place_it_takes() {
        for (word, original, expected) in [
            ("movie", "film", "movie"),
            ("movie", "Film", "Movie"),
            ("movie", "FILM", "MOVIE"),
            ("éclair", "Über", "Éclair"),
            ("straße", "WEG", "STRASSE"),
            ("movie", "I", "Movie"),
            ("iPhone", "PHONE", "iPhone"),
            ("movie", "fILM", "movie"),
            ("京", "Film", "京"),
            ("movie", "東京", "movie"),
        ] {
            assert_eq!(written_like(word, original), expected, "{word} for {original}");
        }
    }
}
