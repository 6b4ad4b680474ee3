//! Names in messages: which there are, and which of them was probably meant.

/// Returns the candidate that `name` most likely stands for, or nothing if none is near.
///
/// Near is an edit distance (insertions, deletions, substitutions, case ignored) of at most a third of the
/// name's length, and at least one. Of equally near candidates the first wins.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.to_lowercase().chars().take(MAX_CHARS).collect();
    let limit = (name.len() / 3).max(1);
    let distances = candidates.into_iter().map(|candidate| {
        let other: Vec<char> = candidate.to_lowercase().chars().take(MAX_CHARS).collect();
        (edit_distance(&name, &other), candidate)
    });
    distances
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, it)| it)
}

/// Lists names for a message. What should have been names may be whole texts, and thousands of them.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MAX_NAMES: usize = 12;
    const MAX_CHARS: usize = 40;
    let mut names = names.into_iter();
    let mut shown: Vec<String> = names
        .by_ref()
        .take(MAX_NAMES)
        .map(|name| match name.char_indices().nth(MAX_CHARS) {
            Some((end, _)) => format!("`{}…`", &name[..end]),
            None => format!("`{name}`"),
        })
        .collect();
    let left = names.count();
    if left > 0 {
        shown.push(format!("and {left} more"));
    }
    shown.join(", ")
}

/// Names are compared up to this many characters: the time is quadratic, and a "label" may be a whole text.
const MAX_CHARS: usize = 64;

/// Levenshtein's distance, one row of the table at a time.
fn edit_distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_or_none_is() {
        let names = ["negative", "positive", "label", "Sci/Tech"];
        for (typed, expected) in [
            ("positve", Some("positive")),
            ("Labels", Some("label")),
            ("lable", None), // two edits are too many for five letters
            ("sci-tech", Some("Sci/Tech")),
            ("sports", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, names), expected, "{typed}");
        }
    }

    #[test]
    fn a_list_is_cut_short() {
        assert_eq!(list(["a", "b"]), "`a`, `b`");
        let many = ["ä"; 100];
        assert!(list(many).ends_with("`ä`, and 88 more"));
        assert_eq!(list([many.concat().as_str()]), format!("`{}…`", "ä".repeat(40)));
    }

    #[test]
    fn edit_distances_are_those_of_the_textbook() {
        for (from, to, expected) in
            [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "abc", 0), ("flaw", "lawn", 2)]
        {
            let [from, to] = [from, to].map(|text| text.chars().collect::<Vec<_>>());
            assert_eq!(edit_distance(&from, &to), expected);
        }
    }
}
