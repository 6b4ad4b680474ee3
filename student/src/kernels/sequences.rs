//! Loops over the sequences of a packed batch.

use rayon::prelude::*;

/// Calls `f(b, pieces)` for each sequence `b`, with that sequence's piece of each of `K` buffers.
///
/// `buffers`: each a buffer and the offsets, [B + 1], that cut it into the pieces of the sequences.
pub(crate) fn for_pieces<T: Send, const K: usize>(
    buffers: [(&mut [T], &[usize]); K],
    f: impl Fn(usize, [&mut [T]; K]) + Sync,
) {
    let count = buffers[0].1.len() - 1;
    let mut columns = buffers.map(|(buffer, offsets)| cut(buffer, offsets).into_iter());
    let pieces: Vec<[&mut [T]; K]> = (0..count)
        .map(|_| {
            columns
                .each_mut()
                .map(|column| column.next().expect("every buffer has a piece for each sequence"))
        })
        .collect();
    pieces.into_par_iter().enumerate().for_each(|(b, pieces)| f(b, pieces));
}

fn cut<'a, T>(mut rest: &'a mut [T], offsets: &[usize]) -> Vec<&'a mut [T]> {
    offsets
        .windows(2)
        .map(|pair| {
            let (piece, tail) = std::mem::take(&mut rest).split_at_mut(pair[1] - pair[0]);
            rest = tail;
            piece
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sequence_gets_its_own_piece_of_every_buffer() {
        let (mut a, mut b) = (vec![0; 6], vec![0; 3]);
        for_pieces([(&mut a, &[0, 1, 4, 6][..]), (&mut b, &[0, 1, 2, 3][..])], |i, [a, b]| {
            a.fill(i + 1);
            b[0] = a.len();
        });
        assert_eq!((a, b), (vec![1, 2, 2, 2, 3, 3], vec![1, 3, 2]));
    }
}
