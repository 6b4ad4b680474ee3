use super::*;
use ndarray::{arr2, s};
use student::gradcheck::{gradcheck, noise2};

const BOUND: f64 = 1e-6;

fn losses() -> Vec<Loss> {
    let temperatures = [0.5, 1.0, 4.0].map(|temperature| Loss::Kl { temperature });
    temperatures.into_iter().chain([Loss::CrossEntropy, Loss::LogitMse, Loss::LabelMse]).collect()
}

/// Gold labels that suit the loss, with one missing.
fn gold(loss: Loss) -> [Gold; 3] {
    match loss {
        Loss::LabelMse => [Gold::Value(0.5), Gold::Missing, Gold::Value(-1.0)],
        _ => [Gold::Class(1), Gold::Missing, Gold::Class(4)],
    }
}

fn classes(loss: Loss) -> usize {
    if loss == Loss::LabelMse { 1 } else { 5 }
}

#[test]
fn every_loss_has_the_gradient_of_its_value() {
    for loss in losses() {
        let (logits, teacher) = (noise2([3, classes(loss)], 1) * 3.0, noise2([3, classes(loss)], 2) * 3.0);
        let gold = gold(loss);
        let target = Target { soft: Some(teacher.view()), gold: &gold };
        let check = gradcheck(&logits, |z: &Array2<f64>| loss.value_and_grad(z.view(), &target));
        assert!(check.worst < BOUND, "{loss:?}: {check:?}");
    }
}

#[test]
fn an_objective_has_the_gradient_of_its_value() {
    let objective = Objective::new([
        Term { weight: 0.7, loss: Loss::Kl { temperature: 2.0 } },
        Term { weight: 0.2, loss: Loss::CrossEntropy },
        Term { weight: 0.1, loss: Loss::LogitMse },
    ])
    .unwrap();
    let (logits, teacher) = (noise2([3, 5], 1), noise2([3, 5], 2));
    let gold = gold(Loss::CrossEntropy);
    let target = Target { soft: Some(teacher.view()), gold: &gold };
    gradcheck(&logits, |z: &Array2<f64>| {
        let (evaluation, gradient) = objective.evaluate(z.view(), &target, Totals::of(&gold));
        (evaluation.total, gradient)
    })
    .assert_below(BOUND);
}

#[test]
fn losses_have_their_closed_form_values() {
    let (student, teacher) = (arr2(&[[0.0, 0.0]]), arr2(&[[3.0_f64.ln(), 0.0]]));
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    close(kl(student.view(), teacher.view(), 1.0).0, 0.75 * 1.5_f64.ln() + 0.25 * 0.5_f64.ln());
    close(cross_entropy(teacher.view(), &[Gold::Class(1)]).0, 4.0_f64.ln());
    close(logit_mse(student.view(), teacher.view()).0, 3.0_f64.ln().powi(2) / 2.0);
    close(label_mse(arr2(&[[1.5]]).view(), &[Gold::Value(-0.5)]).0, 4.0);
}

#[test]
fn kl_of_equal_logits_is_zero_with_zero_gradient() {
    let logits = noise2::<f64>([3, 5], 1);
    for temperature in [0.5, 1.0, 4.0] {
        let (value, gradient) = kl(logits.view(), logits.view(), temperature);
        assert_eq!(value, 0.0);
        assert!(gradient.iter().all(|&d| d == 0.0));
    }
}

#[test]
fn kl_ignores_a_constant_added_to_all_logits() {
    let (student, teacher) = (noise2::<f64>([3, 5], 1), noise2::<f64>([3, 5], 2));
    let shifted = kl((&student + 7.0).view(), (&teacher - 3.0).view(), 2.0);
    let plain = kl(student.view(), teacher.view(), 2.0);
    assert!((shifted.0 - plain.0).abs() < 1e-12);
    assert!((shifted.1 - plain.1).iter().all(|d| d.abs() < 1e-12));
}

#[test]
fn the_gradient_of_kl_keeps_its_size_at_high_temperature() {
    let (student, teacher) = (noise2::<f64>([3, 5], 1), noise2::<f64>([3, 5], 2));
    let size = |temperature| kl(student.view(), teacher.view(), temperature).1.mapv(|d| d * d).sum().sqrt();
    assert!((size(20.0) / size(40.0) - 1.0).abs() < 0.05, "{} against {}", size(20.0), size(40.0));
}

#[test]
fn extreme_logits_give_finite_losses() {
    let (student, teacher) = (arr2(&[[1e30_f32, -1e30, 0.0]]), arr2(&[[-1e4_f32, 1e4, 0.0]]));
    for loss in [Loss::Kl { temperature: 1.0 }, Loss::CrossEntropy] {
        let target = Target { soft: Some(teacher.view()), gold: &[Gold::Class(1)] };
        let (value, gradient) = loss.value_and_grad(student.view(), &target);
        assert!(value.is_finite() && gradient.iter().all(|d| d.is_finite()), "{loss:?}: {value}");
    }
}

#[test]
fn a_step_in_two_batches_is_the_same_as_in_one() {
    let objective = Objective::new([
        Term { weight: 0.5, loss: Loss::Kl { temperature: 2.0 } },
        Term { weight: 0.5, loss: Loss::CrossEntropy },
    ])
    .unwrap();
    let (logits, teacher) = (noise2::<f64>([3, 5], 1), noise2::<f64>([3, 5], 2));
    let gold = gold(Loss::CrossEntropy);
    let totals = Totals::of(&gold);
    let part = |rows: std::ops::Range<usize>| {
        let soft = teacher.slice(s![rows.clone(), ..]);
        let target = Target { soft: Some(soft), gold: &gold[rows.clone()] };
        objective.evaluate(logits.slice(s![rows, ..]), &target, totals)
    };
    let (whole, first, rest) = (part(0..3), part(0..1), part(1..3));
    assert!((whole.0.total - first.0.total - rest.0.total).abs() < 1e-12);
    let joined = ndarray::concatenate![ndarray::Axis(0), first.1, rest.1];
    assert!((whole.1 - joined).iter().all(|d| d.abs() < 1e-12));
}

#[test]
fn an_objective_that_cannot_be_computed_is_refused_with_a_hint() {
    let one = |loss| Objective::new([Term { weight: 1.0, loss }]).unwrap();
    let kl = Loss::Kl { temperature: 2.0 };
    for (loss, teacher, labelled, regression, message) in [
        (kl, false, 9, false, "there is no teacher"),
        (Loss::CrossEntropy, true, 0, false, "no example has a label"),
        (Loss::CrossEntropy, true, 9, true, "the task is a regression"),
        (Loss::LabelMse, true, 9, false, "the task is a classification"),
        (kl, true, 9, true, "the task is a regression"),
    ] {
        let error = one(loss).check(teacher, labelled, regression).unwrap_err();
        assert!(error.to_string().contains(message), "{loss:?}: {error}");
        assert!(crate::error::hint_of(&error).is_some());
    }
    one(kl).check(true, 0, false).unwrap();
    one(Loss::LogitMse).check(true, 0, true).unwrap();
    let bad = |weight, temperature| Objective::new([Term { weight, loss: Loss::Kl { temperature } }]);
    assert!(
        bad(0.0, 1.0).is_err()
            && bad(-1.0, 1.0).is_err()
            && bad(1.0, 0.0).is_err()
            && bad(f64::NAN, 1.0).is_err()
    );
}
