//! Cuts a packed batch into tasks: some heads of one sequence each.

use super::head::{Backward, Forward, Heads, Scratch};
use super::rounded;
use super::single::{SingleBackward, SingleForward};
use crate::Real;
use crate::kernels::Mask;
use crate::kernels::packed::Bf16Unit as Unit;
use crate::kernels::simd::on_best_unit;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;
use std::any::TypeId;
use std::ops::Range;

/// Multiplications in a product of one task: enough to be worth a thread's while.
const TASK: usize = 1 << 15;

/// Where the sequences of a packed batch begin, and what is done with each.
pub(crate) struct Batch<'a, F> {
    pub q_offsets: &'a [usize],
    pub offsets: &'a [usize],
    pub heads: usize,
    pub scale: F,
    pub mask: Option<Mask>,
    /// What multiplies in bfloat16, where `F` is `f32`; without it products are exact.
    pub unit: Option<Unit>,
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

/// How a task is computed.
enum Method {
    /// One query: products of a vector and a matrix.
    Single,
    /// Products in `F`.
    Exact,
    /// Products in bfloat16.
    Rounded(Unit),
}

/// Returns the context [Nq, H] and what backward needs to know of each row and head, [Nq * A].
///
/// Shapes: `q`: [Nq, H]; `k`, `v`: [N, H].
pub(crate) fn forward<F: Real>(
    batch: &Batch<'_, F>,
    [q, k, v]: [ArrayView2<'_, F>; 3],
) -> (Array2<F>, Vec<Normaliser<F>>) {
    let mut context = Array2::zeros(q.dim());
    let none = Normaliser { max: F::zero(), inverse_sum: F::zero() };
    let mut normalisers = vec![none; q.nrows() * batch.heads];
    let (tasks, width) = (batch.tasks(q.ncols()), q.ncols() / batch.heads);
    let contexts = cut(context.view_mut(), &tasks, |task| &task.queries, width);
    let (mut rest, mut done) = (&mut normalisers[..], 0);
    let mut rows = Vec::new();
    for task in &tasks {
        let own = batch.normalisers(task);
        rest.split_off_mut(..own.start - done).expect("enough");
        rows.push(rest.split_off_mut(..own.len()).expect("enough"));
        done = own.end;
    }
    tasks.par_iter().zip(contexts).zip(rows).for_each_init(
        Scratch::new,
        |scratch, ((task, context), normalisers)| {
            let [q, k, v] = [(q, &task.queries), (k, &task.keys), (v, &task.keys)]
                .map(|(x, rows)| piece(x, rows, &task.heads, width));
            let forward = Forward { heads: batch.heads(task), q, k, v, context, normalisers, scratch };
            match batch.method(task) {
                Method::Single => on_best_unit(SingleForward(forward)),
                Method::Exact => on_best_unit(forward),
                Method::Rounded(unit) => rounded::forward(unit, forward),
            }
        },
    );
    (context, normalisers)
}

/// Replaces `q` [Nq, H], `k` and `v` [N, H] by their gradients. `d_context`: [Nq, H].
///
/// A task reads its part of them before it writes there, while that is in a cache: new memory would be slower.
pub(crate) fn backward<F: Real>(
    batch: &Batch<'_, F>,
    [mut q, mut k, mut v]: [ArrayViewMut2<'_, F>; 3],
    normalisers: &[Normaliser<F>],
    d_context: ArrayView2<'_, F>,
) {
    for (queries, keys) in batch.idle() {
        q.slice_mut(s![queries, ..]).fill(F::zero());
        k.slice_mut(s![keys.clone(), ..]).fill(F::zero());
        v.slice_mut(s![keys, ..]).fill(F::zero());
    }
    let (tasks, width) = (batch.tasks(q.ncols()), q.ncols() / batch.heads);
    let q = cut(q, &tasks, |task| &task.queries, width);
    let k = cut(k, &tasks, |task| &task.keys, width);
    let v = cut(v, &tasks, |task| &task.keys, width);
    tasks.par_iter().zip(q).zip(k).zip(v).for_each_init(Scratch::new, |scratch, (((task, q), k), v)| {
        let backward = Backward {
            heads: batch.heads(task),
            q,
            k,
            v,
            normalisers: &normalisers[batch.normalisers(task)],
            d_context: piece(d_context, &task.queries, &task.heads, width),
            scratch,
        };
        match batch.method(task) {
            Method::Single => on_best_unit(SingleBackward(backward)),
            Method::Exact => on_best_unit(backward),
            Method::Rounded(unit) => rounded::backward(unit, backward),
        }
    });
}

impl<F: Real> Batch<'_, F> {
    /// Returns the queries and keys of each sequence.
    fn sequences(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let pairs = self.q_offsets.windows(2).zip(self.offsets.windows(2));
        pairs.map(|(q, k)| (q[0]..q[1], k[0]..k[1]))
    }

    /// Returns those that have no scores, since they lack queries or keys.
    fn idle(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        self.sequences().filter(|(queries, keys)| queries.is_empty() || keys.is_empty())
    }

    fn tasks(&self, hidden: usize) -> Vec<Task> {
        let (mut tasks, mut first) = (Vec::new(), 0);
        for (queries, keys) in self.sequences() {
            let scores = queries.len() * keys.len();
            if scores > 0 {
                let longest = queries.len().max(keys.len());
                let together = (TASK * self.heads / (longest * hidden)).clamp(1, self.heads);
                let together = self.heads.div_ceil(self.heads.div_ceil(together));
                for head in (0..self.heads).step_by(together) {
                    let heads = head..(head + together).min(self.heads);
                    tasks.push(Task { queries: queries.clone(), keys: keys.clone(), heads, first });
                }
            }
            first += self.heads * scores;
        }
        tasks
    }

    /// Returns which normalisers are a task's: head after head, row after row.
    fn normalisers(&self, task: &Task) -> Range<usize> {
        let first = task.queries.start * self.heads + task.heads.start * task.queries.len();
        first..first + task.heads.len() * task.queries.len()
    }

    /// Chooses by the shape alone, so that the same work gives the same bits.
    fn method(&self, task: &Task) -> Method {
        match self.unit {
            _ if task.queries.len() == 1 => Method::Single,
            Some(unit)
                if TypeId::of::<F>() == TypeId::of::<f32>()
                    && rounded::is_worthwhile(task.queries.len(), task.keys.len()) =>
            {
                Method::Rounded(unit)
            }
            _ => Method::Exact,
        }
    }

    fn heads(&self, task: &Task) -> Heads<F> {
        let (queries, keys, heads) = (task.queries.len(), task.keys.len(), task.heads.len());
        let first = task.first + task.heads.start * queries * keys;
        Heads { queries, keys, heads, scale: self.scale, mask: self.mask, first }
    }
}

/// Returns the rows of a sequence, and the columns of some heads, each `width` wide.
fn piece<'a, F>(
    x: ArrayView2<'a, F>,
    rows: &Range<usize>,
    heads: &Range<usize>,
    width: usize,
) -> ArrayView2<'a, F> {
    x.slice_move(s![rows.clone(), heads.start * width..heads.end * width])
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
