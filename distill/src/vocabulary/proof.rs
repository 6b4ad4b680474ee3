//! A trimmed model beside the whole one, on the corpus: the same pieces of every text, and the same logits.

use super::plan::{Plan, Texts};
use crate::asking::ask;
use crate::console::{Console, SharedProgress};
use crate::error::explained;
use crate::tokens::{Encodings, Tokenizer};
use anyhow::Result;
use ndarray::Array2;
use teacher::Teacher;

/// The texts of the corpus whose logits are compared: fewer than this, chosen so that they hold every piece they can.
pub const MAX_COMPARED: usize = 4096;

/// The same texts in old ids and in new ones.
#[derive(Debug, Default)]
pub struct Sample {
    /// In old ids.
    pub old: Encodings,
    /// In new ids.
    pub new: Encodings,
    /// The distinct pieces in them.
    pub pieces: usize,
}

/// Encodes every text of the corpus with both tokenizers, and returns texts that hold between them as many of the pieces
/// as [`MAX_COMPARED`] texts can: the first text with a piece that none before it has.
///
/// # Errors
/// When a text gets other pieces, a kept piece another id than the plan's, or the corpus is not what it was.
pub fn compare_tokens(plan: &Plan, old: &Tokenizer, new: &Tokenizer, corpus: &Texts<'_>) -> Result<Sample> {
    for (id, piece) in plan.definition.pieces() {
        if new.id_of(piece) != plan.numbering.new_id(id) {
            return Err(fault(format!("the piece `{piece}` got the id {:?}", new.id_of(piece))));
        }
    }
    let mut seen = vec![false; plan.numbering.len()];
    let mut sample = Sample::default();
    let fingerprint = corpus.chunks(&mut |rows| {
        let texts: Vec<_> = rows.iter().map(|row| (row.text.as_str(), row.text_pair.as_deref())).collect();
        let [before, after] = [old, new].map(|tokenizer| tokenizer.encode(&texts, corpus.threads));
        let (before, after) = (before?, after?);
        for (i, row) in rows.iter().enumerate() {
            let ((ids, kinds), (new_ids, new_kinds)) = (before.get(i), after.get(i));
            let mapped = ids.iter().map(|&id| plan.numbering.new_id(id));
            if kinds != new_kinds || !mapped.eq(new_ids.iter().copied().map(Some)) {
                return Err(fault(format!("line {} of the corpus gets other pieces", row.line)));
            }
            let fresh =
                new_ids.iter().filter(|&&id| !std::mem::replace(&mut seen[id as usize], true)).count();
            if fresh > 0 && sample.old.len() < MAX_COMPARED {
                sample.pieces += fresh;
                sample.old.push(ids.iter().copied(), kinds.iter().copied());
                sample.new.push(new_ids.iter().copied(), new_kinds.iter().copied());
            }
        }
        Ok(())
    })?;
    if fingerprint != plan.fingerprint {
        return Err(explained(
            format!("`{}` changed while it was read", corpus.path.display()),
            "give a file that stays as it is; a pipe can be read only once",
        ));
    }
    Ok(sample)
}

/// Asks both models about the sample, which must get the same logits to the last bit.
///
/// # Errors
/// When a logit differs, or a model fails.
pub fn compare_logits(
    sample: &Sample,
    old: &mut Teacher,
    new: &mut Teacher,
    console: &Console,
) -> Result<()> {
    let progress = SharedProgress::new(console.progress("prove", 2 * sample.old.len()), "texts");
    let advance = |more| progress.advance(more);
    let before = ask(old, &sample.old, 0..sample.old.len(), &advance)?;
    let after = ask(new, &sample.new, 0..sample.new.len(), &advance)?;
    progress.finish();
    match largest_difference(&before, &after) {
        Some(0.0) => Ok(()),
        Some(difference) => Err(fault(format!("logits differ by {difference:.1e}"))),
        None => Err(fault(format!("logits have the shapes {:?} and {:?}", before.dim(), after.dim()))),
    }
}

fn largest_difference(before: &Array2<f32>, after: &Array2<f32>) -> Option<f32> {
    let differences = || before.iter().zip(after).map(|(a, b)| (a - b).abs());
    (before.dim() == after.dim()).then(|| differences().fold(0.0_f32, f32::max))
}

fn fault(what: String) -> anyhow::Error {
    explained(
        format!("the trimmed model is not the same on the corpus: {what}; nothing was written"),
        "leave `--trim-vocab` away; and please report the model's tokenizer, since this must not happen",
    )
}
