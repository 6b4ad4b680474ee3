//! Takes the real tokens out of padded tensors, each number copied once.

use std::sync::Mutex;

use ndarray::{Array2, Array3, ArrayViewD, ArrayViewMut3, CowArray, Ix4, Zip, s};

use super::site::{Axis, Layout};
use crate::batching::Batch;

/// The places of one batch's rows in the packed arrays: for each array, for each sequence of the batch, its rows.
#[derive(Debug, Default)]
pub(super) struct Sink<'a> {
    pub rows: Vec<Vec<&'a mut [f32]>>,
}

/// What is wrong with a tensor that a graph gave out.
#[derive(Debug, PartialEq)]
pub(crate) enum Misfit {
    /// It has another shape than this one.
    Shape(String),
    /// This number stands in this row of the batch.
    NotFinite(usize, f32),
}

/// The sizes of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes<'a> {
    /// Tokens of each sequence.
    pub lengths: &'a [usize],
    /// Tokens of the longest.
    pub padded: usize,
    /// H.
    pub hidden: usize,
}

/// Shares packed arrays, [N, H] each, out among the batches; `lengths` are the tokens of each sequence.
pub(super) fn sinks<'a>(
    arrays: &'a mut [Array2<f32>],
    lengths: &[usize],
    batches: &[Batch],
) -> Vec<Mutex<Sink<'a>>> {
    let empty = |batch: &Batch| (0..batch.rows.len()).map(|_| Default::default()).collect();
    let mut sinks: Vec<Sink<'a>> =
        batches.iter().map(|batch| Sink { rows: arrays.iter().map(|_| empty(batch)).collect() }).collect();
    let mut places = vec![(0, 0); lengths.len()];
    for (b, batch) in batches.iter().enumerate() {
        batch.rows.iter().enumerate().for_each(|(row, &sequence)| places[sequence] = (b, row));
    }
    for (number, array) in arrays.iter_mut().enumerate() {
        let width = array.ncols();
        let mut rest = array.as_slice_mut().expect("a new array is contiguous");
        for (&length, &(b, row)) in lengths.iter().zip(&places) {
            let (rows, after) = std::mem::take(&mut rest).split_at_mut(length * width);
            sinks[b].rows[number][row] = rows;
            rest = after;
        }
    }
    sinks.into_iter().map(Mutex::new).collect()
}

/// Copies the rows of the real tokens to their places.
pub(super) fn rows(
    tensor: &ArrayViewD<'_, f32>,
    layout: Layout,
    sizes: Sizes<'_>,
    places: &mut [&mut [f32]],
) -> Result<(), Misfit> {
    let tensor = in_heads(tensor, layout, sizes, Some(1))?;
    let (heads, feature) = (tensor.shape()[2], tensor.shape()[3]);
    let misfit = || Misfit::Shape(format!("{} numbers for each token", sizes.hidden));
    if heads * feature != sizes.hidden {
        return Err(misfit());
    }
    for (row, (place, &length)) in places.iter_mut().zip(sizes.lengths).enumerate() {
        let real = tensor.slice(s![row, ..length, .., ..]);
        let to = ArrayViewMut3::from_shape([length, heads, feature], place).map_err(|_| misfit())?;
        Zip::from(to).and(real).for_each(|to, from| *to = *from);
        finite(row, place.iter())?;
    }
    Ok(())
}

/// Returns the scores between the real tokens of each sequence, [A, T, T].
pub(super) fn scores(tensor: &ArrayViewD<'_, f32>, sizes: Sizes<'_>) -> Result<Vec<Array3<f32>>, Misfit> {
    let (rows, padded) = (sizes.lengths.len(), sizes.padded);
    let heads = tensor.len() / (rows * padded * padded).max(1);
    let square = matches!(tensor.shape(), [.., a, b] if *a == padded && *b == padded);
    let split = square && matches!(tensor.shape(), [b, a, _, _] if *b == rows && *a == heads);
    let joined = square && matches!(tensor.shape(), [all, _, _] if *all == rows * heads);
    if !(split || joined) || heads == 0 {
        return Err(Misfit::Shape(format!("[{rows}, heads, {padded}, {padded}]")));
    }
    let tensor = tensor.to_shape([rows, heads, padded, padded]).expect("as many numbers");
    let real = |(row, &length): (usize, &usize)| {
        let scores = tensor.slice(s![row, .., ..length, ..length]).to_owned();
        finite(row, scores.iter()).map(|()| scores)
    };
    sizes.lengths.iter().enumerate().map(real).collect()
}

