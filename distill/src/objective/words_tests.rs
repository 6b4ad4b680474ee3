use super::*;
use ndarray::{arr1, arr2};
use student::gradcheck::{gradcheck, noise2};

const BOUND: f64 = 1e-6;

#[test]
fn the_loss_on_masked_words_has_the_gradient_of_its_value_and_begins_at_the_logarithm_of_the_vocabulary() {
    let objective = Objective::new([Term { weight: 0.5.into(), loss: Loss::MaskedCrossEntropy }]).unwrap();
    assert!(objective.predicts_words() && !objective.asked().logits && !objective.needs_teacher());
    let words = [4, 0, 2];
    let target = Target { soft: None, gold: &[], inside: None, offsets: &[], words: &words, likely: None };
    let totals = Totals { masked: 3, ..Totals::default() };
    let evaluate = |words: &Array2<f64>| {
        let said = Outputs { words: words.clone(), ..Outputs::default() };
        let (evaluation, d) = objective.evaluate(&said, &target, totals);
        (evaluation.total, d.words)
    };
    gradcheck(&(noise2([3, 5], 1) * 3.0), |words: &Array2<f64>| evaluate(words)).assert_below(BOUND);
    assert!((evaluate(&Array2::zeros((3, 5))).0 - 0.5 * 5.0_f64.ln()).abs() < 1e-12);
}

/// Returns what a teacher thinks of three masked tokens, its `count` likeliest words of five one by one.
fn likely(logits: &Array2<f64>, count: usize, temperature: f64) -> LikelyWords<f64> {
    let mut ids = Array2::zeros((logits.nrows(), count));
    let mut others = Vec::new();
    for (row, mut ids) in logits.rows().into_iter().zip(ids.rows_mut()) {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        ids.iter_mut().zip(&order).for_each(|(id, &word)| *id = word as u32);
        others.push(order[count..].iter().map(|&word| (row[word] / temperature).exp()).sum::<f64>().ln());
    }
    let kept = Array2::from_shape_fn(ids.dim(), |(row, place)| logits[[row, ids[[row, place]] as usize]]);
    LikelyWords { ids, logits: kept, others: others.into() }
}

#[test]
fn the_divergence_from_likely_words_has_the_gradient_of_its_value_and_is_the_whole_one_when_all_are_kept() {
    let (student, teacher) = (noise2::<f64>([3, 5], 1) * 3.0, noise2::<f64>([3, 5], 2) * 3.0);
    for temperature in [1.0, 2.0] {
        let whole = kl(student.view(), teacher.view(), temperature);
        let mut before = f64::INFINITY;
        for count in [5, 3, 1, 0] {
            let likely = likely(&teacher, count, temperature);
            let evaluate = |words: &Array2<f64>| masked_kl(words.view(), &likely, temperature);
            if count > 0 {
                gradcheck(&student, |words: &Array2<f64>| evaluate(words)).assert_below(BOUND);
            }
            let (value, gradient) = evaluate(&student);
            assert!(value <= before + 1e-12, "what is taken together can only come nearer");
            before = value;
            if count == 5 {
                assert!((value - whole.0).abs() < 1e-12, "{value} {}", whole.0);
                assert!((gradient - &whole.1).iter().all(|d| d.abs() < 1e-12));
            }
        }
        assert!(before.abs() < 1e-12, "all words together are certain");
    }
}

#[test]
fn the_divergence_from_likely_words_of_a_student_like_its_teacher_is_nothing_however_sure_it_is() {
    for scale in [1.0, 1e3] {
        let teacher = noise2::<f64>([3, 5], 2) * scale;
        let (value, gradient) = masked_kl(teacher.view(), &likely(&teacher, 2, 1.0), 1.0);
        assert!(value.abs() < 1e-9 && gradient.iter().all(|d| d.abs() < 1e-9), "{value}");
    }
    let sure = LikelyWords { ids: arr2(&[[0]]), logits: arr2(&[[0.0_f32]]), others: arr1(&[-1e4]) };
    let (value, gradient) = masked_kl(arr2(&[[-1e4_f32, 1e4, 0.0]]).view(), &sure, 1.0);
    assert!(value.is_finite() && gradient.iter().all(|d| d.is_finite()), "{value}");
}

#[test]
fn the_divergence_from_likely_words_is_a_term_of_masked_words_that_needs_a_teacher() {
    let loss = Loss::MaskedKl { temperature: 2.0, words: 3 };
    let objective = Objective::new([Term { weight: 0.5.into(), loss }]).unwrap();
    assert!(objective.predicts_words() && objective.needs_teacher() && objective.compares_tokens());
    assert!(!objective.asked().logits && !objective.looks_inside() && !objective.needs_logits());
    assert_eq!(objective.words_of_teacher(), Some((3, 2.0)));
    let (student, teacher) = (noise2::<f64>([3, 5], 1), noise2::<f64>([3, 5], 2));
    let likely = likely(&teacher, 3, 2.0);
    let target = Target {
        soft: None,
        gold: &[],
        inside: None,
        offsets: &[],
        words: &[1, 2, 3],
        likely: Some(&likely),
    };
    let said = Outputs { words: student.clone(), ..Outputs::default() };
    let (evaluation, _) = objective.evaluate(&said, &target, Totals { masked: 6, ..Totals::default() });
    assert!((evaluation.total - 0.5 * masked_kl(student.view(), &likely, 2.0).0 / 6.0).abs() < 1e-12);
}
