use super::{Wide, check};
use ndarray::{Array2, Axis};
use std::collections::BTreeMap;
use std::path::Path;
use student::bert::{Bert, BertConfig, Family};
use student::engine::{CpuEngine, Engine};
use student::weights::{Tensor, Weights};
use student::{Architecture, Arena, Asked, PackedBatch, Precision, init};

fn config(hidden_size: usize, intermediate_size: usize) -> BertConfig {
    BertConfig {
        vocab_size: 40,
        hidden_size,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size,
        max_position_embeddings: 12,
        labels: ["a", "b", "c"].map(str::to_owned).to_vec(),
        ..BertConfig::default()
    }
}

fn batches() -> [PackedBatch; 2] {
    let texts: Vec<Vec<u32>> =
        (0..40).map(|text| (0..3 + text % 9).map(|i| (7 * text + 3 * i) % 40).collect()).collect();
    let segments: Vec<Vec<u32>> = texts.iter().map(|ids| ids.iter().map(|id| id % 2).collect()).collect();
    let pack =
        |of: std::ops::Range<usize>| PackedBatch::pack(of.map(|text| (&*texts[text], &*segments[text])));
    [pack(0..20), pack(20..40)]
}

/// Returns the weights of a model, changed one by one.
fn weights(config: &BertConfig, change: impl Fn(&str, &mut Array2<f32>)) -> Weights {
    let bert = Bert::new(config.clone()).unwrap();
    let params = init::random(bert.layout(), 0.4, 3);
    let mut tensors = BTreeMap::new();
    for entry in bert.layout().entries() {
        let columns = *entry.shape.last().unwrap();
        let data = params.data()[entry.range()].to_vec();
        let mut tensor = Array2::from_shape_vec((data.len() / columns, columns), data).unwrap();
        if entry.name.ends_with("bias") {
            tensor = student::gradcheck::noise2::<f32>(tensor.dim().into(), entry.range().start as u64);
        }
        change(&entry.name, &mut tensor);
        let data = tensor.iter().copied().collect();
        tensors.insert(entry.name.clone(), Tensor { shape: entry.shape.clone(), data });
    }
    Weights::new("wide", tensors)
}

fn says(config: &BertConfig, weights: &Weights) -> Vec<Array2<f32>> {
    let bert = Bert::new(config.clone()).unwrap();
    let mut params = Arena::zeros(bert.layout());
    assert!(weights.load(bert.layout(), &mut params, None).unwrap().missing.is_empty());
    let mut engine = CpuEngine::new(bert, params, 1, Precision::F32).unwrap();
    batches().iter().map(|batch| engine.evaluate(batch, &Asked::logits()).logits).collect()
}

fn assert_same(one: &[Array2<f32>], other: &[Array2<f32>]) {
    for (one, other) in one.iter().zip(other) {
        assert!(one.std(0.0) > 0.1, "it says the same of everything");
        assert!((one - other).iter().all(|difference| difference.abs() < 1e-3), "{one} {other}");
    }
}

/// Silences every second row from the first one that is silent, and takes the mean away from the others.
fn center(tensor: &mut Array2<f32>) {
    for mut row in tensor.rows_mut() {
        let mean = row.iter().step_by(2).sum::<f32>() / (row.len() / 2) as f32;
        row.indexed_iter_mut().for_each(|(i, x)| *x = if i % 2 == 0 { *x - mean } else { 0.0 });
    }
}

/// Makes a model say nothing with every second number inside it: hidden states, what heads are made of, neurons.
fn disguise(name: &str, tensor: &mut Array2<f32>) {
    let silence = |tensor: &mut Array2<f32>, axis: usize| {
        tensor.axis_iter_mut(Axis(axis)).skip(1).step_by(2).for_each(|mut part| part.fill(0.0));
    };
    let is_bias = name.ends_with("bias");
    match name {
        _ if name.contains("LayerNorm.weight") => {}
        _ if name.contains("_embeddings") || name.contains("LayerNorm.bias") => center(tensor),
        _ if name.contains(".output.dense.bias") => center(tensor),
        _ if name.contains(".output.dense.weight") => {
            silence(tensor, 1);
            let mut across = tensor.t().to_owned();
            center(&mut across);
            tensor.assign(&across.t());
        }
        _ if name.contains("classifier.weight") => silence(tensor, 1),
        _ if name.contains(".self.") || name.contains(".intermediate.") => {
            silence(tensor, usize::from(is_bias))
        }
        _ => {}
    }
}

