//! Token sequences, and what is checked of them before a graph sees them.
//!
//! ONNX Runtime would notice most of it too, but it names neither the sequence nor the cause.

use crate::{Error, ModelConfig, Signature};

/// One sequence with its special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens<'a> {
    /// Token ids.
    pub ids: &'a [u32],
    /// The segment of each token; read only where the graph wants it, and may be empty elsewhere.
    pub type_ids: &'a [u32],
}

/// Checks every sequence against the graph's inputs and what `config.json` says; `model` is what errors call the model.
pub(crate) fn check(
    sequences: &[Tokens<'_>],
    signature: &Signature,
    config: &ModelConfig,
    model: &str,
) -> Result<(), Error> {
    let limit = config.max_tokens().unwrap_or(usize::MAX);
    let vocab_size = config.vocab_size.unwrap_or(usize::MAX);
    for (sequence, tokens) in sequences.iter().enumerate() {
        let (ids, type_ids) = (tokens.ids.len(), tokens.type_ids.len());
        if ids == 0 {
            return Err(Error::EmptySequence { sequence });
        }
        if ids > limit {
            return Err(Error::SequenceTooLong { sequence, tokens: ids, limit, model: model.into() });
        }
        if signature.token_type_ids.is_some() && type_ids != ids {
            return Err(Error::TokenTypeCount { sequence, ids, type_ids });
        }
        if let Some(&id) = tokens.ids.iter().find(|&&id| id as usize >= vocab_size) {
            return Err(Error::TokenOutsideVocabulary { sequence, id, vocab_size, model: model.into() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::tests::signature_with;

    fn check_one(ids: &[u32], type_ids: &[u32], others: &[&str]) -> Result<(), Error> {
        let signature = signature_with(others);
        let config =
            ModelConfig { vocab_size: Some(10), max_position_embeddings: Some(4), ..ModelConfig::default() };
        let fine = Tokens { ids: &[1], type_ids: &[0] };
        check(&[fine, Tokens { ids, type_ids }], &signature, &config, "bert")
    }

    #[test]
    fn what_the_model_cannot_take_is_refused_by_number() {
        const TYPES: &[&str] = &["token_type_ids"];
        for (ids, type_ids, others, message) in [
            (&[][..], &[][..], &[][..], "sequence 1 has no tokens"),
            (&[1, 2, 3, 4, 5], &[], &[], "sequence 1 has 5 tokens, but `bert` takes at most 4"),
            (&[9, 10], &[], &[], "sequence 1 has token id 10, but the vocabulary of `bert` has 10 entries"),
            (&[1, 2], &[0], TYPES, "sequence 1 has 2 token ids but 1 token types"),
        ] {
            let error = check_one(ids, type_ids, others).expect_err(message);
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn what_fits_exactly_passes() {
        check_one(&[9, 0, 1, 2], &[], &[]).expect("the longest, with the last id");
        check_one(&[9], &[1], &["token_type_ids"]).expect("as many types as ids");
    }
}
