//! Errors that say what to do: a message, and a hint on its own line.
//!
//! Library crates carry their hints in their own error enums; the commands attach one with [`explained`]. [`hint_of`]
//! finds it wherever it sits in the chain, so that `main` can print it once, last.

use std::fmt;

/// An error message together with the way out.
#[derive(Debug)]
pub struct Explained {
    message: String,
    hint: String,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Explained {}

/// Returns an error that says `message`, and `hint` on a line of its own.
pub fn explained(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Explained { message: message.into(), hint: hint.into() })
}

/// Returns the first hint in the error's chain.
pub fn hint_of(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        cause
            .downcast_ref::<Explained>()
            .map(|explained| explained.hint.clone())
            .or_else(|| cause.downcast_ref::<teacher::Error>().and_then(teacher::Error::hint))
            .or_else(|| cause.downcast_ref::<student::Error>().and_then(student::Error::hint))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_hint_is_found_beneath_added_context() {
        let error = Err::<(), _>(explained("no such label", "did you mean `positive`?"))
            .context("train.tsv:17")
            .expect_err("an error was made");
        assert_eq!(hint_of(&error).as_deref(), Some("did you mean `positive`?"));
        assert_eq!(format!("{error:#}"), "train.tsv:17: no such label");
    }
}
