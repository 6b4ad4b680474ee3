//! Conditions such as `accuracy_drop > 1.0 or p50_ms > 3`, by which a comparison decides whether a script goes on.
//!
//! ```text
//! condition  = both { "or" both }
//! both       = one { "and" one }
//! one        = "not" one | "(" condition ")" | sum comparison sum
//! comparison = "<" | "<=" | ">" | ">=" | "==" | "!="
//! sum        = NUMBER | NAME
//! ```

use crate::error::explained;
use crate::names::{list, nearest};
use anyhow::Result;

/// A condition on numbers that have names.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    text: String,
    root: Node,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    Compare(Side, Comparison, Side),
}

#[derive(Clone, Debug, PartialEq)]
enum Side {
    Number(f64),
    Name(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    Unequal,
}

/// The numbers that a condition may be about; one that has no value cannot be decided on.
pub type Values = Vec<(String, Option<f64>)>;

/// Brackets and negations may be nested so deep.
const DEPTH: usize = 64;

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// When it is none; the message says where.
    pub fn parse(text: &str) -> Result<Self> {
        let tokens = tokens(text)?;
        let mut reader = Reader { text, tokens: &tokens, at: 0, depth: 0 };
        let root = reader.any()?;
        match reader.peek() {
            None => Ok(Condition { text: text.to_owned(), root }),
            Some(_) => Err(reader.unexpected("`and`, `or` or the end")),
        }
    }

    /// Returns it as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Makes sure that every name in it is one of these.
    ///
    /// # Errors
    /// When one is not.
    pub fn check(&self, names: &[String]) -> Result<()> {
        self.root.names().into_iter().try_for_each(|name| {
            if names.iter().any(|known| known == name) {
                return Ok(());
            }
            let hint = match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", all(names)),
            };
            Err(explained(format!("`{name}` in the condition `{}` is not measured here", self.text), hint))
        })
    }

    /// Says whether it holds.
    ///
    /// # Errors
    /// When a name in it has no value.
    pub fn holds(&self, values: &Values) -> Result<bool> {
        self.root.holds(&|name| {
            let value = values.iter().find(|(known, _)| known == name).and_then(|(_, value)| *value);
            value.ok_or_else(|| {
                explained(
                    format!("`{name}` in the condition `{}` has no value", self.text),
                    "it is not defined on this data, or was not measured",
                )
            })
        })
    }

    /// Returns the names in it.
    pub fn names(&self) -> Vec<&str> {
        self.root.names()
    }
}

/// Lists all names: whoever mistypes one wants to see them.
fn all(names: &[String]) -> String {
    names.chunks(12).map(|some| list(some.iter().map(String::as_str))).collect::<Vec<_>>().join(", ")
}

impl Node {
    fn holds(&self, value: &dyn Fn(&str) -> Result<f64>) -> Result<bool> {
        let of = |side: &Side| match side {
            Side::Number(number) => Ok(*number),
            Side::Name(name) => value(name),
        };
        // Every side is looked at, so that a condition with a number that is missing never passes by chance.
        Ok(match self {
            Node::Any(nodes) => {
                nodes.iter().map(|node| node.holds(value)).collect::<Result<Vec<_>>>()?.contains(&true)
            }
            Node::All(nodes) => {
                !nodes.iter().map(|node| node.holds(value)).collect::<Result<Vec<_>>>()?.contains(&false)
            }
            Node::Not(node) => !node.holds(value)?,
            Node::Compare(left, comparison, right) => comparison.holds(of(left)?, of(right)?),
        })
    }

    fn names(&self) -> Vec<&str> {
        match self {
            Node::Any(nodes) | Node::All(nodes) => nodes.iter().flat_map(Node::names).collect(),
            Node::Not(node) => node.names(),
            Node::Compare(left, _, right) => [left, right]
                .into_iter()
                .filter_map(|side| if let Side::Name(name) = side { Some(name.as_str()) } else { None })
                .collect(),
        }
    }
}

impl Comparison {
    fn named(sign: &str) -> Option<Self> {
        Some(match sign {
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            "==" => Comparison::Equal,
            "!=" => Comparison::Unequal,
            _ => return None,
        })
    }

    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Comparison::Less => left < right,
            Comparison::LessOrEqual => left <= right,
            Comparison::Greater => left > right,
            Comparison::GreaterOrEqual => left >= right,
            Comparison::Equal => left == right,
            Comparison::Unequal => left != right,
        }
    }
}

/// A word, a number, a sign or a bracket, and the place of its first character, from 1.
type Token<'a> = (&'a str, usize);

fn tokens(text: &str) -> Result<Vec<Token<'_>>> {
    let kind = |c: char| match c {
        _ if c.is_ascii_alphanumeric() || "_.-+".contains(c) => 1,
        '<' | '>' | '=' | '!' => 2,
        '(' => 3,
        ')' => 4,
        _ if c.is_whitespace() => 0,
        _ => 5,
    };
    let mut tokens: Vec<(usize, usize, u8)> = Vec::new();
    for (place, (start, c)) in text.char_indices().enumerate() {
        let end = start + c.len_utf8();
        match (kind(c), tokens.last_mut()) {
            (0, _) => {}
            (5, _) => return Err(not_understood(text, place + 1, &format!("`{c}` has no meaning here"))),
            (kind @ 1..=2, Some((_, last, same))) if *last == start && *same == kind => *last = end,
            (kind, _) => tokens.push((start, end, kind)),
        }
    }
    Ok(tokens
        .into_iter()
        .map(|(start, end, _)| (&text[start..end], text[..start].chars().count() + 1))
        .collect())
}

