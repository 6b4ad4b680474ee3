//! The figures against scikit-learn, SciPy, torchmetrics and statsmodels, and what is drawn again against what is known.

use super::answers::Answers;
use super::classes::Matter;
use super::measures::Measure;
use super::tally::{Evidence, Facts, judge};
use crate::certainty::{MAX_BLOCKS, Resampling, difference_of_shares, holm, mcnemar};
use crate::metrics::{fit_temperature, pearson, spearman};
use crate::task::Gold;
use ndarray::Array2;
use serde_json::Value;

/// Written by `make_metrics.py` beside it.
const REFERENCE: &str = include_str!("../../../tests/fixtures/metrics.json");
const TOLERANCE: f64 = 1e-6;

const OF_CLASSES: [Measure; 10] = [
    Measure::Accuracy,
    Measure::F1,
    Measure::MacroF1,
    Measure::MicroF1,
    Measure::Matthews,
    Measure::Agreement,
    Measure::MeanKl,
    Measure::Nll,
    Measure::Brier,
    Measure::Ece,
];

fn reference(part: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(REFERENCE).unwrap();
    all[part].as_array().unwrap().clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn matrix(value: &Value) -> Array2<f32> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(row, column)| rows[row][column] as f32)
}

/// Judges a model beside its teacher.
fn judged(
    [teacher, student]: [&Array2<f32>; 2],
    gold: &[Gold],
    measures: &[Measure],
    (resamples, threads): (usize, usize),
) -> (Evidence, Facts) {
    let [teacher, student] = [teacher, student].map(|logits| Answers::of(logits.view()).unwrap());
    let resampling = Resampling { rows: gold.len(), resamples, seed: 3 };
    let matter = Matter { gold, teacher: &teacher, resampling, measures, positive: 1 };
    judge(&matter, &student, threads, &|_| {})
}

#[test]
fn figures_of_classes_are_those_of_scikit_learn_and_torchmetrics() {
    for case in reference("classes") {
        let (teacher, student) = (matrix(&case["teacher"]), matrix(&case["student"]));
        let classes: Vec<usize> = numbers(&case["gold"]).iter().map(|class| *class as usize).collect();
        let gold: Vec<Gold> = classes.iter().map(|class| Gold::Class(*class)).collect();
        let (evidence, _) = judged([&teacher, &student], &gold, &OF_CLASSES, (1, 1));
        for (measure, found) in OF_CLASSES.iter().zip(evidence.values) {
            let Some(expected) = case["expected"][measure.name()].as_f64() else { continue };
            let name = measure.name();
            assert!((found - expected).abs() < TOLERANCE, "{}: {name} {found} {expected}", case["name"]);
        }
        if let Some(expected) = case["expected"]["temperature"].as_f64() {
            let found = fit_temperature(student.view(), &classes);
            assert!((found / expected - 1.0).abs() < TOLERANCE, "{}: {found} {expected}", case["name"]);
        }
    }
}

#[test]
fn correlations_are_those_of_scipy() {
    for case in reference("values") {
        let (gold, said) = (numbers(&case["gold"]), numbers(&case["predicted"]));
        let column = |values: &[f64]| Array2::from_shape_fn((values.len(), 1), |(row, _)| values[row] as f32);
        let golds: Vec<Gold> = gold.iter().map(|value| Gold::Value(*value as f32)).collect();
        let measures = [Measure::Pearson, Measure::Spearman, Measure::Agreement];
        let (evidence, _) = judged([&column(&gold), &column(&said)], &golds, &measures, (1, 1));
        let close = |found: Option<f64>, name: &str| match case[name].as_f64() {
            Some(expected) => assert!((found.unwrap() - expected).abs() < TOLERANCE, "{case}: {found:?}"),
            None => assert!(found.is_none_or(f64::is_nan), "{case}: {found:?}"),
        };
        close(pearson(&gold, &said), "pearson");
        close(spearman(&gold, &said), "spearman");
        for (place, name) in ["pearson", "spearman", "pearson"].into_iter().enumerate() {
            close(Some(evidence.values[place]), name);
        }
    }
}