/// Returns `Q Kᵀ · scale + bias` between the real tokens of each sequence, [A, T, T].
///
/// `bias`: [B or 1, A or 1, T, T]; without a scale it is `1 / sqrt(D)`.
pub(super) fn products(
    [query, key]: [(&ArrayViewD<'_, f32>, Layout); 2],
    bias: Option<&ArrayViewD<'_, f32>>,
    (heads, scale): (Option<usize>, Option<f32>),
    sizes: Sizes<'_>,
) -> Result<Vec<Array3<f32>>, Misfit> {
    let [query, key] = [query, key].map(|(tensor, layout)| in_heads(tensor, layout, sizes, heads));
    let (query, key) = (query?, key?);
    let (_, _, heads, feature) = query.dim();
    if key.dim() != query.dim() {
        return Err(Misfit::Shape(format!("{:?}", query.shape())));
    }
    let spread = [sizes.lengths.len(), heads, sizes.padded, sizes.padded];
    let misfit = || Misfit::Shape(format!("{spread:?}, or one that is spread to it"));
    let bias = bias.map(|bias| bias.broadcast(spread).ok_or_else(misfit)).transpose()?;
    let scale = scale.unwrap_or(1.0 / (feature as f32).sqrt());
    let of_sequence = |(row, &length): (usize, &usize)| {
        let mut scores = Array3::zeros([heads, length, length]);
        for (head, mut scores) in scores.outer_iter_mut().enumerate() {
            let [query, key] = [&query, &key].map(|tensor| tensor.slice(s![row, ..length, head, ..]));
            scores.assign(&(query.dot(&key.t()) * scale));
            if let Some(bias) = &bias {
                scores += &bias.slice(s![row, head, ..length, ..length]);
            }
        }
        finite(row, scores.iter()).map(|()| scores)
    };
    sizes.lengths.iter().enumerate().map(of_sequence).collect()
}

/// Returns a tensor with its heads told apart, [B, T, A, D]; `heads` is A where the layout does not tell.
fn in_heads<'a>(
    tensor: &'a ArrayViewD<'_, f32>,
    layout: Layout,
    sizes: Sizes<'_>,
    heads: Option<usize>,
) -> Result<CowArray<'a, f32, Ix4>, Misfit> {
    let (rows, padded) = (sizes.lengths.len(), sizes.padded);
    match layout {
        Layout::Rows { part, parts } => {
            let misfit = || Misfit::Shape(format!("[{rows}, {padded}, {parts} * {}]", sizes.hidden));
            let (width, heads) = (parts * sizes.hidden, heads.unwrap_or(0).max(1));
            let fits = tensor.shape() == [rows, padded, width] || tensor.shape() == [rows * padded, width];
            if !fits || !sizes.hidden.is_multiple_of(heads) {
                return Err(misfit());
            }
            let whole = tensor.to_shape([rows, padded, parts * heads, sizes.hidden / heads]);
            let whole = whole.map_err(|_| misfit())?;
            Ok(whole.slice_move(s![.., .., part * heads..(part + 1) * heads, ..]))
        }
        Layout::Heads(axes) => {
            let misfit = || Misfit::Shape(format!("{axes:?} with [{rows}, .., {padded}, ..]"));
            let place = |wanted| axes.iter().position(|axis| *axis == wanted).ok_or_else(misfit);
            let order =
                [place(Axis::Sequence)?, place(Axis::Token)?, place(Axis::Head)?, place(Axis::Feature)?];
            let tensor = tensor.view().into_dimensionality::<Ix4>().map_err(|_| misfit())?;
            let tensor = tensor.permuted_axes(order);
            if tensor.shape()[..2] == [rows, padded] { Ok(tensor.into()) } else { Err(misfit()) }
        }
    }
}

fn finite<'a>(row: usize, mut numbers: impl Iterator<Item = &'a f32>) -> Result<(), Misfit> {
    match numbers.find(|number| !number.is_finite()) {
        Some(&number) => Err(Misfit::NotFinite(row, number)),
        None => Ok(()),
    }
}
