//! Rounded attention against the definition in `f64`, on every unit of the processor.

use super::super::head::{self, Heads};
use super::super::{Batch, Normaliser};
use super::*;
use crate::architecture::DropoutKey;
use crate::gradcheck::noise2;
use crate::kernels::packed::Bf16Unit as Unit;
use crate::kernels::{Mask, Threads};
use ndarray::{Array2, ArrayView2, Axis, s};
use proptest::prelude::*;

const HEADS: usize = 2;

/// Queries, keys, values and the gradient of the context.
type Inputs = [Array2<f32>; 4];

fn inputs([queries, keys, width]: [usize; 3]) -> Inputs {
    let hidden = HEADS * width;
    [(queries, 1), (keys, 2), (keys, 3), (queries, 4)].map(|(rows, seed)| noise2([rows, hidden], seed))
}

fn mask(rate: f64) -> Option<Mask> {
    (rate > 0.0).then(|| Mask::new(DropoutKey { seed: 3, pass: 4 }, 5, rate))
}

/// Returns the context and the gradients of queries, keys and values.
fn rounded(unit: Unit, [q, k, v, d_context]: &Inputs, mask: Option<Mask>, first: usize) -> Inputs {
    let (queries, keys) = (q.nrows(), k.nrows());
    let scale = scale(q) as f32;
    let heads = || Heads { queries, keys, heads: HEADS, scale, mask, first };
    let mut scratch = head::Scratch::new();
    let mut context = Array2::zeros(q.dim());
    let mut normalisers = vec![Normaliser::default(); HEADS * queries];
    let (q_rows, k_rows, v_rows) = (q.view(), k.view(), v.view());
    forward(
        unit,
        head::Forward {
            heads: heads(),
            q: q_rows,
            k: k_rows,
            v: v_rows,
            context: context.view_mut(),
            normalisers: &mut normalisers,
            scratch: &mut scratch,
        },
    );
    let [mut q, mut k, mut v] = [q, k, v].map(|x| x.clone());
    backward(
        unit,
        head::Backward {
            heads: heads(),
            q: q.view_mut(),
            k: k.view_mut(),
            v: v.view_mut(),
            normalisers: &normalisers,
            d_context: d_context.view(),
            scratch: &mut scratch,
        },
    );
    [context, q, k, v]
}

fn scale(q: &Array2<f32>) -> f64 {
    ((q.ncols() / HEADS) as f64).sqrt().recip()
}

/// Returns what [`rounded`] should, of one head, and how large the summands of each element are together.
fn definition(
    [q, k, v, d_context]: [Array2<f64>; 4],
    scale: f64,
    keep: &Array2<f64>,
) -> ([Array2<f64>; 4], [Array2<f64>; 4]) {
    let mut p = q.dot(&k.t()) * scale;
    for mut row in p.rows_mut() {
        let max = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        row.mapv_inplace(|s| (s - max).exp());
        row /= row.sum();
    }
    let outputs = |[q, k, v, d_context]: [&Array2<f64>; 4], sign: f64| {
        let (dropped, d_p) = (&p * keep, d_context.dot(&v.t()) * keep);
        let dot = (&p * &d_p).sum_axis(Axis(1)).insert_axis(Axis(1));
        let d_s = &p * &(&d_p + &(dot * sign)) * scale;
        [dropped.dot(v), d_s.dot(k), d_s.t().dot(q), dropped.t().dot(d_context)]
    };
    let size = [&q, &k, &v, &d_context].map(|x| x.mapv(f64::abs));
    (outputs([&q, &k, &v, &d_context], -1.0), outputs(size.each_ref(), 1.0))
}

