//! Whether one model can be made of another.

use crate::error::explained;
use anyhow::Result;
use std::path::Path;
use student::bert::BertConfig;

/// Refuses to make a model of another, which lies in `file`, that is not a wider one of the same kind.
///
/// # Errors
/// When the other is narrower anywhere, or differs in more than widths.
pub fn check(file: &Path, wide: &BertConfig, narrow: &BertConfig) -> Result<()> {
    let file = file.display();
    let sizes = [
        ("a width of", wide.hidden_size, narrow.hidden_size),
        ("neurons in each layer:", wide.intermediate_size, narrow.intermediate_size),
        ("attention heads:", wide.num_attention_heads, narrow.num_attention_heads),
    ];
    for (what, has, wants) in sizes {
        if has < wants {
            return Err(explained(
                format!("`{file}` has {what} {has}, the student {wants}"),
                "a model can be made narrower, not wider; choose a narrower student",
            ));
        }
    }
    let as_many = [
        ("words", wide.vocab_size, narrow.vocab_size),
        ("positions", wide.max_position_embeddings, narrow.max_position_embeddings),
        ("segments", wide.type_vocab_size, narrow.type_vocab_size),
    ];
    for (what, has, wants) in as_many {
        if has != wants {
            return Err(explained(
                format!("`{file}` has {has} {what}, the student {wants}"),
                "its layers are made narrower, and nothing else; choose a student with as many",
            ));
        }
    }
    Ok(())
}
