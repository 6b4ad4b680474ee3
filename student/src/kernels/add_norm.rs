//! The three places of a normalisation, each in one pass over memory with what stands around it.

use super::Mask;
use super::norm::{Affine, Around, AroundBackward, NormGrads, Normalized, normalize, normalize_backward};
use crate::Real;
use ndarray::{Array2, ArrayView2};

/// Returns `y = γ x̂ + β` with `x̂` the normalised rows of `x`, and `x̂`.  `x`, `y`, `x̂`: [N, H].
pub(crate) fn norm<F: Real>(x: Array2<F>, affine: Affine<'_, F>) -> (Array2<F>, Normalized<F>) {
    normalize(x, affine, &Nothing)
}

/// Computes the gradients of [`norm`] from that of `y`.
pub(crate) fn norm_backward<F: Real>(x: Normalized<F>, gamma: &[F], d_y: Array2<F>) -> NormGrads<F> {
    normalize_backward(x, gamma, d_y, &Nothing)
}

/// As [`norm`], of `residual + x m` with `m` the mask.  `x`, `residual`: [N, H].
pub(crate) fn add_norm<F: Real>(
    x: Array2<F>,
    residual: ArrayView2<'_, F>,
    mask: Option<Mask>,
    affine: Affine<'_, F>,
) -> (Array2<F>, Normalized<F>) {
    assert_eq!(x.dim(), residual.dim(), "the summands have one shape");
    let residual = residual.to_slice().expect("layers make contiguous matrices");
    normalize(x, affine, &Residual { residual, mask })
}

/// Computes the gradients of [`add_norm`]: that of the residual in `x`, that of `x` itself in `rows`.
pub(crate) fn add_norm_backward<F: Real>(
    x: Normalized<F>,
    gamma: &[F],
    d_y: Array2<F>,
    mask: Option<Mask>,
) -> NormGrads<F> {
    normalize_backward(x, gamma, d_y, &Branch { mask })
}

/// As [`norm`], of the sum of three table rows for each token, and with the mask applied to `y`.
///
/// `tables`: each [rows, H]; `rows`: the row that each token reads of each table, `[N]`.
pub(crate) fn embed_norm<F: Real>(
    tables: [ArrayView2<'_, F>; 3],
    rows: &[[usize; 3]],
    mask: Option<Mask>,
    affine: Affine<'_, F>,
) -> (Array2<F>, Normalized<F>) {
    let width = tables[0].ncols();
    let tables = tables.map(|table| table.to_slice().expect("a matrix of an arena is contiguous"));
    normalize(Array2::zeros((rows.len(), width)), affine, &Embed { tables, rows, width, mask })
}

/// Computes the gradients of [`embed_norm`]: that of the sum in `x`.
pub(crate) fn embed_norm_backward<F: Real>(
    x: Normalized<F>,
    gamma: &[F],
    d_y: Array2<F>,
    mask: Option<Mask>,
) -> NormGrads<F> {
    normalize_backward(x, gamma, d_y, &DropOut { mask })
}

struct Nothing;

impl<F: Real> Around<F> for Nothing {}

impl<F: Real> AroundBackward<F> for Nothing {}

/// Drops out of `x` and adds the residual.
struct Residual<'a, F> {
    residual: &'a [F],
    mask: Option<Mask>,
}

impl<F: Real> Around<F> for Residual<'_, F> {
    #[inline(always)]
    fn before(&self, first: usize, x: &mut [F]) {
        drop_out(self.mask, first, x);
        x.iter_mut().zip(&self.residual[first..]).for_each(|(x, &residual)| *x += residual);
    }
}

/// Turns the gradient of the sum into that of the branch that was dropped out of.
struct Branch {
    mask: Option<Mask>,
}

impl<F: Real> AroundBackward<F> for Branch {
    #[inline(always)]
    fn after(&self, first: usize, d_sum: &[F], d_x: &mut [F]) {
        d_x.copy_from_slice(d_sum);
        drop_out(self.mask, first, d_x);
    }
}

/// Sums table rows, and drops out of `y`.
struct Embed<'a, F> {
    tables: [&'a [F]; 3],
    rows: &'a [[usize; 3]],
    width: usize,
    mask: Option<Mask>,
}

