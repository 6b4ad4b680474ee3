//! What is wide in the width of a narrow student: the word embeddings of a teacher, or all of an encoder.

mod directions;
mod encoder;
mod factors;
mod fit;
mod head;
mod table;
#[cfg(test)]
mod tests;

pub use encoder::{Narrowed, Wide};
pub use fit::check;
pub use table::narrowed;
