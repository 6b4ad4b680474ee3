//! Figures of merit: predictions against labels, and a student against its teacher.
//!
//! All are computed in f64 and none is ever NaN: what is not defined, on no rows or on a constant where a correlation is
//! asked for, is `None`. Definitions are those of scikit-learn and SciPy, with undefined ratios within F1 counted as 0.

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
    let accuracy = ("accuracy", accuracy(&predicted, &gold));
    match metric {
        Metric::F1(positive) => {
            let positive = labels.and_then(|labels| labels.position(positive)).unwrap_or(1);
            vec![("f1", f1(&predicted, &gold, positive)), accuracy]
        }
        Metric::Matthews => vec![("matthews", matthews(&predicted, &gold)), accuracy],
        Metric::Accuracy | Metric::Correlation => {
            vec![accuracy, ("macro_f1", macro_f1(&predicted, &gold))]
        }
    }
}

/// Returns the class of the greatest logit of each row, the first of equals.
///
/// Shapes: `logits`: [B, C] with C at least 1; returned: `[B]`.
pub fn argmax(logits: ArrayView2<'_, f32>) -> Vec<usize> {
    let of_row = |row: ArrayView1<'_, f32>| {
        let better = |best: usize, class: usize| if row[class] > row[best] { class } else { best };
        (0..row.len()).fold(0, better)
    };
    logits.rows().into_iter().map(of_row).collect()
}

/// Returns the fraction of predictions that are right. Shapes: `[B]`, `[B]`. `None` on no rows.
pub fn accuracy(predicted: &[usize], gold: &[usize]) -> Option<f64> {
    assert_eq!(predicted.len(), gold.len(), "one prediction is needed for each label");
    let right = predicted.iter().zip(gold).filter(|(predicted, gold)| predicted == gold).count();
    (!gold.is_empty()).then(|| right as f64 / gold.len() as f64)
}

/// Returns the fraction of rows on which two models predict the same. Shapes: `[B]`, `[B]`. `None` on no rows.
pub fn agreement(teacher: &[usize], student: &[usize]) -> Option<f64> {
    accuracy(student, teacher)
}

/// Returns F1 of one class, `2 tp / (2 tp + fp + fn)`; 0 if it is neither predicted nor there. Shapes: `[B]`, `[B]`.
/// `None` on no rows.
pub fn f1(predicted: &[usize], gold: &[usize], positive: usize) -> Option<f64> {
    assert_eq!(predicted.len(), gold.len(), "one prediction is needed for each label");
    let count = |classes: &[usize]| classes.iter().filter(|class| **class == positive).count();
    let hits = predicted
        .iter()
        .zip(gold)
        .filter(|(predicted, gold)| predicted == gold && **gold == positive)
        .count();
    // tp + fp are the predicted ones, tp + fn those that are there.
    let all = count(predicted) + count(gold);
    (!gold.is_empty()).then(|| if all == 0 { 0.0 } else { 2.0 * hits as f64 / all as f64 })
}

/// Returns the mean F1 over the classes that are predicted or there. Shapes: `[B]`, `[B]`. `None` on no rows.
pub fn macro_f1(predicted: &[usize], gold: &[usize]) -> Option<f64> {
    let classes: std::collections::BTreeSet<usize> = predicted.iter().chain(gold).copied().collect();
    let sum: f64 = classes.iter().filter_map(|class| f1(predicted, gold, *class)).sum();
    (!gold.is_empty()).then(|| sum / classes.len() as f64)
}

/// Returns Matthews' correlation coefficient, for any number of classes. Shapes: `[B]`, `[B]`. `None` on no rows.
///
/// `(c B − Σ_k p_k g_k) / √((B² − Σ p_k²) (B² − Σ g_k²))`, with `c` rows right and `p_k`, `g_k` rows predicted and labelled
/// `k` (Gorodkin 2004, equation 8). It is 0 if either is all one class.
pub fn matthews(predicted: &[usize], gold: &[usize]) -> Option<f64> {
    let rows = gold.len() as f64;
    let right = accuracy(predicted, gold)? * rows;
    let classes = predicted.iter().chain(gold).max().map_or(0, |class| class + 1);
    let (mut p, mut g) = (vec![0.0; classes], vec![0.0; classes]);
    for (predicted, gold) in predicted.iter().zip(gold) {
        p[*predicted] += 1.0;
        g[*gold] += 1.0;
    }
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let spread = (rows * rows - dot(&p, &p)) * (rows * rows - dot(&g, &g));
    Some(if spread == 0.0 { 0.0 } else { (right * rows - dot(&p, &g)) / spread.sqrt() })
}

