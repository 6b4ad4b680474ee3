//! Figures of merit: predictions against labels, and a student against its teacher.
//!
//! All are computed in f64 and none is ever NaN: what is not defined, on no rows or on a constant where a correlation is
//! asked for, is `None`. Definitions are those of scikit-learn and SciPy, with undefined ratios within F1 counted as 0.

mod correlation;
mod counts;
mod probabilities;
mod temperature;

pub use correlation::{Ranking, pearson, spearman, weighted_pearson};
pub use counts::Counts;
pub use probabilities::{BINS, Bin, bin_of, brier, expected_calibration_error, kl, log_probs, mean_kl};
pub use temperature::{TEMPERATURES, fit_temperature};

use crate::task::{Gold, LabelSet, Metric};
use ndarray::{ArrayView1, ArrayView2};

/// A figure under the name it has in reports, in [0, 1] or [-1, 1]; nothing if it is not defined.
pub type Figure = (&'static str, Option<f64>);

/// Measures a model's logits on the rows that have labels. The first figure is the one to select by.
///
/// Shapes: `logits`: [B, C], or [B, 1] for a regression; `gold`: `[B]`. `labels` tells which class F1 is about; its second
/// class is, if the metric's is not among its names.
pub fn measure(
    metric: Metric,
    logits: ArrayView2<'_, f32>,
    gold: &[Gold],
    labels: Option<&LabelSet>,
) -> Vec<Figure> {
    assert_eq!(logits.nrows(), gold.len(), "one row of logits is needed for each label");
    if metric == Metric::Correlation {
        let value = |(logits, gold): (ArrayView1<'_, f32>, &Gold)| match gold {
            Gold::Value(value) => Some((f64::from(*logits.first()?), f64::from(*value))),
            _ => None,
        };
        let (predicted, gold): (Vec<_>, Vec<_>) =
            logits.rows().into_iter().zip(gold).filter_map(value).unzip();
        return vec![("pearson", pearson(&predicted, &gold)), ("spearman", spearman(&predicted, &gold))];
    }
    let class = |(predicted, gold): (usize, &Gold)| match gold {
        Gold::Class(class) => Some((predicted, *class)),
        _ => None,
    };
    let (predicted, gold): (Vec<_>, Vec<_>) = argmax(logits).into_iter().zip(gold).filter_map(class).unzip();
    let counts = Counts::of(&predicted, &gold);
    let accuracy = ("accuracy", counts.accuracy());
    match metric {
        Metric::F1(positive) => {
            let positive = labels.and_then(|labels| labels.position(positive)).unwrap_or(1);
            vec![("f1", counts.f1(positive)), accuracy]
        }
        Metric::Matthews => vec![("matthews", counts.matthews()), accuracy],
        Metric::Accuracy | Metric::Correlation => {
            vec![accuracy, ("macro_f1", counts.macro_f1())]
        }
    }
}

/// Returns the class of the greatest logit of each row, the first of equals.
///
/// Shapes: `logits`: [B, C] with C at least 1; returned: `[B]`.
pub fn argmax(logits: ArrayView2<'_, f32>) -> Vec<usize> {
    logits.rows().into_iter().map(argmax_of).collect()
}

/// Returns the class of the greatest logit, the first of equals.  `logits`: `[C]`.
pub fn argmax_of(logits: ArrayView1<'_, f32>) -> usize {
    let better = |best: usize, class: usize| if logits[class] > logits[best] { class } else { best };
    (0..logits.len()).fold(0, better)
}

/// Returns the fraction of predictions that are right. Shapes: `[B]`, `[B]`. `None` on no rows.
pub fn accuracy(predicted: &[usize], gold: &[usize]) -> Option<f64> {
    Counts::of(predicted, gold).accuracy()
}

/// Returns the fraction of rows on which two models predict the same. Shapes: `[B]`, `[B]`. `None` on no rows.
pub fn agreement(teacher: &[usize], student: &[usize]) -> Option<f64> {
    accuracy(student, teacher)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, arr2};
    use proptest::prelude::*;

    const TOLERANCE: f64 = 1e-9;

    fn counts(predicted: &[usize], gold: &[usize]) -> Counts {
        Counts::of(predicted, gold)
    }

    fn close(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found - expected).abs() < TOLERANCE)
    }

    /// Expected values are scikit-learn's (1.9.1): `accuracy_score`, `f1_score`, `matthews_corrcoef`.
    #[test]
    fn classification_figures_are_those_of_scikit_learn() {
        for (predicted, gold, expected) in [
            (
                &[1, 0, 1, 1, 0, 0, 1, 0, 1, 1][..],
                &[1, 0, 0, 1, 0, 1, 1, 0, 1, 0][..],
                [0.7, 0.7272727272727273, 0.696969696969697, 0.408248290463863],
            ),
            (
                &[0, 1, 2, 2, 1, 0, 0, 2, 1, 1, 2, 0],
                &[0, 2, 2, 1, 1, 0, 1, 2, 0, 1, 2, 0],
                [0.6666666666666666, 0.5, 0.6666666666666666, 0.5],
            ),
            // Class 2 is absent.
            (
                &[0, 0, 3, 3, 1, 0],
                &[0, 1, 3, 3, 1, 1],
                [0.6666666666666666, 0.5, 0.6666666666666666, 0.6363636363636364],
            ),
            (&[1, 1, 1, 1], &[1, 0, 1, 1], [0.75, 0.8571428571428571, 0.42857142857142855, 0.0]),
        ] {
            let found = [
                counts(predicted, gold).accuracy(),
                counts(predicted, gold).f1(1),
                counts(predicted, gold).macro_f1(),
                counts(predicted, gold).matthews(),
            ];
            for (found, expected) in found.into_iter().zip(expected) {
                assert!(close(found, expected), "{found:?} instead of {expected}");
            }
        }
        assert_eq!(counts(&[0, 2], &[0, 0]).f1(1), Some(0.0));
        let nothing = counts(&[], &[]);
        for nothing in [nothing.accuracy(), nothing.f1(1), nothing.macro_f1(), nothing.matthews()] {
            assert_eq!(nothing, None);
        }
    }

    /// Expected values are SciPy's (1.17.1): `pearsonr`, `spearmanr`.
    #[test]
    fn correlations_are_those_of_scipy() {
        for (x, y, p, s) in [
            (
                &[4.75, 3.2, 0.0, 5.0, 2.4, 2.4, 1.0, 3.8][..],
                &[4.1, 3.9, 0.6, 4.8, 2.0, 2.9, 0.6, 3.9][..],
                0.9547833043022814,
                0.9818362138701557,
            ),
            (
                &[1e8 + 1.0, 1e8 + 2.0, 1e8 + 3.0, 1e8 + 5.0],
                &[-1.0, -2.5, -2.0, -7.0],
                -0.9272300597205577,
                -0.8,
            ),
        ] {
            assert!(close(pearson(x, y), p) && close(spearman(x, y), s));
        }
        let vary = [1.0, 2.0, 3.0];
        for other in [[0.1; 3], [f64::NAN, 1.0, 2.0], [f64::INFINITY, 1.0, 2.0]] {
            assert_eq!((pearson(&vary, &other), spearman(&other, &vary)), (None, None));
        }
        assert_eq!((pearson(&[], &[]), spearman(&[1.0], &[2.0])), (None, None));
    }

    /// The expected value is from `scipy.special.log_softmax` (1.17.1).
    #[test]
    fn mean_kl_is_in_nats_and_zero_only_for_equals() {
        let teacher = arr2(&[[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [100.0, 0.0, -50.0]]);
        let student = arr2(&[[1.5, -0.5, 1.0], [3.0, -3.0, 0.25], [90.0, 1.0, 2.0]]);
        assert!(close(mean_kl(teacher.view(), student.view()), 0.6605305756777035));
        assert!(close(mean_kl(teacher.view(), (&teacher + 7.0).view()), 0.0));
        // log(1/2) against log(1/(1+e^1000)): a softmax that is 0 in any precision.
        assert!(close(
            mean_kl(arr2(&[[0.0, 0.0]]).view(), arr2(&[[0.0, 1000.0]]).view()),
            500.0 - 2_f64.ln()
        ));
        assert_eq!(mean_kl(Array2::zeros((0, 2)).view(), Array2::zeros((0, 2)).view()), None);
        assert_eq!(mean_kl(arr2(&[[f32::NAN, 0.0]]).view(), arr2(&[[0.0, 0.0]]).view()), None);
    }

    #[test]
    fn a_task_is_measured_on_its_labelled_rows() {
        let logits = arr2(&[[0.0, 1.0], [2.0, 1.0], [0.0, 3.0], [0.5, 0.5]]);
        let classes = [Gold::Class(1), Gold::Class(1), Gold::Missing, Gold::Class(0)];
        let labels = LabelSet::new(["duplicate", "not_duplicate"]).unwrap();
        for (metric, expected) in [
            (Metric::Accuracy, vec![("accuracy", Some(2.0 / 3.0)), ("macro_f1", Some(2.0 / 3.0))]),
            // Of class 0: one hit, predicted twice, there once.
            (Metric::F1("duplicate"), vec![("f1", Some(2.0 / 3.0)), ("accuracy", Some(2.0 / 3.0))]),
            (Metric::Matthews, vec![("matthews", Some(0.5)), ("accuracy", Some(2.0 / 3.0))]),
            (Metric::Correlation, vec![("pearson", None), ("spearman", None)]),
        ] {
            assert_eq!(measure(metric, logits.view(), &classes, Some(&labels)), expected);
        }
        let values = [Gold::Value(5.0), Gold::Value(1.0), Gold::Missing, Gold::Value(3.0)];
        let scores = arr2(&[[2.5], [0.5], [9.0], [1.5]]);
        let found = measure(Metric::Correlation, scores.view(), &values, None);
        assert!(close(found[0].1, 1.0) && close(found[1].1, 1.0), "{found:?}");
    }

    proptest! {
        #[test]
        fn figures_stay_in_their_ranges(rows in proptest::collection::vec((0_usize..4, 0_usize..4), 1..40)) {
            let (predicted, gold): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
            for figure in [accuracy(&predicted, &gold), counts(&predicted, &gold).macro_f1(), counts(&predicted, &gold).f1(2)] {
                prop_assert!((0.0..=1.0).contains(&figure.unwrap()));
            }
            let m = counts(&predicted, &gold).matthews().unwrap();
            prop_assert!((-1.0 - TOLERANCE..=1.0 + TOLERANCE).contains(&m));
            // For 0/1 values Matthews' correlation is Pearson's.
            let bits = |classes: &[usize]| classes.iter().map(|class| (class % 2) as f64).collect::<Vec<_>>();
            let parities = |classes: &[usize]| classes.iter().map(|class| class % 2).collect::<Vec<_>>();
            if let Some(p) = pearson(&bits(&predicted), &bits(&gold)) {
                prop_assert!(close(counts(&parities(&predicted), &parities(&gold)).matthews(), p));
            }
        }

        #[test]
        fn kl_is_never_negative(logits in proptest::collection::vec(-80.0_f32..80.0, 24)) {
            let (teacher, student) = logits.split_at(12);
            let matrix = |values: &[f32]| Array2::from_shape_vec((4, 3), values.to_vec()).unwrap();
            prop_assert!(mean_kl(matrix(teacher).view(), matrix(student).view()).unwrap() >= -TOLERANCE);
        }
    }
}
