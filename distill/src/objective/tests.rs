use super::*;
use ndarray::{Array, Array3, arr2, s};
use student::gradcheck::{gradcheck, noise2};

const BOUND: f64 = 1e-6;

fn logits_of<'a, F>(teacher: &'a Array2<F>, gold: &'a [Gold]) -> Target<'a, F> {
    Target { soft: Some(teacher.view()), gold, inside: None, offsets: &[], words: &[], likely: None }
}

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
        let target = logits_of(&teacher, &gold);
        let check = gradcheck(&logits, |z: &Array2<f64>| loss.of_logits(z.view(), &target));
        assert!(check.worst < BOUND, "{loss:?}: {check:?}");
    }
}

#[test]
fn an_objective_has_the_gradient_of_its_value() {
    let objective = Objective::new([
        Term { weight: 0.7.into(), loss: Loss::Kl { temperature: 2.0 } },
        Term { weight: 0.2.into(), loss: Loss::CrossEntropy },
        Term { weight: 0.1.into(), loss: Loss::LogitMse },
    ])
    .unwrap();
    let (logits, teacher) = (noise2([3, 5], 1), noise2([3, 5], 2));
    let gold = gold(Loss::CrossEntropy);
    let target = logits_of(&teacher, &gold);
    gradcheck(&logits, |z: &Array2<f64>| {
        let (evaluation, gradient) =
            objective.evaluate(&Outputs::of_logits(z.clone()), &target, Totals::of(&gold, []));
        (evaluation.total, gradient.logits)
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
        let target = logits_of(&teacher, &[Gold::Class(1)]);
        let (value, gradient) = loss.of_logits(student.view(), &target);
        assert!(value.is_finite() && gradient.iter().all(|d| d.is_finite()), "{loss:?}: {value}");
    }
}

#[test]
fn a_step_in_two_batches_is_the_same_as_in_one() {
    let objective = Objective::new([
        Term { weight: 0.5.into(), loss: Loss::Kl { temperature: 2.0 } },
        Term { weight: 0.5.into(), loss: Loss::CrossEntropy },
    ])
    .unwrap();
    let (logits, teacher) = (noise2::<f64>([3, 5], 1), noise2::<f64>([3, 5], 2));
    let gold = gold(Loss::CrossEntropy);
    let totals = Totals::of(&gold, []);
    let part = |rows: std::ops::Range<usize>| {
        let soft = teacher.slice(s![rows.clone(), ..]).to_owned();
        let said = Outputs::of_logits(logits.slice(s![rows.clone(), ..]).to_owned());
        let (evaluation, d) = objective.evaluate(&said, &logits_of(&soft, &gold[rows]), totals);
        (evaluation, d.logits)
    };
    let (whole, first, rest) = (part(0..3), part(0..1), part(1..3));
    assert!((whole.0.total - first.0.total - rest.0.total).abs() < 1e-12);
    let joined = ndarray::concatenate![ndarray::Axis(0), first.1, rest.1];
    assert!((whole.1 - joined).iter().all(|d| d.abs() < 1e-12));
}

#[test]
fn an_objective_that_cannot_be_computed_is_refused_with_a_hint() {
    let one = |loss| Objective::new([Term { weight: 1.0.into(), loss }]).unwrap();
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
    let bad = |weight: f64, temperature| {
        Objective::new([Term { weight: weight.into(), loss: Loss::Kl { temperature } }])
    };
    assert!(
        bad(0.0, 1.0).is_err()
            && bad(-1.0, 1.0).is_err()
            && bad(1.0, 0.0).is_err()
            && bad(f64::NAN, 1.0).is_err()
    );
}

/// Two sequences of two and three tokens.
const OFFSETS: [usize; 3] = [0, 2, 5];
/// Width, heads and layers of a student and of its teacher.
const STUDENT: Sizes = Sizes { layers: 2, hidden: 6, heads: 2 };
const TEACHER: Sizes = Sizes { layers: 4, hidden: 12, heads: 2 };

fn inside_losses() -> [Loss; 6] {
    [
        Loss::EmbeddingMse,
        Loss::HiddenMse,
        Loss::HiddenCosine,
        Loss::ScoreMse,
        Loss::AttentionKl,
        Loss::RelationKl { heads: 3 },
    ]
}

/// What a model of some sizes says of the two sequences, as far as it is asked; `width` of the hidden states.
fn said(asked: &Asked, sizes: Sizes, width: usize, seed: u64) -> Outputs<f64> {
    let seeds = std::cell::Cell::new(seed);
    let next = || {
        seeds.set(seeds.get() + 1);
        seeds.get()
    };
    let scores = |tokens: usize| -> Array3<f64> {
        let flat = noise2([sizes.heads * tokens, tokens], next());
        flat.into_shape_with_order((sizes.heads, tokens, tokens)).unwrap() * 2.0
    };
    Outputs {
        logits: Array2::zeros((0, 0)),
        words: Array2::zeros((0, 0)),
        hidden: asked.hidden.iter().map(|_| noise2([5, width], next())).collect(),
        scores: asked.scores.iter().map(|_| vec![scores(2), scores(3)]).collect(),
        qkv: asked.qkv.iter().map(|_| [(); 3].map(|()| noise2([5, sizes.hidden], next()) * 2.0)).collect(),
    }
}

/// Everything that a model said, one number after the other.
fn flat(outputs: &Outputs<f64>) -> Vec<f64> {
    let hidden = outputs.hidden.iter().flatten();
    let scores = outputs.scores.iter().flatten().flatten();
    hidden.chain(scores).chain(outputs.qkv.iter().flatten().flatten()).copied().collect()
}

/// The same shapes with other numbers.
fn filled(like: &Outputs<f64>, numbers: &Array<f64, ndarray::Ix1>) -> Outputs<f64> {
    let (mut outputs, mut numbers) = (like.clone(), numbers.iter());
    let mut next = |x: &mut f64| *x = *numbers.next().expect("as many");
    outputs.hidden.iter_mut().flatten().for_each(&mut next);
    outputs.scores.iter_mut().flatten().flatten().for_each(&mut next);
    outputs.qkv.iter_mut().flatten().flatten().for_each(&mut next);
    outputs
}

fn totals() -> Totals {
    Totals::of(&[Gold::Missing; 2], [2, 3])
}

#[test]
fn every_loss_on_the_inside_has_the_gradient_of_its_value() {
    for loss in inside_losses() {
        let map = LayerMap::Pairs(vec![[1, 2], [2, 3], [2, 4]]);
        let objective = Objective::new([Term { weight: 0.7.into(), loss }]).unwrap();
        let objective = objective.between(&map, STUDENT, TEACHER).unwrap();
        let Comparison { student, teacher, .. } = objective.comparison().clone();
        let teacher = said(&teacher, TEACHER, TEACHER.hidden, 50);
        let student = said(&student, STUDENT, TEACHER.hidden, 10);
        let target = Target {
            soft: None,
            gold: &[],
            inside: Some(&teacher),
            offsets: &OFFSETS,
            words: &[],
            likely: None,
        };
        let check = gradcheck(&Array::from(flat(&student)), |numbers| {
            let (evaluation, d) = objective.evaluate(&filled(&student, numbers), &target, totals());
            assert!(evaluation.total > 0.0);
            (evaluation.total, Array::from(flat(&d)))
        });
        assert!(check.worst < BOUND, "{loss:?}: {check:?}");
    }
}

#[test]
fn a_model_compared_with_itself_differs_in_nothing() {
    for loss in inside_losses() {
        let objective = Objective::new([Term { weight: 1.0.into(), loss }]).unwrap();
        let objective = objective.between(&LayerMap::default(), STUDENT, STUDENT).unwrap();
        let same = said(objective.asked(), STUDENT, STUDENT.hidden, 10);
        let target = Target {
            soft: None,
            gold: &[],
            inside: Some(&same),
            offsets: &OFFSETS,
            words: &[],
            likely: None,
        };
        let (evaluation, d) = objective.evaluate(&same, &target, totals());
        assert!(evaluation.total.abs() < 1e-12, "{loss:?}: {evaluation:?}");
        assert!(flat(&d).iter().all(|d| d.abs() < 1e-12), "{loss:?}");
    }
}

#[test]
fn losses_on_the_inside_have_their_closed_form_values() {
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    close(hidden_mse(arr2(&[[1.0, 2.0]]).view(), arr2(&[[0.0, 4.0]]).view()).0, 2.5);
    close(
        hidden_cosine(arr2(&[[3.0, 0.0], [0.0, 0.0]]).view(), arr2(&[[1.0, 1.0], [1.0, 0.0]]).view()).0,
        2.0 - 0.5_f64.sqrt(),
    );
    let scores = |x: [f64; 4]| Array3::from_shape_vec((1, 2, 2), x.to_vec()).unwrap();
    let [zeros, other] = [scores([0.0; 4]), scores([3.0_f64.ln(), 0.0, 0.0, 0.0])];
    close(score_mse(zeros.view(), other.view()).0, 3.0_f64.ln().powi(2));
    let divergence = 0.75 * 1.5_f64.ln() + 0.25 * 0.5_f64.ln();
    close(attention_kl(zeros.view(), other.view()).0, divergence);
    // One head of width 1: relations of the teacher are [ln 3, 0; 0, 0], of the student nothing.
    let [none, root] = [arr2(&[[0.0], [0.0]]), arr2(&[[3.0_f64.ln().sqrt()], [0.0]])];
    close(relation_kl(none.view(), root.view(), &[0, 2], 1).0, divergence / 2.0);
}

#[test]
fn relations_do_not_depend_on_where_a_sequence_lies_in_a_batch_nor_on_the_teachers_heads() {
    let (student, teacher) = (noise2::<f64>([5, 6], 1), noise2::<f64>([5, 12], 2));
    let of = |rows: std::ops::Range<usize>, heads| {
        let part = |x: &Array2<f64>| x.slice(s![rows.clone(), ..]).to_owned();
        relation_kl(part(&student).view(), part(&teacher).view(), &[0, rows.len()], heads).0
    };
    for heads in [1, 2, 3, 6] {
        let whole = relation_kl(student.view(), teacher.view(), &OFFSETS, heads).0;
        assert!((whole - of(0..2, heads) - of(2..5, heads)).abs() < 1e-12);
    }
}

#[test]
fn models_that_cannot_be_compared_inside_are_refused_with_a_hint() {
    let between = |loss, student, teacher| {
        let objective = Objective::new([Term { weight: 1.0.into(), loss }]).unwrap();
        objective.between(&LayerMap::default(), student, teacher).unwrap_err()
    };
    let other_heads = Sizes { heads: 3, ..TEACHER };
    for (error, expected) in [
        (between(Loss::ScoreMse, STUDENT, other_heads), "the student has 2 and the teacher 3"),
        (between(Loss::AttentionKl, STUDENT, other_heads), "compares heads"),
        (
            between(Loss::RelationKl { heads: 4 }, STUDENT, TEACHER),
            "the student's width of 6 cannot be cut into 4",
        ),
        (between(Loss::RelationKl { heads: 0 }, STUDENT, TEACHER), "into 0 relation heads"),
        (between(Loss::HiddenMse, TEACHER, STUDENT), "its teacher only 2"),
    ] {
        assert!(error.to_string().contains(expected), "{error}");
        assert!(crate::error::hint_of(&error).is_some());
    }
}

#[test]
fn a_weight_that_rises_counts_by_how_much_is_done() {
    let ramp = Weight::Ramp(Ramp { from: 0.0, to: 2.0, over: 0.5 });
    let objective = Objective::new([
        Term { weight: ramp, loss: Loss::LogitMse },
        Term { weight: 1.0.into(), loss: Loss::Kl { temperature: 2.0 } },
    ])
    .unwrap();
    let (logits, teacher) = (noise2::<f64>([3, 5], 1), noise2::<f64>([3, 5], 2));
    let gold = gold(Loss::CrossEntropy);
    let evaluate = |objective: Objective| {
        let said = Outputs::of_logits(logits.clone());
        objective.evaluate(&said, &logits_of(&teacher, &gold), Totals::of(&gold, [])).0
    };
    let begun = evaluate(objective.at(0.0));
    assert!((begun.total - begun.terms[1]).abs() < 1e-12 && begun.terms[0] > 0.0);
    let halfway = evaluate(objective.at(0.25));
    assert!((halfway.total - halfway.terms[0] - halfway.terms[1]).abs() < 1e-12);
    assert_eq!(evaluate(objective.at(0.75)), evaluate(objective));
}