struct Reader<'a> {
    text: &'a str,
    tokens: &'a [Token<'a>],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).map(|(token, _)| *token)
    }

    fn take(&mut self, token: &str) -> bool {
        let taken = self.peek() == Some(token);
        self.at += usize::from(taken);
        taken
    }

    fn any(&mut self) -> Result<Node> {
        let mut nodes = vec![self.all()?];
        while self.take("or") {
            nodes.push(self.all()?);
        }
        Ok(Node::Any(nodes))
    }

    fn all(&mut self) -> Result<Node> {
        let mut nodes = vec![self.one()?];
        while self.take("and") {
            nodes.push(self.one()?);
        }
        Ok(Node::All(nodes))
    }

    fn one(&mut self) -> Result<Node> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.unexpected("fewer brackets"));
        }
        let node = if self.take("not") {
            Node::Not(Box::new(self.one()?))
        } else if self.take("(") {
            let inner = self.any()?;
            if !self.take(")") {
                return Err(self.unexpected("`)`"));
            }
            inner
        } else {
            let left = self.side()?;
            let Some(comparison) = self.peek().and_then(Comparison::named) else {
                return Err(self.unexpected("`<`, `<=`, `>`, `>=`, `==` or `!=`"));
            };
            self.at += 1;
            Node::Compare(left, comparison, self.side()?)
        };
        self.depth -= 1;
        Ok(node)
    }

    fn side(&mut self) -> Result<Side> {
        let side = self.peek().and_then(|token| match token.parse::<f64>() {
            Ok(number) if number.is_finite() => Some(Side::Number(number)),
            _ => {
                let word = token.starts_with(|c: char| c.is_ascii_alphabetic());
                let reserved = ["and", "or", "not"].contains(&token);
                (word && !reserved).then(|| Side::Name(token.to_owned()))
            }
        });
        self.at += usize::from(side.is_some());
        side.ok_or_else(|| self.unexpected("a name or a number"))
    }

    fn unexpected(&self, expected: &str) -> anyhow::Error {
        let (found, place) = match self.tokens.get(self.at) {
            Some((token, place)) => (format!("`{token}`"), *place),
            None => ("the end".to_owned(), self.text.chars().count() + 1),
        };
        not_understood(self.text, place, &format!("expected {expected}, found {found}"))
    }
}

fn not_understood(text: &str, place: usize, reason: &str) -> anyhow::Error {
    explained(
        format!("the condition `{text}` is not understood at character {place}: {reason}"),
        "write it as in `--fail-if \"accuracy_drop > 1.0 or p50_ms > 3\"`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;
    use proptest::prelude::*;

    fn holds(text: &str) -> Result<bool> {
        let values = [("accuracy_drop", Some(1.5)), ("p50_ms", Some(2.0)), ("nll", None)];
        let values = values.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Condition::parse(text)?.holds(&values)
    }

    #[test]
    fn conditions_are_read_as_they_are_meant() {
        for (text, expected) in [
            ("accuracy_drop > 1.0 or p50_ms > 3", true),
            ("accuracy_drop > 1.0 and p50_ms > 3", false),
            ("p50_ms > 3 or accuracy_drop>1 and p50_ms<=2", true),
            ("not (accuracy_drop >= 1.5)", false),
            ("not not p50_ms == 2e0", true),
            ("-1 < accuracy_drop", true),
            ("p50_ms != 2", false),
        ] {
            assert_eq!(holds(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_located() {
        for (text, message) in [
            ("", "at character 1: expected a name or a number, found the end"),
            ("a >", "at character 4: expected a name or a number, found the end"),
            ("a > 1 b", "at character 7: expected `and`, `or` or the end, found `b`"),
            ("a = 1", "at character 3: expected `<`"),
            ("(a > 1", "at character 7: expected `)`"),
            ("a > 1 or or", "at character 10: expected a name or a number, found `or`"),
            ("a > 1; b", "at character 6: `;` has no meaning here"),
            ("ä > 1", "at character 1: `ä` has no meaning here"),
            ("a > nan", "has no value"),
            ("nll > 1", "`nll` in the condition `nll > 1` has no value"),
            ("accuracy_drop > 1 or nll > 1", "has no value"),
        ] {
            let error = holds(text).unwrap_err();
            assert!(error.to_string().contains(message), "{text}: {error}");
            assert!(hint_of(&error).is_some());
        }
        assert!(holds(&"(".repeat(100_000)).is_err());
    }

    #[test]
    fn a_name_that_is_not_measured_is_told_before_the_work() {
        let names = ["accuracy_drop".to_owned(), "p50_ms".to_owned()];
        let check = |text: &str| Condition::parse(text).unwrap().check(&names);
        check("p50_ms > 1 or not accuracy_drop < 2").unwrap();
        let error = check("acuracy_drop > 1").unwrap_err();
        assert_eq!(hint_of(&error).unwrap(), "did you mean `accuracy_drop`?");
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in ".{0,40}", words in "[a-c<>=!() 0-9.]{0,40}") {
            let _ = holds(&text);
            let _ = holds(&words);
        }
    }
}
