//! Agreement with PyTorch: logits, losses, every gradient by name, three steps of AdamW.
//!
//! `fixtures/make_reference.py` made the numbers, in double precision.

use crate::support::fixture;
use distill::objective::{Loss, Objective, Target, Term, Totals};
use distill::task::Gold;
use ndarray::{Array2, ArrayView2};
use safetensors::SafeTensors;
use student::architecture::Mode;
use student::bert::{Bert, BertConfig};
use student::optim::{AdamW, AdamWStep};
use student::{Architecture, Arena, Asked, PackedBatch, Real, checkpoint};

struct Reference {
    bytes: Vec<u8>,
    bert: Bert,
    params: Arena,
    objective: Objective,
}

impl Reference {
    fn read() -> Self {
        let config = std::fs::read_to_string(fixture("reference_config.json")).unwrap();
        let config = BertConfig {
            hidden_dropout_prob: 0.0,
            attention_probs_dropout_prob: 0.0,
            ..BertConfig::from_json(&config).unwrap()
        };
        let bert = Bert::new(config).unwrap();
        let weights = checkpoint::read_weights(&fixture("reference_weights.safetensors")).unwrap();
        let mut params = Arena::zeros(bert.layout());
        let loaded = weights.load(bert.layout(), &mut params, None).unwrap();
        assert!(loaded.missing.is_empty() && loaded.unused.is_empty(), "{loaded:?}");
        let objective = Objective::new([
            Term { weight: 0.7.into(), loss: Loss::Kl { temperature: 2.0 } },
            Term { weight: 0.2.into(), loss: Loss::CrossEntropy },
            Term { weight: 0.1.into(), loss: Loss::LogitMse },
        ])
        .unwrap();
        let bytes = std::fs::read(fixture("reference.safetensors")).unwrap();
        Reference { bytes, bert, params, objective }
    }

    fn words<const N: usize>(&self, name: &str) -> Vec<[u8; N]> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let data = file.tensor(name).unwrap().data();
        data.chunks_exact(N).map(|chunk| chunk.try_into().unwrap()).collect()
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        self.words(name).into_iter().map(f64::from_le_bytes).collect()
    }

    fn integers(&self, name: &str) -> Vec<usize> {
        self.words(name).into_iter().map(|word| i64::from_le_bytes(word) as usize).collect()
    }

    fn batch(&self) -> PackedBatch {
        let [ids, types] =
            ["ids", "type_ids"].map(|name| self.integers(name).iter().map(|&i| i as u32).collect::<Vec<_>>());
        let offsets = self.integers("offsets");
        PackedBatch::pack(offsets.windows(2).map(|pair| (&ids[pair[0]..pair[1]], &types[pair[0]..pair[1]])))
    }

    fn teacher(&self) -> Array2<f64> {
        Array2::from_shape_vec((4, 3), self.numbers("teacher")).unwrap()
    }

    fn gold(&self) -> Vec<Gold> {
        self.integers("labels").into_iter().map(Gold::Class).collect()
    }
}

fn assert_close<F: Real>(what: &str, found: &[F], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found.f64() - expected).abs();
        assert!(difference <= tolerance, "{what}[{i}]: {found} instead of {expected}");
    }
}

/// Compares everything with the reference, at the precision of `F`.
fn check<F: Real>(tolerance: f64) {
    let reference = Reference::read();
    let (bert, batch, gold) = (&reference.bert, reference.batch(), reference.gold());
    let teacher = reference.teacher().mapv(F::of);
    let target = Target {
        soft: Some(ArrayView2::from(&teacher)),
        gold: &gold,
        inside: None,
        offsets: &[],
        words: &[],
        likely: None,
    };
    let (mut params, mut grads) = (reference.params.cast::<F>(), Arena::<F>::zeros(bert.layout()));
    let mut optimizer = AdamW::new(bert.layout());
    let settings = AdamWStep { learning_rate: 1e-3, ..AdamWStep::default() };
    for step in 0..3 {
        let (outputs, saved) = bert.forward(&(&params).into(), &batch, &Asked::logits(), Mode::Evaluate);
        let (evaluation, d_outputs) = reference.objective.evaluate(&outputs, &target, Totals::of(&gold, []));
        assert_close("loss", &[evaluation.total], &[reference.numbers("step_losses")[step]], tolerance);
        bert.backward(&(&params).into(), saved, d_outputs, &mut grads);
        if step == 0 {
            let logits: Vec<F> = outputs.logits.iter().copied().collect();
            assert_close("logits", &logits, &reference.numbers("logits"), tolerance);
            for (term, value) in ["kl", "cross_entropy", "logit_mse"].iter().zip(&evaluation.terms) {
                assert_close(term, &[*value], &reference.numbers(&format!("term.{term}")), tolerance);
            }
            for entry in bert.layout().entries() {
                let expected = reference.numbers(&format!("grad.{}", entry.name));
                assert_close(&entry.name, &grads.data()[entry.range()], &expected, tolerance);
            }
        }
        let norm = optimizer.update(bert.layout(), &mut params, &mut grads, &settings);
        assert_close("norm", &[norm], &[reference.numbers("step_grad_norms")[step]], 10.0 * tolerance);
    }
    for entry in bert.layout().entries() {
        // The gradient of a key bias is zero, so that Adam divides one rounding error by another.
        let noise = if entry.name.ends_with("key.bias") && tolerance > 1e-8 { 3e-3 } else { tolerance };
        let expected = reference.numbers(&format!("step3.{}", entry.name));
        assert_close(&entry.name, &params.data()[entry.range()], &expected, noise);
    }
}

#[test]
fn double_precision_agrees_with_pytorch_to_nine_digits() {
    check::<f64>(1e-9);
}

#[test]
fn single_precision_agrees_with_pytorch() {
    check::<f32>(1e-5);
}
