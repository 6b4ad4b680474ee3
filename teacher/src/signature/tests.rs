//! Tests of which tensor plays which role.

use super::*;

/// Reads `name element [axis, axis]`; a number is a fixed axis.
fn tensor(text: &str) -> TensorInfo {
    let (head, shape) = text.split_once(" [").expect("a shape");
    let (name, element) = head.split_once(' ').expect("an element type");
    let element = match element {
        "int32" => Element::Int32,
        "int64" => Element::Int64,
        "float16" => Element::Float16,
        "float32" => Element::Float32,
        "float64" => Element::Float64,
        other => Element::Other(other.into()),
    };
    let axes = shape.trim_end_matches(']').split(", ").filter(|axis| !axis.is_empty());
    let axis = |axis: &str| axis.parse().map_or_else(|_| Dimension::Symbolic(axis.into()), Dimension::Fixed);
    TensorInfo { name: name.into(), element, shape: axes.map(axis).collect() }
}

fn of(inputs: &[&str], outputs: &[&str], names: &Names) -> Result<Signature, Error> {
    let read = |texts: &[&str]| texts.iter().map(|text| tensor(text)).collect::<Vec<_>>();
    Signature::of("teacher.onnx", &read(inputs), &read(outputs), names, Head::Classes)
}

fn of_words(outputs: &[&str]) -> Result<Signature, Error> {
    let read = |texts: &[&str]| texts.iter().map(|text| tensor(text)).collect::<Vec<_>>();
    Signature::of("lm.onnx", &read(&[IDS, MASK]), &read(outputs), &Names::default(), Head::Words)
}

const IDS: &str = "input_ids int64 [batch, seq]";
const MASK: &str = "attention_mask int64 [batch, seq]";
const TYPES: &str = "token_type_ids int64 [batch, seq]";
const LOGITS: &str = "logits float32 [batch, 2]";

/// Returns the signature of a graph with ids, a mask, and these inputs besides.
pub(crate) fn signature_with(others: &[&str]) -> Signature {
    let others: Vec<_> = others.iter().map(|name| format!("{name} int64 [batch, seq]")).collect();
    let inputs: Vec<_> = [IDS, MASK].into_iter().chain(others.iter().map(String::as_str)).collect();
    of(&inputs, &[LOGITS], &Names::default()).expect("a signature")
}

#[test]
fn the_usual_exports_are_understood() {
    let bert = of(&[IDS, MASK, TYPES], &[LOGITS], &Names::default()).expect("BERT");
    assert_eq!(bert.num_classes(), Some(2));
    assert!(bert.token_type_ids.is_some() && bert.position_ids.is_none());

    let distilbert = of(&[MASK, IDS], &[LOGITS], &Names::default()).expect("DistilBERT");
    assert!(distilbert.token_type_ids.is_none());

    let positions = "position_ids int32 [b, s]";
    let with_positions = of(&[IDS, MASK, positions], &[LOGITS], &Names::default()).expect("positions");
    assert_eq!(with_positions.position_ids.map(|input| input.element), Some(Element::Int32));
}

#[test]
fn an_undeclared_class_count_is_left_to_the_first_run() {
    for output in ["logits float16 [batch, classes]", "logits float32 []"] {
        let signature = of(&[IDS, MASK], &[output], &Names::default()).expect(output);
        assert_eq!(signature.num_classes(), None, "{output}");
    }
}

#[test]
fn logits_are_found_by_name_then_by_shape() {
    for (outputs, found) in [
        (vec!["hidden float32 [b, s, 384]", LOGITS], "logits"),
        (vec!["scores float32 [b, 9]", LOGITS], "logits"),
        (vec!["output_0 float32 [b, 3]", "hidden float32 [b, s, 384]"], "output_0"),
        (vec!["pooler_output float32 [b, 384]", "output float64 [b, 3]"], "output"),
        (vec!["probabilities float32 [b, 3]", "scores float32 [b, 3]"], "scores"),
    ] {
        let signature = of(&[IDS, MASK], &outputs, &Names::default()).expect(found);
        assert_eq!(signature.logits.expect("logits").name, found);
    }
}

