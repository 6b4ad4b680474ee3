//! Cuts sequences of many lengths into batches that waste little, and puts the results back in order.
//!
//! Padding costs as much as text, and every run reads all weights once, however little it is given. So sequences are sorted by
//! length, and cut where the padded tokens and the runs together cost least. A budget of *padded tokens*, not of rows, bounds
//! the largest activation. The batches depend on the lengths and these two numbers alone, so the number of workers cannot
//! change a result.

use std::cmp::Reverse;

use ndarray::Array2;

use crate::{Signature, TensorInfo, Tokens};

/// Sequences that travel together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Indices of the sequences, longest first.
    pub rows: Vec<usize>,
    /// Length of the longest of them, in tokens.
    pub length: usize,
}

/// What is laid where no sequence says anything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fill {
    /// Id after the end of a short sequence.
    pub pad_id: u32,
    /// Position of every first token.
    pub first_position: u32,
}

/// Cuts sequences into batches of at most `budget` padded tokens, longest first, such that the padded tokens and `run` tokens
/// for each batch are as few as can be.
///
/// Every index of `lengths` is in exactly one batch. A sequence longer than the budget travels alone.
pub(crate) fn plan(lengths: &[usize], budget: usize, run: usize) -> Vec<Batch> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&row| Reverse(lengths[row]));
    // Of the sequences from each place on: what they cost at least, and how many of them travel first.
    let mut best = vec![(0_usize, Reverse(0)); order.len() + 1];
    for start in (0..order.len()).rev() {
        let length = lengths[order[start]].max(1);
        let most = (budget / length).clamp(1, order.len() - start);
        let cost = |rows: usize| {
            let padded = rows.saturating_mul(length).saturating_add(run);
            (padded.saturating_add(best[start + rows].0), Reverse(rows))
        };
        best[start] = (1..=most).map(cost).min().unwrap_or_default();
    }
    let mut batches = Vec::new();
    let mut start = 0;
    while start < order.len() {
        let rows = &order[start..start + best[start].1.0];
        batches.push(Batch { rows: rows.to_vec(), length: lengths[rows[0]] });
        start += rows.len();
    }
    batches
}

/// Returns what each input of the graph is fed for a batch, [batch, length].
pub(crate) fn inputs<'s>(
    batch: &Batch,
    sequences: &[Tokens<'_>],
    signature: &'s Signature,
    fill: Fill,
) -> Vec<(&'s TensorInfo, Array2<i64>)> {
    let grid = |value: &dyn Fn(Tokens<'_>, usize) -> u32| {
        Array2::from_shape_fn([batch.rows.len(), batch.length], |(row, column)| {
            i64::from(value(sequences[batch.rows[row]], column))
        })
    };
    let ids = |tokens: Tokens<'_>, column| tokens.ids.get(column).copied().unwrap_or(fill.pad_id);
    let mask = |tokens: Tokens<'_>, column| u32::from(column < tokens.ids.len());
    let types = |tokens: Tokens<'_>, column| tokens.type_ids.get(column).copied().unwrap_or(0);
    // Padding has positions like the rest: the mask hides it, and no position is beyond the longest sequence's.
    let positions = |_: Tokens<'_>, column| fill.first_position.saturating_add(column as u32);

    let mut inputs = vec![(&signature.input_ids, grid(&ids)), (&signature.attention_mask, grid(&mask))];
    inputs.extend(signature.token_type_ids.iter().map(|input| (input, grid(&types))));
    inputs.extend(signature.position_ids.iter().map(|input| (input, grid(&positions))));
    inputs
}

