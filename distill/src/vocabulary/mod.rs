//! Vocabulary trimming: a model without the word pieces that its texts do not need.
//!
//! Two thirds of a small BERT are a table with a row for each of 30,522 word pieces, of which one task's texts use a
//! part. A [`Plan`] decides which pieces stay, [`stage`] makes the model without the others in a temporary folder, and
//! proves it there before anything is written elsewhere.
//!
//! # Why the pieces of the corpus stay the same
//!
//! WordPiece takes a word from left to right, and at each place the longest piece that fits. Let `V` be the vocabulary,
//! `V' ⊆ V` what is kept, and let `V'` have every piece that is *chosen* for a word `w` under `V`. By induction over the
//! places both matches stand at the same place `s`; of the pieces that fit at `s`, those in `V'` are among those in `V`,
//! and the longest of `V` is in `V'`, so it is the longest of `V'` too, and both go on behind it. Where nothing of `V`
//! fits, nothing of `V'` does, and both call `w` unknown.
//!
//! "Chosen" is not "given out": a word that turns out to be unknown gives out `[UNK]` alone, but pieces were chosen on
//! the way. If these were dropped, another way might lead through. [`WordPiece::choose`] therefore tells them all, and
//! they are kept.
//!
//! # Why nothing becomes unencodable
//!
//! Every piece of one character is kept, at the start of a word and within one, and so is every piece with a character
//! that is no piece of its own there. A word all of whose characters are such pieces is never unknown, since at each
//! place at least the next character fits. Texts beyond the corpus may get other, shorter pieces than before.

mod definition;
mod files;
mod numbering;
mod plan;
mod proof;
mod stage;
mod word_piece;

pub use definition::Definition;
pub use numbering::Numbering;
pub use plan::{Plan, Texts};
pub use stage::{Model, Staged, Trimmed, stage};
pub use word_piece::WordPiece;

#[cfg(test)]
mod tests;