#[test]
fn tests_and_intervals_are_those_of_the_references() {
    let count = |case: &Value, name: &str| case[name].as_u64().unwrap();
    for case in reference("mcnemar") {
        let (found, expected) =
            (mcnemar(count(&case, "broken"), count(&case, "fixed")), case["p"].as_f64().unwrap());
        assert!((found.p - expected).abs() < TOLERANCE * expected, "{found:?} {expected}");
    }
    for case in reference("tango") {
        let found = difference_of_shares(count(&case, "broken"), count(&case, "fixed"), count(&case, "rows"));
        let found = found.unwrap();
        for (found, name) in [(found.low, "low"), (found.high, "high")] {
            assert!((found - case[name].as_f64().unwrap()).abs() < TOLERANCE, "{case}: {found}");
        }
    }
    let all: Value = serde_json::from_str(REFERENCE).unwrap();
    let corrected = holm(&numbers(&all["holm"]["p"]));
    for (found, expected) in corrected.iter().zip(numbers(&all["holm"]["corrected"])) {
        assert!((found - expected).abs() < TOLERANCE);
    }
}

/// Logits of `rows` texts of three classes, and what is right; about one in eight has no label.
fn made_up(rows: usize) -> ([Array2<f32>; 2], Vec<Gold>) {
    let noise = |place: usize| (crate::batches::mix(place as u64) >> 40) as f32 / (1 << 24) as f32;
    let gold = |row: usize| (crate::batches::mix(row as u64 ^ 0xabc) % 3) as usize;
    let logits = |salt: usize, skill: f32| {
        Array2::from_shape_fn((rows, 3), |(row, class)| {
            noise(salt + 3 * row + class) * 3.0 + if gold(row) == class { skill } else { 0.0 }
        })
    };
    let labels = (0..rows).map(|row| if row % 8 == 5 { Gold::Missing } else { Gold::Class(gold(row)) });
    ([logits(0, 2.0), logits(1 << 40, 1.5)], labels.collect())
}

#[test]
fn threads_change_nothing_and_the_seed_decides() {
    let ([teacher, student], gold) = made_up(300);
    let of = |threads| judged([&teacher, &student], &gold, &OF_CLASSES, (150, threads)).0;
    let (one, three) = (of(1), of(3));
    assert_eq!(one.replicates, three.replicates);
    assert_eq!(one.jackknife, three.jackknife);
}

#[test]
fn rows_in_blocks_are_worth_what_they_are_alone() {
    let rows = 3 * MAX_BLOCKS + 11;
    let ([teacher, student], gold) = made_up(rows);
    let (evidence, facts) = judged([&teacher, &student], &gold, &OF_CLASSES, (400, 2));
    let labelled = gold.iter().filter(|gold| **gold != Gold::Missing).count() as f64;
    let accuracy = evidence.values[0];
    let expected = (accuracy * (1.0 - accuracy) / labelled).sqrt();
    assert!((evidence.standard_error(0) / expected - 1.0).abs() < 0.12, "{}", evidence.standard_error(0));
    let ends = evidence.interval(0).unwrap();
    assert!(
        ends.low < accuracy
            && accuracy < ends.high
            && (ends.high - ends.low - 3.92 * expected).abs() < 0.3 * expected
    );
    let Facts::Classes(facts) = facts else { panic!("these are classes") };
    assert_eq!(facts.confusion.values().sum::<u64>(), labelled as u64);
    assert_eq!(facts.reliability[0].iter().map(|bin| bin.rows).sum::<f64>(), labelled);
    assert_eq!((facts.broken.cases.len(), facts.fixed.cases.len()), (20, 20));
}

#[test]
fn a_scaled_model_is_surer_by_the_temperature_of_the_other_half() {
    let ([teacher, student], gold) = made_up(4000);
    let hot = &student * 4.0;
    let measures = [Measure::NllScaled, Measure::Nll, Measure::EceScaled, Measure::Ece];
    let (plain, _) = judged([&teacher, &student], &gold, &measures, (1, 1));
    let (scaled, facts) = judged([&teacher, &hot], &gold, &measures, (1, 1));
    let Facts::Classes(facts) = facts else { panic!("these are classes") };
    // What scaling undoes makes no difference after it.
    assert!((plain.values[0] - scaled.values[0]).abs() < 1e-5);
    assert!(scaled.values[1] > plain.values[1] && scaled.values[3] > scaled.values[2] + 0.05);
    let [one, other] = facts.temperatures;
    assert!(one != other && (one / other - 1.0).abs() < 0.2, "{one} {other}");
}