/// Checks every element of the context and of the gradients.
///
/// A rounded factor errs by 2⁻⁸, a score by `δ ≤ 2⁻⁷ Σ |q| |k| / √D`, a probability by `η = e^(2 δ) − 1`: so
/// `|error| ≤ (2 η + 2⁻⁶) Σ |summands|`, with a tenth for products of errors.
fn check(shape: [usize; 3], rate: f64, first: usize) {
    let (inputs, mask, [queries, keys, width]) = (inputs(shape), mask(rate), shape);
    for unit in Unit::available() {
        let outputs = rounded(unit, &inputs, mask, first);
        for head in 0..HEADS {
            let columns = s![.., head * width..(head + 1) * width];
            let wide = |x: &Array2<f32>| x.slice(columns).mapv(f64::from);
            let keep = Array2::from_shape_fn((queries, keys), |(i, j)| {
                let number = first + (head * queries + i) * keys + j;
                mask.map_or(1.0, |mask| f64::from(u8::from(mask.keeps(number as u32))) * mask.keep_scale())
            });
            let inputs = inputs.each_ref().map(wide);
            let [q, k] = [&inputs[0], &inputs[1]].map(|x| x.mapv(f64::abs));
            let score = q.dot(&k.t()).fold(0.0, |a: f64, &b| a.max(b)) * scale(&outputs[0]) / 128.0;
            let (exact, size) = definition(inputs, scale(&outputs[0]), &keep);
            let bound = 1.1 * (2.0 * (2.0 * score).exp_m1() + 1.0 / 64.0);
            for (name, ((found, exact), size)) in ["context", "d_q", "d_k", "d_v"]
                .into_iter()
                .zip(outputs.each_ref().map(wide).iter().zip(&exact).zip(&size))
            {
                let errors = found.iter().zip(exact).zip(size);
                for ((found, exact), size) in errors {
                    let error = (found - exact).abs();
                    assert!(
                        error <= bound * size + 1e-30,
                        "{unit:?}, {shape:?}: {name} {found} is not {exact}"
                    );
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn attention_is_near_the_definition_for_every_shape(
        queries in 1_usize..80,
        keys in 1_usize..80,
        width in 1_usize..70,
        dropout in any::<bool>(),
        first in 0_usize..100,
    ) {
        check([queries, keys, width], if dropout { 0.3 } else { 0.0 }, first);
    }
}

#[test]
fn attention_is_near_the_definition_at_the_lengths_and_widths_of_students() {
    for length in [1, 13, 32, 33, 64, 96, 128] {
        for width in [26, 32, 64] {
            check([length, length, width], 0.1, 0);
        }
    }
    check([512, 512, 26], 0.1, 7);
}

#[test]
fn errors_of_rounding_even_out() {
    for unit in Unit::available() {
        let inputs = inputs([64, 64, 64]);
        let outputs = rounded(unit, &inputs, mask(0.1), 0);
        let exact = rounded_not(&inputs, mask(0.1));
        for (found, exact) in outputs.iter().zip(&exact) {
            let norm = |x: &Array2<f32>| x.iter().map(|x| x * x).sum::<f32>().sqrt();
            assert!(norm(&(found - exact)) < norm(exact) / 200.0, "{unit:?}");
        }
    }
}

/// Returns what [`rounded`] does, with products in `f32`.
fn rounded_not([q, k, v, d_context]: &Inputs, mask: Option<Mask>) -> Inputs {
    whole([q, k, v, d_context].map(|x| x.view()), &[0, q.nrows()], mask, None)
}

/// Runs all sequences, as layers do.
fn whole(
    [q, k, v, d_context]: [ArrayView2<'_, f32>; 4],
    offsets: &[usize],
    mask: Option<Mask>,
    unit: Option<Unit>,
) -> Inputs {
    let scale = ((q.ncols() / HEADS) as f32).sqrt().recip();
    let batch = Batch { q_offsets: offsets, offsets, heads: HEADS, scale, mask, unit };
    let (context, normalisers) = super::super::forward(&batch, [q, k, v]);
    let [mut q, mut k, mut v] = [q, k, v].map(|x| x.to_owned());
    let qkv = [q.view_mut(), k.view_mut(), v.view_mut()];
    super::super::backward(&batch, qkv, &normalisers, d_context);
    [context, q, k, v]
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let offsets = [0, 1, 14, 78, 80, 200, 233];
    let inputs = inputs([233, 233, 26]);
    for unit in Unit::available() {
        let with = |threads| {
            let pool = Threads::new(threads).expect("a pool starts");
            pool.run(|| whole(inputs.each_ref().map(|x| x.view()), &offsets, mask(0.1), Some(unit)))
        };
        let one = with(1);
        for threads in 2..=8 {
            assert_eq!(one, with(threads), "{unit:?}, {threads} threads");
        }
    }
}

#[test]
fn short_sequences_are_not_padded_to_squares() {
    let inputs = inputs([77, 77, 32]);
    let run = |unit| whole(inputs.each_ref().map(|x| x.view()), &[0, 13, 77], mask(0.1), unit);
    let (rounded, exact) = (run(Some(Unit::best())), run(None));
    for (rounded, exact) in rounded.iter().zip(&exact) {
        assert_eq!(rounded.slice(s![..13, ..]), exact.slice(s![..13, ..]));
        assert_ne!(rounded.slice(s![13.., ..]), exact.slice(s![13.., ..]));
    }
}

#[test]
fn a_sequence_without_keys_has_no_gradient() {
    let [q, _, _, d_context] = inputs([3, 1, 4]);
    let [_, k, v, _] = inputs([1, 2, 4]);
    let batch = Batch {
        q_offsets: &[0, 1, 2, 3],
        offsets: &[0, 1, 1, 2],
        heads: HEADS,
        scale: 1.0,
        mask: None,
        unit: None,
    };
    let (context, normalisers) = super::super::forward(&batch, [q.view(), k.view(), v.view()]);
    let mut d = [q, k, v];
    super::super::backward(&batch, d.each_mut().map(|x| x.view_mut()), &normalisers, d_context.view());
    assert_eq!(context.row(1).sum(), 0.0);
    assert!(d[0].row(1).iter().all(|&x| x == 0.0) && d[2].iter().all(|&x| x != 0.0));
}

#[test]
fn a_query_that_is_no_number_reaches_its_own_context_alone() {
    for unit in Unit::available() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut inputs = inputs([40, 50, 26]);
            inputs[0][[33, 7]] = bad;
            let [context, ..] = rounded(unit, &inputs, None, 0);
            for ((row, column), x) in context.indexed_iter() {
                assert_eq!(x.is_nan(), row == 33 && column < 26, "{unit:?}: {x} at [{row}, {column}]");
            }
        }
    }
}