/// Puts the rows of all batches' results, [batch, C] each, in the order of the sequences: [B, C].
pub(crate) fn restore(batches: &[Batch], results: &[Array2<f32>], shape: [usize; 2]) -> Array2<f32> {
    let mut whole = Array2::zeros(shape);
    for (batch, result) in batches.iter().zip(results) {
        for (&sequence, row) in batch.rows.iter().zip(result.rows()) {
            whole.row_mut(sequence).assign(&row);
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array};
    use proptest::prelude::*;

    use super::*;
    use crate::signature::tests::signature_with;

    const FILL: Fill = Fill { pad_id: 9, first_position: 2 };

    proptest! {
        #[test]
        fn every_sequence_is_in_exactly_one_batch(
            lengths in prop::collection::vec(1_usize..600, 0..200), budget in 0_usize..2000, run in 0_usize..100,
        ) {
            let mut rows: Vec<usize> = plan(&lengths, budget, run).into_iter().flat_map(|batch| batch.rows).collect();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
        }

        #[test]
        fn a_batch_keeps_to_the_budget_unless_it_is_one_sequence(
            lengths in prop::collection::vec(1_usize..600, 0..200), budget in 0_usize..2000, run in 0_usize..100,
        ) {
            for batch in plan(&lengths, budget, run) {
                prop_assert!(batch.rows.len() == 1 || batch.rows.len() * batch.length <= budget);
                prop_assert_eq!(Some(batch.length), batch.rows.iter().map(|&row| lengths[row]).max());
            }
        }

        #[test]
        fn batches_come_longest_first(lengths in prop::collection::vec(1_usize..600, 0..200)) {
            let batches = plan(&lengths, 512, 16);
            prop_assert!(batches.is_sorted_by(|a, b| a.length >= b.length));
        }

        #[test]
        fn no_other_cut_costs_less(
            lengths in prop::collection::vec(1_usize..30, 1..10), budget in 0_usize..100, run in 0_usize..40,
        ) {
            let mut sorted = lengths.clone();
            sorted.sort_by_key(|&length| Reverse(length));
            // Bit i of a cut: a batch ends after sequence i.
            let cost = |cut: u32| {
                let (mut cost, mut start) = (0, 0);
                for end in 1..=sorted.len() {
                    if end == sorted.len() || cut >> (end - 1) & 1 == 1 {
                        let padded = (end - start) * sorted[start];
                        if end - start > 1 && padded > budget {
                            return usize::MAX;
                        }
                        (cost, start) = (cost + padded + run, end);
                    }
                }
                cost
            };
            let least = (0..1 << (sorted.len() - 1)).map(cost).min();
            let planned: usize =
                plan(&lengths, budget, run).iter().map(|batch| batch.rows.len() * batch.length + run).sum();
            prop_assert_eq!(Some(planned), least);
        }

        #[test]
        fn padding_and_restoring_is_the_identity(
            sequences in prop::collection::vec(prop::collection::vec(0_u32..1000, 1..40), 0..60),
            budget in 0_usize..300, run in 0_usize..100,
        ) {
            let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
            let tokens: Vec<_> = sequences.iter().map(|ids| Tokens { ids, type_ids: &[] }).collect();
            let batches = plan(&lengths, budget, run);
            let sum = |batch: &Batch| {
                let signature = signature_with(&[]);
                let fed = inputs(batch, &tokens, &signature, FILL);
                let (ids, mask) = (&fed[0].1, &fed[1].1);
                (ids * mask).map(|&id| id as f32).sum_axis(Axis(1)).insert_axis(Axis(1))
            };
            let results: Vec<_> = batches.iter().map(sum).collect();
            let sums = restore(&batches, &results, [sequences.len(), 1]);
            for (sequence, sum) in sequences.iter().zip(&sums) {
                prop_assert_eq!(sequence.iter().sum::<u32>() as f32, *sum);
            }
        }
    }

    #[test]
    fn every_input_is_filled_up_on_the_right() {
        let sequences =
            [Tokens { ids: &[8], type_ids: &[1] }, Tokens { ids: &[5, 6, 7], type_ids: &[0, 1, 1] }];
        let batch = Batch { rows: vec![1, 0], length: 3 };
        let signature = signature_with(&["token_type_ids", "position_ids"]);
        let fed = inputs(&batch, &sequences, &signature, FILL);
        let fed: Vec<_> = fed.iter().map(|(input, values)| (input.name.as_str(), values.clone())).collect();
        assert_eq!(
            fed,
            [
                ("input_ids", array![[5, 6, 7], [8, 9, 9]]),
                ("attention_mask", array![[1, 1, 1], [1, 0, 0]]),
                ("token_type_ids", array![[0, 1, 1], [1, 0, 0]]),
                ("position_ids", array![[2, 3, 4], [2, 3, 4]]),
            ]
        );
    }

    #[test]
    fn only_what_the_graph_wants_is_fed() {
        let batch = Batch { rows: vec![0], length: 1 };
        let signature = signature_with(&[]);
        assert_eq!(inputs(&batch, &[Tokens { ids: &[5], type_ids: &[] }], &signature, FILL).len(), 2);
    }

    #[test]
    fn where_runs_cost_without_bound_there_are_as_few_as_the_budget_allows() {
        let rows: Vec<_> =
            plan(&[9, 1, 1, 1, 5], 27, usize::MAX).into_iter().map(|batch| batch.rows).collect();
        assert_eq!(rows, [vec![0, 4, 1], vec![2, 3]]);
    }

    #[test]
    fn equal_lengths_keep_their_order() {
        let rows: Vec<_> = plan(&[4, 4, 4, 4], 8, 1).into_iter().map(|batch| batch.rows).collect();
        assert_eq!(rows, [[0, 1], [2, 3]]);
    }
}
