//! Cuts a packed batch into tasks: some heads of one sequence each.

use super::head::{Backward, Forward, Heads, Scratch};
use super::single::{SingleBackward, SingleForward};
use crate::Real;
use crate::kernels::Mask;
use crate::kernels::simd::on_best_unit;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;
use std::ops::Range;

/// Multiplications in a product of one task: enough to be worth a thread's while.
const TASK: usize = 1 << 15;

/// Queries [Nq, H], keys and values [N, H] of a packed batch, and where its sequences begin.
pub(crate) struct Batch<'a, F> {
    pub q: ArrayView2<'a, F>,
    pub k: ArrayView2<'a, F>,
    pub v: ArrayView2<'a, F>,
    pub q_offsets: &'a [usize],
    pub offsets: &'a [usize],
    pub heads: usize,
    pub scale: F,
    pub mask: Option<Mask>,
}

/// Some columns of some rows of a matrix.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a, F> {
    /// The elements from the first one on.
    pub data: &'a [F],
    /// Elements from one row to the next.
    pub stride: usize,
    pub rows: usize,
    pub width: usize,
}

impl<'a, F> Strided<'a, F> {
    /// Returns the rows.
    pub fn iter(self) -> impl Iterator<Item = &'a [F]> {
        self.data.chunks(self.stride).take(self.rows).map(move |row| &row[..self.width])
    }
}

/// What turns a row of scores into probabilities again: `p = e^(s - max) · inverse_sum`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Normaliser<F> {
    pub max: F,
    pub inverse_sum: F,
}

/// Some heads of one sequence.
struct Task {
    queries: Range<usize>,
    keys: Range<usize>,
    heads: Range<usize>,
    /// The number of the first probability of the sequence's first head.
    first: usize,
}

/// Returns the context [Nq, H] and what backward needs to know of each row and head, [Nq * A].
pub(crate) fn forward<F: Real>(batch: &Batch<'_, F>) -> (Array2<F>, Vec<Normaliser<F>>) {
    let mut context = Array2::zeros(batch.q.dim());
    let none = Normaliser { max: F::zero(), inverse_sum: F::zero() };
    let mut normalisers = vec![none; batch.q.nrows() * batch.heads];
    let (tasks, width) = (batch.tasks(), batch.width());
    let contexts = cut(context.view_mut(), &tasks, |task| &task.queries, width);
    let mut rest = &mut normalisers[..];
    let mut rows = Vec::new();
    for task in &tasks {
        rows.push(rest.split_off_mut(..task.heads.len() * task.queries.len()).expect("enough"));
    }
    tasks.par_iter().zip(contexts).zip(rows).for_each_init(
        Scratch::new,
        |scratch, ((task, context), normalisers)| {
            let forward = Forward { heads: batch.heads(task), context, normalisers, scratch };
            if task.queries.len() == 1 {
                on_best_unit(SingleForward(forward));
            } else {
                on_best_unit(forward);
            }
        },
    );
    (context, normalisers)
}

/// Returns the gradients of `q` [Nq, H], `k` and `v` [N, H].
pub(crate) fn backward<F: Real>(
    batch: &Batch<'_, F>,
    normalisers: &[Normaliser<F>],
    d_context: ArrayView2<'_, F>,
) -> [Array2<F>; 3] {
    let mut d = [batch.q, batch.k, batch.v].map(|x| Array2::zeros(x.dim()));
    let [d_q, d_k, d_v] = d.each_mut().map(|d| d.view_mut());
    let (tasks, width) = (batch.tasks(), batch.width());
    let d_q = cut(d_q, &tasks, |task| &task.queries, width);
    let d_k = cut(d_k, &tasks, |task| &task.keys, width);
    let d_v = cut(d_v, &tasks, |task| &task.keys, width);
    tasks.par_iter().zip(d_q).zip(d_k).zip(d_v).for_each_init(
        Scratch::new,
        |scratch, (((task, d_q), d_k), d_v)| {
            let first = task.queries.start * batch.heads + task.heads.start * task.queries.len();
            let backward = Backward {
                heads: batch.heads(task),
                normalisers: &normalisers[first..first + task.heads.len() * task.queries.len()],
                d_context: strided(&d_context, &task.queries, &task.heads, width),
                d_q,
                d_k,
                d_v,
                scratch,
            };
            if task.queries.len() == 1 {
                on_best_unit(SingleBackward(backward));
            } else {
                on_best_unit(backward);
            }
        },
    );
    d
}

impl<F: Real> Batch<'_, F> {
    /// Returns the width of a head.
    fn width(&self) -> usize {
        self.q.ncols() / self.heads
    }

    fn tasks(&self) -> Vec<Task> {
        let (mut tasks, mut first) = (Vec::new(), 0);
        for (q, k) in self.q_offsets.windows(2).zip(self.offsets.windows(2)) {
            let scores = (q[1] - q[0]) * (k[1] - k[0]);
            if scores > 0 {
                let longest = (q[1] - q[0]).max(k[1] - k[0]);
                let together = (TASK / (longest * self.width())).clamp(1, self.heads);
                let together = self.heads.div_ceil(self.heads.div_ceil(together));
                for head in (0..self.heads).step_by(together) {
                    let heads = head..(head + together).min(self.heads);
                    tasks.push(Task { queries: q[0]..q[1], keys: k[0]..k[1], heads, first });
                }
            }
            first += self.heads * scores;
        }
        tasks
    }

    fn heads(&self, task: &Task) -> Heads<'_, F> {
        let width = self.width();
        Heads {
            q: strided(&self.q, &task.queries, &task.heads, width),
            k: strided(&self.k, &task.keys, &task.heads, width),
            v: strided(&self.v, &task.keys, &task.heads, width),
            heads: task.heads.len(),
            scale: self.scale,
            mask: self.mask,
            first: task.first + task.heads.start * task.queries.len() * task.keys.len(),
        }
    }
}

fn strided<'a, F>(
    x: &'a ArrayView2<'_, F>,
    rows: &Range<usize>,
    heads: &Range<usize>,
    width: usize,
) -> Strided<'a, F> {
    let stride = x.ncols();
    let data = &x.as_slice().expect("contiguous")[rows.start * stride + heads.start * width..];
    Strided { data, stride, rows: rows.len(), width: heads.len() * width }
}

/// Cuts `x` into the pieces that the tasks own: rows of a sequence, and columns of some heads, each `width` wide.
fn cut<'a, T>(
    x: ArrayViewMut2<'a, T>,
    tasks: &[Task],
    rows: impl Fn(&Task) -> &Range<usize>,
    width: usize,
) -> Vec<ArrayViewMut2<'a, T>> {
    let (mut rest, mut done) = (x, 0);
    let mut sequence = ArrayViewMut2::from_shape((0, 0), &mut []).expect("nothing has no shape to miss");
    let mut pieces = Vec::with_capacity(tasks.len());
    for task in tasks {
        if task.heads.start == 0 {
            let rows = rows(task);
            let (_, from) = rest.split_at(Axis(0), rows.start - done);
            (sequence, rest) = from.split_at(Axis(0), rows.len());
            done = rows.end;
        }
        let (piece, others) = sequence.split_at(Axis(1), task.heads.len() * width);
        sequence = others;
        pieces.push(piece);
    }
    pieces
}
