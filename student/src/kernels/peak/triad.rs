//! The peak of memory: the triad of McCalpin's STREAM benchmark (1995).

use crate::kernels::vectorized;
use rayon::prelude::*;

/// Elements that one task handles: large enough to stream, small enough to share out.
const BLOCK: usize = 1 << 16;

/// Computes `a = b + factor · c` and returns the bytes that were asked for: twelve for each element.
///
/// A processor may also read `a` before it writes it; as in STREAM, that is not counted.
pub(crate) fn triad(a: &mut [f32], b: &[f32], c: &[f32], factor: f32) -> f64 {
    let parts = a.par_chunks_mut(BLOCK).zip(b.par_chunks(BLOCK)).zip(c.par_chunks(BLOCK));
    parts.for_each(|((a, b), c)| {
        vectorized(|| a.iter_mut().zip(b).zip(c).for_each(|((a, &b), &c)| *a = b + factor * c));
    });
    (3 * size_of::<f32>() * a.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_written_and_counted() {
        let len = BLOCK + 17;
        let (mut a, b, c) = (vec![0.0; len], vec![1.0; len], vec![2.0; len]);
        assert_eq!(triad(&mut a, &b, &c, 3.0), 12.0 * len as f64);
        assert!(a.iter().all(|&a| a == 7.0));
    }
}