/// Returns Pearson's correlation. Shapes: `[B]`, `[B]`. `None` if either is constant or not finite, or B is below 2.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "one value is needed for each other");
    // A constant is told by its values: about its rounded mean it need not have variance 0.
    if [x, y].iter().any(|values| values.windows(2).all(|pair| pair[0] == pair[1])) {
        return None;
    }
    let centred = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| value - mean).collect::<Vec<f64>>()
    };
    let (x, y) = (centred(x), centred(y));
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    Some(dot(&x, &y) / (dot(&x, &x).sqrt() * dot(&y, &y).sqrt()))
        .filter(|r| r.is_finite())
        .map(|r| r.clamp(-1.0, 1.0))
}

/// Returns Spearman's correlation: Pearson's of the ranks, equal values sharing the mean of theirs.
///
/// Shapes: `[B]`, `[B]`. `None` if either is constant or not finite, or B is below 2.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "one value is needed for each other");
    let finite = x.iter().chain(y).all(|value| value.is_finite());
    if finite { pearson(&ranks(x), &ranks(y)) } else { None }
}

/// Returns the mean over rows of `KL(softmax(teacher) ‖ softmax(student))`, in nats.
///
/// Shapes: `teacher`, `student`: [B, C], raw logits (temperature 1). `None` on no rows, or if it is not finite.
pub fn mean_kl(teacher: ArrayView2<'_, f32>, student: ArrayView2<'_, f32>) -> Option<f64> {
    assert_eq!(teacher.dim(), student.dim(), "teacher and student must have the same rows and classes");
    let kl = |(teacher, student): (ArrayView1<'_, f32>, ArrayView1<'_, f32>)| -> f64 {
        let (teacher, student) = (log_softmax(teacher), log_softmax(student));
        teacher.iter().zip(&student).map(|(t, s)| t.exp() * (t - s)).sum()
    };
    let sum: f64 = teacher.rows().into_iter().zip(student.rows()).map(kl).sum();
    Some(sum / teacher.nrows() as f64).filter(|mean| mean.is_finite())
}

fn log_softmax(logits: ArrayView1<'_, f32>) -> Vec<f64> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted: Vec<f64> = logits.iter().map(|logit| f64::from(*logit) - f64::from(max)).collect();
    let log_sum = shifted.iter().map(|logit| logit.exp()).sum::<f64>().ln();
    shifted.into_iter().map(|logit| logit - log_sum).collect()
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equals in order.chunk_by(|a, b| values[*a] == values[*b]) {
        // Ranks before+1 to before+n share their mean.
        let rank = before as f64 + (equals.len() as f64 + 1.0) / 2.0;
        for index in equals {
            ranks[*index] = rank;
        }
        before += equals.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, arr2};
    use proptest::prelude::*;

    const TOLERANCE: f64 = 1e-9;

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
                accuracy(predicted, gold),
                f1(predicted, gold, 1),
                macro_f1(predicted, gold),
                matthews(predicted, gold),
            ];
            for (found, expected) in found.into_iter().zip(expected) {
                assert!(close(found, expected), "{found:?} instead of {expected}");
            }
        }
        assert_eq!(f1(&[0, 2], &[0, 0], 1), Some(0.0));
        for nothing in [accuracy(&[], &[]), f1(&[], &[], 1), macro_f1(&[], &[]), matthews(&[], &[])] {
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
            for figure in [accuracy(&predicted, &gold), macro_f1(&predicted, &gold), f1(&predicted, &gold, 2)] {
                prop_assert!((0.0..=1.0).contains(&figure.unwrap()));
            }
            let m = matthews(&predicted, &gold).unwrap();
            prop_assert!((-1.0 - TOLERANCE..=1.0 + TOLERANCE).contains(&m));
            // For 0/1 values Matthews' correlation is Pearson's.
            let bits = |classes: &[usize]| classes.iter().map(|class| (class % 2) as f64).collect::<Vec<_>>();
            let parities = |classes: &[usize]| classes.iter().map(|class| class % 2).collect::<Vec<_>>();
            if let Some(p) = pearson(&bits(&predicted), &bits(&gold)) {
                prop_assert!(close(matthews(&parities(&predicted), &parities(&gold)), p));
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
