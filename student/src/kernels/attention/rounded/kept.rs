//! What dropout keeps of the probabilities of 32 queries, a bit for each key.

use super::strips;
use crate::kernels::Mask;
use crate::kernels::packed::SIDE;

/// For each square of a strip of queries, and for each query in it: bit `k` tells whether key `k` is kept.
#[derive(Default)]
pub(super) struct Kept {
    squares: Vec<[u32; SIDE]>,
    words: Vec<u32>,
}

impl Kept {
    /// Draws the mask again. `first`: the number of the probability of the strip's first query and the first key.
    pub fn draw(&mut self, mask: Option<Mask>, first: usize, keys: usize) -> &[[u32; SIDE]] {
        self.squares.clear();
        let Some(mask) = mask else {
            self.squares.resize(strips(keys), [!0; SIDE]);
            return &self.squares;
        };
        // Words hold 32 probabilities in the order of their numbers, from a multiple of 32 on. One more is read.
        let offset = first % SIDE;
        self.words.resize((offset + SIDE * keys) / SIDE + 2, 0);
        mask.kept((first - offset) as u32, &mut self.words);
        for square in 0..strips(keys) {
            self.squares.push(std::array::from_fn(|query| {
                let number = offset + query * keys + square * SIDE;
                let [low, high] = [0, 1].map(|next| u64::from(self.words[number / SIDE + next]));
                ((high << SIDE | low) >> (number % SIDE)) as u32
            }));
        }
        &self.squares
    }
}
