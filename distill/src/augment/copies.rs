//! The copies of a text: each of its words is replaced with probability p by one of its candidates (Jiao et al. 2020,
//! algorithm 1), and everything between the words stays as it is.

use super::neighbours::Candidates;
use super::words::written_like;
use crate::draws::Draws;
use std::ops::Range;

/// A word that may be replaced.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Where it stands, in bytes of the text.
    pub place: Range<usize>,
    /// What may stand there instead; at least one.
    pub candidates: Candidates,
}

/// Returns a copy in which each slot is filled anew with probability `replace`, each of its candidates equally likely.
/// The slots are in the order of the text. `draws`: those of this copy of this text and of no other.
pub fn copy(text: &str, slots: &[Slot], replace: f64, mut draws: Draws) -> String {
    let mut copy = String::with_capacity(text.len() + text.len() / 4);
    let mut done = 0;
    for Slot { place, candidates } in slots {
        // Drawn whether or not it is needed: a word's fate does not depend on that of the others.
        let chosen = draws.below(candidates.len());
        if draws.chance(replace) {
            copy.push_str(&text[done..place.start]);
            copy.push_str(&written_like(&candidates[chosen], &text[place.clone()]));
            done = place.end;
        }
    }
    copy.push_str(&text[done..]);
    copy
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn slots(text: &str, candidates: &[&str]) -> Vec<Slot> {
        let candidates: Candidates = candidates.iter().map(|word| Arc::from(*word)).collect();
        let places = super::super::words::words(text, |_| false);
        places.into_iter().map(|place| Slot { place, candidates: Arc::clone(&candidates) }).collect()
    }

    #[test]
    fn words_are_replaced_where_they_stand_and_all_else_stays() {
        let text = "  A Good,\tVERY good 東京-film\u{a0}!";
        let copied = copy(text, &slots(text, &["fine"]), 1.0, Draws::new(&[1, 0, 0, 0]));
        assert_eq!(copied, "  A Fine,\tFINE fine finefine-fine\u{a0}!");
        assert_eq!(copy(text, &slots(text, &["fine"]), 0.0, Draws::new(&[1, 0, 0, 0])), text);
        assert_eq!(copy("", &[], 1.0, Draws::new(&[1, 0, 0, 0])), "");
    }

    #[test]
    fn each_word_is_replaced_with_the_probability_and_each_candidate_is_as_likely() {
        let names = ["ab", "cd", "ef"];
        let slots = slots("xx yy", &names);
        let (copies, replace) = (20_000, 0.4);
        let mut counts = BTreeMap::<(usize, String), u32>::new();
        for number in 0..copies {
            let copied = copy("xx yy", &slots, replace, Draws::new(&[7, 3, 0, number]));
            for (slot, word) in copied.split(' ').enumerate() {
                *counts.entry((slot, word.to_owned())).or_default() += 1;
            }
        }
        for slot in 0..2 {
            for name in names {
                let share = replace / names.len() as f64;
                let deviation = (share * (1.0 - share) * copies as f64).sqrt();
                let found = f64::from(counts[&(slot, name.to_owned())]);
                assert!((found - share * copies as f64).abs() < 5.0 * deviation, "{slot} {name}: {found}");
            }
        }
    }
}