impl<F: Real> Around<F> for Embed<'_, F> {
    #[inline(always)]
    fn before(&self, first: usize, x: &mut [F]) {
        for (x, rows) in x.chunks_exact_mut(self.width).zip(&self.rows[first / self.width..]) {
            let [word, position, kind] =
                [0, 1, 2].map(|i| &self.tables[i][rows[i] * self.width..][..self.width]);
            let terms = word.iter().zip(position).zip(kind);
            x.iter_mut().zip(terms).for_each(|(x, ((&w, &p), &k))| *x = w + p + k);
        }
    }

    #[inline(always)]
    fn after(&self, first: usize, y: &mut [F]) {
        drop_out(self.mask, first, y);
    }
}

/// Drops out of the gradient of `y`.
struct DropOut {
    mask: Option<Mask>,
}

impl<F: Real> AroundBackward<F> for DropOut {
    #[inline(always)]
    fn before(&self, first: usize, d_y: &mut [F]) {
        drop_out(self.mask, first, d_y);
    }
}

#[inline(always)]
fn drop_out<F: Real>(mask: Option<Mask>, first: usize, x: &mut [F]) {
    if let Some(mask) = mask {
        mask.apply(x, first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::DropoutKey;
    use crate::gradcheck::{noise1, noise2};
    use crate::kernels::Threads;
    use ndarray::{Array1, Axis};
    use proptest::prelude::*;

    const EPSILON: f64 = 1e-5;
    /// Rounding of sums over a few hundred numbers near one.
    const BOUND: f64 = 1e-11;
    const BOUND_F32: f64 = 1e-4;

    fn mask(rate: f64) -> Option<Mask> {
        (rate > 0.05).then(|| Mask::new(DropoutKey { seed: 1, pass: 2 }, 3, rate))
    }

    /// The factors that a mask multiplies with.
    fn factors(mask: Option<Mask>, shape: (usize, usize)) -> Array2<f64> {
        Array2::from_shape_fn(shape, |(n, h)| match mask {
            Some(mask) if mask.keeps((n * shape.1 + h) as u32) => mask.keep_scale(),
            Some(_) => 0.0,
            None => 1.0,
        })
    }

    struct Norm {
        gamma: Array1<f64>,
        beta: Array1<f64>,
    }

    /// The definition: returns `y`, `x̂` and σ.
    fn plain(norm: &Norm, x: &Array2<f64>) -> (Array2<f64>, Array2<f64>, Array2<f64>) {
        let mean = x.mean_axis(Axis(1)).expect("a row is not empty").insert_axis(Axis(1));
        let variance = (x - &mean).mapv(|x| x * x).mean_axis(Axis(1)).expect("a row is not empty");
        let sigma = (variance + EPSILON).mapv(f64::sqrt).insert_axis(Axis(1));
        let normalized = (x - mean) / &sigma;
        (&normalized * &norm.gamma + &norm.beta, normalized, sigma)
    }

    /// The definition: returns the gradients of `x`, γ and β.
    fn plain_backward(norm: &Norm, x: &Array2<f64>, d_y: &Array2<f64>) -> [Array2<f64>; 3] {
        let (_, normalized, sigma) = plain(norm, x);
        let row_mean = |x: Array2<f64>| x.mean_axis(Axis(1)).expect("not empty").insert_axis(Axis(1));
        let column_sum = |x: &Array2<f64>| x.sum_axis(Axis(0)).insert_axis(Axis(0));
        let g = d_y * &norm.gamma;
        let d_x = (&g - row_mean(g.clone()) - &normalized * &row_mean(&g * &normalized)) / &sigma;
        [d_x, column_sum(&(d_y * &normalized)), column_sum(d_y)]
    }

    fn far<F: Real>(ours: impl IntoIterator<Item = F>, plain: &Array2<f64>) -> f64 {
        let differences = ours.into_iter().zip(plain).map(|(a, b)| (a.f64() - b).abs() / b.abs().max(1.0));
        differences.fold(0.0, f64::max)
    }

    /// Compares the fused passes in `F` with the definitions in `f64`; returns the largest difference.
    fn compare<F: Real>([n, h]: [usize; 2], rate: f64, seed: u64) -> f64 {
        let norm = Norm { gamma: noise1(h, seed), beta: noise1(h, seed + 1) };
        let [x, residual, d_y] = [2, 3, 4].map(|i| noise2::<f64>([n, h], seed + i) * 2.0);
        let (mask, factors) = (mask(rate), factors(mask(rate), (n, h)));
        let of = |x: &Array2<f64>| x.mapv(F::of);
        let [gamma, beta] = [&norm.gamma, &norm.beta].map(|x| x.mapv(F::of).to_vec());
        let affine = Affine { gamma: &gamma, beta: &beta, epsilon: F::of(EPSILON) };

        let sum = &residual + &x * &factors;
        let [d_sum, d_gamma, d_beta] = plain_backward(&norm, &sum, &d_y);
        let (y, normalized) = add_norm(of(&x), of(&residual).view(), mask, affine);
        let d = add_norm_backward(normalized, &gamma, of(&d_y), mask);
        let mut worst = far(y, &plain(&norm, &sum).0);
        worst = worst.max(far(d.x, &d_sum)).max(far(d.rows, &(&d_sum * &factors)));
        worst = worst.max(far(d.gamma, &d_gamma)).max(far(d.beta, &d_beta));

        let tables = [5, 4, 3].map(|rows| noise2::<f64>([rows, h], seed + rows as u64));
        let rows: Vec<_> = (0..n).map(|i| [i * 7 % 5, i % 4, i / 2 % 3]).collect();
        let sum = Array2::from_shape_fn((n, h), |(i, h)| (0..3).map(|t| tables[t][[rows[i][t], h]]).sum());
        let [d_sum, d_gamma, d_beta] = plain_backward(&norm, &sum, &(&d_y * &factors));
        let ours = [0, 1, 2].map(|t| of(&tables[t]));
        let views = [ours[0].view(), ours[1].view(), ours[2].view()];
        let (y, normalized) = embed_norm(views, &rows, mask, affine);
        let d = embed_norm_backward(normalized, &gamma, of(&d_y), mask);
        worst = worst.max(far(y, &(plain(&norm, &sum).0 * factors))).max(far(d.x, &d_sum));
        worst.max(far(d.gamma, &d_gamma)).max(far(d.beta, &d_beta))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn fused_passes_agree_with_their_definitions(
            n in 1..80_usize,
            h in prop_oneof![Just(1_usize), Just(26), Just(312), 2..100_usize],
            rate in 0.0..0.9,
            seed in 0..1000_u64,
        ) {
            let worst = compare::<f64>([n, h], rate, seed);
            prop_assert!(worst < BOUND, "f64: {:e}", worst);
            // Rows of a few numbers may be all but constant, and then their normalisation loses digits.
            if h >= 26 {
                let worst = compare::<f32>([n, h], rate, seed);
                prop_assert!(worst < BOUND_F32, "f32: {:e}", worst);
            }
        }
    }

    fn small(x: Array2<f32>, d_y: Array2<f32>) -> (Array2<f32>, NormGrads<f32>) {
        let (gamma, beta) = (noise1::<f32>(x.ncols(), 1).to_vec(), noise1::<f32>(x.ncols(), 2).to_vec());
        let affine = Affine { gamma: &gamma, beta: &beta, epsilon: 1e-12 };
        let residual = noise2([x.nrows(), x.ncols()], 3);
        let (y, normalized) = add_norm(x, residual.view(), mask(0.1), affine);
        (y, add_norm_backward(normalized, &gamma, d_y, mask(0.1)))
    }

    #[test]
    fn what_is_not_a_number_spoils_its_row_and_no_other() {
        for value in [f32::NAN, f32::INFINITY] {
            let mut x = noise2::<f32>([40, 312], 4);
            let kept = (0..312).find(|i| mask(0.1).is_some_and(|mask| mask.keeps(17 * 312 + i)));
            x[[17, kept.expect("some element is kept") as usize]] = value;
            let (y, d) = small(x, noise2([40, 312], 5));
            for (n, (y, d)) in y.rows().into_iter().zip(d.x.rows()).enumerate() {
                let spoilt = (y.iter().all(|y| y.is_nan()), d.iter().all(|d| d.is_nan()));
                assert_eq!(spoilt, (n == 17, n == 17), "row {n}");
                assert_eq!(y.iter().any(|y| y.is_nan()), n == 17, "row {n}");
            }
            assert!(d.gamma.iter().all(|d| d.is_nan()));
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let run = |threads| {
            let (y, d) = Threads::new(threads)
                .expect("a pool starts")
                .run(|| small(noise2([333, 52], 4), noise2([333, 52], 5)));
            (y, d.gamma, d.beta, d.x, d.rows)
        };
        let one = run(1);
        for threads in [2, 3, 8] {
            assert!(one == run(threads), "{threads} threads");
        }
    }

    #[test]
    fn no_rows_are_no_work() {
        let (y, d) = small(Array2::zeros((0, 5)), Array2::zeros((0, 5)));
        assert_eq!((y.nrows(), d.x.nrows(), d.gamma), (0, 0, vec![0.0; 5]));
    }
}