#[test]
fn the_callers_names_win() {
    let names = Names {
        attention_mask: Some("mask".into()),
        logits: Some("probabilities".into()),
        ..Names::default()
    };
    let outputs = [LOGITS, "probabilities float32 [b, 2]"];
    let signature = of(&[IDS, "mask int64 [b, s]"], &outputs, &names).expect("renamed");
    assert_eq!(signature.attention_mask.name, "mask");
    assert_eq!(signature.logits.expect("logits").name, "probabilities");
}

#[test]
fn what_does_not_fit_is_refused_with_what_there_is() {
    let mask = "mask int64 [batch, seq]";
    let check = |inputs: &[&str], outputs: &[&str], names: &Names, message: &str| {
        let error = of(inputs, outputs, names).expect_err(message);
        assert!(error.to_string().contains(message), "{error}");
        assert!(error.hint().is_some(), "{error}");
    };
    let usual = Names::default();
    check(&[], &[LOGITS], &usual, "no input named `input_ids`; it has none");
    check(
        &[IDS, mask],
        &[LOGITS],
        &usual,
        "teacher.onnx has no input named `attention_mask`; it has `input_ids` (int64 [batch, seq]), `mask` \
         (int64 [batch, seq])",
    );
    check(&[IDS, MASK, mask], &[LOGITS], &usual, "wants an input `mask`");
    check(&["input_ids int64 [1, 128]", MASK], &[LOGITS], &usual, "`input_ids` (int64 [1, 128])");
    check(&["input_ids float32 [b, s]", MASK], &[LOGITS], &usual, "int64 or int32");
    check(&[IDS, MASK], &["last_hidden_state float32 [b, s, 384]"], &usual, "no classifier output");
    check(&[IDS, MASK], &["sentence_embedding float32 [b, 384]"], &usual, "`sentence_embedding`");
    check(&[IDS, MASK], &["logits float32 [b, s, 30522]"], &usual, "`logits` (float32 [b, s, 30522])");
    check(&[IDS, MASK], &["logits int64 [b, 2]"], &usual, "`logits` (int64 [b, 2])");
    check(&[IDS, MASK], &["a float32 [b, 2]", "c float32 [b, 3]"], &usual, "`a` (float32 [b, 2]), `c`");
    check(&[IDS, MASK], &["label int64 [b]"], &usual, "no classifier output");

    let absent = Names { logits: Some("scores".into()), ..Names::default() };
    check(&[IDS, MASK], &[LOGITS], &absent, "no output named `scores`; it has `logits` (float32 [batch, 2])");
    let absent = Names { token_type_ids: Some("segments".into()), ..Names::default() };
    check(&[IDS, MASK], &[LOGITS], &absent, "no input named `segments`");
}

#[test]
fn the_words_of_a_masked_language_model_are_found_by_name_then_by_shape() {
    for (outputs, found) in [
        (vec!["logits float32 [b, s, 30522]"], "logits"),
        (vec!["prediction_scores float16 [b, s, v]", "pooled float32 [b, 4]"], "prediction_scores"),
        (vec!["last_hidden_state float32 [b, s, 8]", "output_0 float32 [b, s, 99]"], "output_0"),
        (vec!["logits float32 []"], "logits"),
    ] {
        let signature = of_words(&outputs).expect(found);
        assert_eq!(signature.num_classes(), None);
        assert_eq!(signature.logits.expect("logits").name, found);
    }
    for (outputs, message) in [
        (vec![LOGITS], "`logits` (float32 [batch, 2]), but a float output [batch, sequence, vocabulary]"),
        (vec!["last_hidden_state float32 [b, s, 8]"], "says nothing of words"),
        (vec!["a float32 [b, s, 8]", "c float32 [b, s, 9]"], "several outputs"),
        (vec!["logits float32 [b, 128, 9]"], "free sequence axis"),
    ] {
        let error = of_words(&outputs).expect_err(message);
        assert!(error.to_string().contains(message) && error.hint().is_some(), "{error}");
    }
}