#[test]
fn a_narrow_model_in_a_wide_one_is_found_again() {
    let (wide, narrow) = (config(32, 48), config(16, 24));
    let weights = weights(&wide, disguise);
    let found = Wide::new(wide.clone(), &weights, 1).unwrap().narrowed(&narrow, None, batches()).unwrap();
    assert!(found.kept > 0.999_999, "{}", found.kept);
    assert_same(&says(&wide, &weights), &says(&narrow, &found.weights));
}

#[test]
fn heads_that_look_at_nothing_are_the_first_to_go_and_what_they_always_add_stays() {
    let (wide, narrow) = (
        BertConfig { num_attention_heads: 4, ..config(16, 24) },
        BertConfig { num_attention_heads: 2, ..config(16, 24) },
    );
    let weights = weights(&wide, |name, tensor| {
        if name.contains("self.value.weight") {
            [0, 1, 2, 3, 8, 9, 10, 11].into_iter().for_each(|row| tensor.row_mut(row).fill(0.0));
        }
    });
    let found = Wide::new(wide.clone(), &weights, 1).unwrap().narrowed(&narrow, None, batches()).unwrap();
    assert_same(&says(&wide, &weights), &says(&narrow, &found.weights));
}

#[test]
fn a_model_without_what_it_does_not_use_says_the_same() {
    let distilbert = |config| BertConfig { model_type: Family::DistilBert, type_vocab_size: 0, ..config };
    let (wide, narrow) = (config(16, 40), config(16, 24));
    for (wide, narrow) in [(distilbert(wide.clone()), distilbert(narrow.clone())), (wide, narrow)] {
        let weights = weights(&wide, |name, tensor| {
            let of_neurons = !name.contains("attention") && name.contains(".output.dense.weight");
            if of_neurons || name.ends_with("ffn.lin2.weight") {
                tensor.columns_mut().into_iter().take(16).for_each(|mut column| column.fill(0.0));
            }
        });
        let found = Wide::new(wide.clone(), &weights, 1).unwrap().narrowed(&narrow, None, batches()).unwrap();
        assert!((found.kept - 1.0).abs() < 1e-12);
        assert_same(&says(&wide, &weights), &says(&narrow, &found.weights));
    }
}

#[test]
fn layers_that_are_left_out_change_nothing_in_the_others() {
    let (wide, narrow) = (config(32, 48), config(16, 24));
    let weights = weights(&wide, |_, _| {});
    let made = |layers: Option<&[usize]>| {
        Wide::new(wide.clone(), &weights, 1).unwrap().narrowed(&narrow, layers, batches()).unwrap().weights
    };
    let (all, last) = (made(None), made(Some(&[1, 1])));
    assert_eq!((all.num_layers(), last.num_layers()), (2, 1));
    let of_last = |name: &&str| !name.contains("layer.0.");
    assert_eq!(last.names().collect::<Vec<_>>(), all.names().filter(of_last).collect::<Vec<_>>());
    assert!(last.names().all(|name| last.get(name) == all.get(name)));
}

#[test]
fn nothing_is_made_wider() {
    let error =
        |narrow: BertConfig| check(Path::new("wide"), &config(16, 24), &narrow).unwrap_err().to_string();
    assert!(error(config(32, 24)).contains("a width of 16, the student 32"), "{}", error(config(32, 24)));
    assert!(error(config(16, 25)).contains("24, the student 25"));
    assert!(
        error(BertConfig { num_attention_heads: 4, ..config(8, 24) })
            .contains("attention heads: 2, the student 4")
    );
    assert!(error(BertConfig { vocab_size: 41, ..config(8, 24) }).contains("40"));
}

#[test]
fn what_is_no_number_is_refused() {
    let weights = weights(&config(16, 24), |name, tensor| {
        if name.contains("pooler") {
            tensor[[0, 0]] = f32::NAN;
        }
    });
    let error = Wide::new(config(16, 24), &weights, 1).err().unwrap().to_string();
    assert!(error.contains("`wide` holds something that is no number"), "{error}");
}
