//! Learn how the teacher's tokens relate to each other, whatever its width and its heads.

use super::kl;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, s};
use std::ops::Range;
use student::Real;

/// Returns the divergence of self-attention relations, and its gradient with respect to the student's vectors.
///
/// The vectors are all queries, all keys or all values of a layer. They are cut into `heads` relation heads of width `d`,
/// whatever the heads of attention were: `R = softmax(x xᵀ / √d)`, `L = Σ_sequences 1 / (A_r T) Σ_a Σ_i KL(R_t ‖ R_s)`,
/// `dL/dx = (G + Gᵀ) x / √d` with `G = (R_s − R_t) / (A_r T)`. Wang et al. 2021 (MiniLMv2), equations 5 to 8.
///
/// Shapes: `student`, returned gradient: [N, H]; `teacher`: [N, H of the teacher]; where sequences begin: [B + 1]. The
/// value is in nats, summed over sequences.
pub fn relation_kl<F: Real>(
    student: ArrayView2<'_, F>,
    teacher: ArrayView2<'_, F>,
    offsets: &[usize],
    heads: usize,
) -> (F, Array2<F>) {
    let mut gradient = Array2::zeros(student.dim());
    let mut sum = F::zero();
    for pair in offsets.windows(2).filter(|pair| pair[0] < pair[1]) {
        let share = F::one() / F::of((heads * (pair[1] - pair[0])) as f64);
        for head in 0..heads {
            let [x, teacher] = [student, teacher].map(|x| part(x, pair[0]..pair[1], head, heads));
            let (value, mut d) = kl(relations(x).view(), relations(teacher).view(), F::one());
            sum += value * share;
            d = &d + &d.t();
            let columns = columns(student, head, heads);
            let into = gradient.slice_mut(s![pair[0]..pair[1], columns]);
            let scale = share / F::of(x.ncols() as f64).sqrt();
            into.into_iter().zip(d.dot(&x)).for_each(|(into, d)| *into = scale * d);
        }
    }
    (sum, gradient)
}

/// Returns `x xᵀ / √d`, [T, T].  `x`: [T, d].
fn relations<F: Real>(x: ArrayView2<'_, F>) -> Array2<F> {
    let mut relations = Array2::zeros((x.nrows(), x.nrows()));
    let scale = F::of(x.ncols() as f64).sqrt().recip();
    general_mat_mul(scale, &x, &x.t(), F::zero(), &mut relations);
    relations
}

fn part<F>(x: ArrayView2<'_, F>, rows: Range<usize>, head: usize, heads: usize) -> ArrayView2<'_, F> {
    let columns = columns(x, head, heads);
    x.slice_move(s![rows, columns])
}

fn columns<F>(x: ArrayView2<'_, F>, head: usize, heads: usize) -> Range<usize> {
    let width = x.ncols() / heads;
    head * width..(head + 1) * width
}
