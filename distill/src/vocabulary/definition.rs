//! A `tokenizer.json` of the WordPiece kind: read without trust, written with other ids.

use super::numbering::Numbering;
use super::word_piece::WordPiece;
use crate::error::explained;
use crate::names::list;
use anyhow::Result;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};

/// The highest id that is believed; no real vocabulary comes near.
const MAX_ID: u64 = 4_000_000;

/// What a tokenizer is defined by.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The file without its vocabulary.
    frame: Value,
    /// The pieces of the model.
    pub model: WordPiece,
    /// The ids of the tokens that are recognised before the model is asked, such as `[CLS]`.
    pub added: BTreeMap<String, u32>,
}

impl Definition {
    /// Reads the contents of a `tokenizer.json`. `who` is what messages call the tokenizer.
    ///
    /// # Errors
    /// When it is not a WordPiece tokenizer, two pieces have one id, an id is not a small whole number, the piece for
    /// unknown words is missing, or two places disagree about an id.
    pub fn read(mut json: Value, who: &str) -> Result<Self> {
        let wrong = |what: String| damaged(who, &what);
        let kind = kind_of(&json["model"]);
        if kind != "WordPiece" {
            return Err(explained(
                format!(
                    "the tokenizer in `{who}` is of the kind `{kind}`, whose vocabulary cannot be trimmed"
                ),
                "only WordPiece vocabularies can, those of BERT, DistilBERT, ELECTRA, MiniLM and MPNet; leave \
                 `--trim-vocab` away",
            ));
        }
        let vocabulary = json["model"]["vocab"].take();
        let model = WordPiece {
            ids: ids_of(&vocabulary).map_err(wrong)?,
            prefix: json["model"]["continuing_subword_prefix"].as_str().unwrap_or("##").to_owned(),
            max_chars: json["model"]["max_input_chars_per_word"].as_u64().unwrap_or(100) as usize,
        };
        let unknown = json["model"]["unk_token"].as_str().unwrap_or("[UNK]");
        if !model.ids.contains_key(unknown) {
            return Err(damaged(
                who,
                &format!("the piece for unknown words, `{unknown}`, is not in its vocabulary"),
            ));
        }
        let added = added_of(&json["added_tokens"], &model.ids).map_err(|what| damaged(who, &what))?;
        Ok(Definition { frame: json, model, added })
    }

    /// Returns the id of a piece or added token.
    pub fn id_of(&self, piece: &str) -> Option<u32> {
        self.added.get(piece).or_else(|| self.model.ids.get(piece)).copied()
    }

    /// Returns the number of pieces and added tokens.
    pub fn num_pieces(&self) -> usize {
        self.model.ids.len() + self.added.keys().filter(|token| !self.model.ids.contains_key(*token)).count()
    }

    /// Returns the pieces of the model by their ids.
    pub fn pieces(&self) -> Vec<(u32, &str)> {
        let mut pieces: Vec<_> = self.model.ids.iter().map(|(piece, &id)| (id, piece.as_str())).collect();
        pieces.sort_unstable();
        pieces
    }

    /// Returns the ids that the tokenizer needs whatever the texts: of added tokens, of the piece for unknown words, of
    /// what is put around texts, and of what fills them up.
    ///
    /// # Errors
    /// When one of these places holds no id.
    pub fn required(&self) -> Result<Vec<u32>> {
        let mut required: Vec<u32> = self.added.values().copied().collect();
        required.extend(self.frame["model"]["unk_token"].as_str().and_then(|unknown| self.id_of(unknown)));
        visit_ids(&mut self.frame.clone(), &mut |id| {
            required.push(read_id(id)?);
            Ok(())
        })?;
        Ok(required)
    }

    /// Returns the contents of a `tokenizer.json` with the kept pieces alone, under their new ids.
    ///
    /// # Errors
    /// When an id is needed that is not kept.
    pub fn renumbered(&self, numbering: &Numbering) -> Result<Value> {
        let mut json = self.frame.clone();
        visit_ids(&mut json, &mut |id| renumber(id, numbering))?;
        let kept = self
            .pieces()
            .into_iter()
            .filter_map(|(id, piece)| Some((piece.to_owned(), numbering.new_id(id)?.into())));
        json["model"]["vocab"] = Value::Object(kept.collect());
        Ok(json)
    }
}

/// Puts the new id in the place of an old one.
///
/// # Errors
/// When what is there is no id, or one that is not kept.
pub fn renumber(id: &mut Value, numbering: &Numbering) -> Result<()> {
    let old = read_id(id)?;
    let new = numbering.new_id(old).ok_or_else(|| {
        explained(
            format!("the id `{old}` is used, but no piece of the vocabulary has it"),
            "the files of the tokenizer do not belong together; copy them from the model's directory again",
        )
    })?;
    *id = new.into();
    Ok(())
}

/// Reads an id.
///
/// # Errors
/// When it is no whole number from 0 up to 4,000,000.
pub fn read_id(value: &Value) -> Result<u32> {
    id_in(value).ok_or_else(|| {
        explained(
            format!("`{value}` is not the id of a token"),
            "an id is a whole number from 0 up; copy the tokenizer's files from the model's directory again",
        )
    })
}

fn id_in(value: &Value) -> Option<u32> {
    value.as_u64().filter(|&id| id <= MAX_ID).map(|id| id as u32)
}

/// Hands on each place outside of the vocabulary that holds an id.
fn visit_ids(frame: &mut Value, visit: &mut dyn FnMut(&mut Value) -> Result<()>) -> Result<()> {
    let added = frame.get_mut("added_tokens").and_then(Value::as_array_mut);
    for id in added.into_iter().flatten().filter_map(|token| token.get_mut("id")) {
        visit(id)?;
    }
    if let Some(pad) = frame.pointer_mut("/padding/pad_id") {
        visit(pad)?;
    }
    frame.get_mut("post_processor").map_or(Ok(()), |processor| visit_processor(processor, visit))
}

/// Hands on the ids of what is put around texts.
fn visit_processor(processor: &mut Value, visit: &mut dyn FnMut(&mut Value) -> Result<()>) -> Result<()> {
    if processor.is_null() {
        return Ok(());
    }
    match processor["type"].as_str().unwrap_or_default() {
        "BertProcessing" | "RobertaProcessing" => {
            let mut missing = Value::Null;
            ["/sep/1", "/cls/1"]
                .into_iter()
                .try_for_each(|place| visit(processor.pointer_mut(place).unwrap_or(&mut missing)))
        }
        "TemplateProcessing" => {
            let special = processor.get_mut("special_tokens").and_then(Value::as_object_mut);
            let special = special.into_iter().flatten().filter_map(|(_, token)| token.get_mut("ids"));
            let ids = special.filter_map(Value::as_array_mut).flatten();
            ids.into_iter().try_for_each(visit)
        }
        "Sequence" => {
            let processors = processor.get_mut("processors").and_then(Value::as_array_mut);
            processors.into_iter().flatten().try_for_each(|processor| visit_processor(processor, visit))
        }
        other => Err(explained(
            format!("the tokenizer's post-processor is of the kind `{other}`, in which ids are not known"),
            "BertProcessing, RobertaProcessing and TemplateProcessing are known; leave `--trim-vocab` away",
        )),
    }
}

/// Returns the kind of a model. Files of old have none; then its settings tell.
fn kind_of(model: &Value) -> &str {
    let settings = || model.get("max_input_chars_per_word").map_or("unknown", |_| "WordPiece");
    model["type"].as_str().unwrap_or_else(settings)
}

fn ids_of(vocabulary: &Value) -> Result<HashMap<String, u32>, String> {
    let entries = vocabulary.as_object().filter(|entries| !entries.is_empty());
    let entries: &Map<String, Value> = entries.ok_or("it has no vocabulary")?;
    let (mut ids, mut taken) = (HashMap::with_capacity(entries.len()), HashMap::with_capacity(entries.len()));
    for (piece, id) in entries {
        let id =
            id_in(id).ok_or_else(|| format!("the piece {} has the id `{id}`", list([piece.as_str()])))?;
        if let Some(other) = taken.insert(id, piece.as_str()) {
            return Err(format!("the pieces {} have one id, `{id}`", list([other, piece])));
        }
        ids.insert(piece.clone(), id);
    }
    Ok(ids)
}

/// Returns the added tokens; those that are not in the vocabulary come after it.
fn added_of(tokens: &Value, vocabulary: &HashMap<String, u32>) -> Result<BTreeMap<String, u32>, String> {
    let highest = vocabulary.values().copied().max().unwrap_or(0);
    let mut added = BTreeMap::new();
    for token in tokens.as_array().into_iter().flatten() {
        let content = token["content"].as_str().ok_or_else(|| format!("`{token}` is no added token"))?;
        let shown = list([content]);
        let id = id_in(&token["id"])
            .ok_or_else(|| format!("the added token {shown} has the id `{}`", token["id"]))?;
        match vocabulary.get(content) {
            Some(&own) if own != id => {
                return Err(format!(
                    "the added token {shown} has the id `{id}`, but `{own}` in the vocabulary"
                ));
            }
            None if id <= highest => {
                return Err(format!(
                    "the added token {shown} has the id `{id}`, which is one of the vocabulary's"
                ));
            }
            _ => {}
        }
        if added.insert(content.to_owned(), id).is_some() {
            return Err(format!("the added token {shown} is there twice"));
        }
    }
    let distinct: std::collections::BTreeSet<_> = added.values().collect();
    if distinct.len() == added.len() { Ok(added) } else { Err("two added tokens have one id".into()) }
}

fn damaged(who: &str, what: &str) -> anyhow::Error {
    explained(
        format!("the tokenizer in `{who}` is damaged: {what}"),
        "copy `tokenizer.json` from the model's directory again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file() -> Value {
        json!({
            "added_tokens": [{ "id": 1, "content": "[CLS]" }, { "id": 9, "content": "<new>" }],
            "padding": { "pad_id": 0, "pad_token": "[PAD]" },
            "post_processor": { "type": "Sequence", "processors": [
                { "type": "TemplateProcessing", "special_tokens": { "[CLS]": { "id": "[CLS]", "ids": [1] } } },
                { "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 1] },
            ] },
            "model": {
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": { "[PAD]": 0, "[UNK]": 2, "[CLS]": 1, "[SEP]": 3, "drop": 4, "keep": 7 },
            },
        })
    }

    #[test]
    fn every_place_with_an_id_is_renumbered() {
        let definition = Definition::read(file(), "it").unwrap();
        let mut required = definition.required().unwrap();
        required.sort_unstable();
        required.dedup();
        assert_eq!(required, [0, 1, 2, 3, 9]);
        let json = definition.renumbered(&Numbering::of([1, 2, 3, 7, 9, 0])).unwrap();
        let expected = json!({ "[PAD]": 0, "[CLS]": 1, "[UNK]": 2, "[SEP]": 3, "keep": 4 });
        assert_eq!(json["model"]["vocab"], expected);
        assert_eq!(json["added_tokens"][1]["id"], 5);
        let missing = definition.renumbered(&Numbering::of([0, 1, 2, 9])).unwrap_err().to_string();
        assert!(missing.contains("the id `3` is used"), "{missing}");
        let mut shifted = file();
        shifted["model"]["vocab"]["[PAD]"] = json!(8);
        shifted["padding"]["pad_id"] = json!(8);
        let json =
            Definition::read(shifted, "it").unwrap().renumbered(&Numbering::of([1, 2, 3, 8, 9])).unwrap();
        assert_eq!(json["padding"]["pad_id"], 3);
        assert_eq!(json["post_processor"]["processors"][0]["special_tokens"]["[CLS]"]["ids"], json!([0]));
        assert_eq!(json["post_processor"]["processors"][1]["sep"], json!(["[SEP]", 2]));
    }

    #[test]
    fn hostile_files_are_refused_with_what_is_wrong() {
        let change = |path: &str, value: Value| {
            let mut json = file();
            *json.pointer_mut(path).unwrap() = value;
            json
        };
        for (json, expected) in [
            (change("/model/type", json!("BPE")), "is of the kind `BPE`"),
            (change("/model/type", json!("Unigram")), "is of the kind `Unigram`"),
            (json!({}), "is of the kind `unknown`"),
            (json!([1]), "is of the kind `unknown`"),
            (change("/model/vocab", json!({})), "it has no vocabulary"),
            (change("/model/vocab", json!([["a", 1]])), "it has no vocabulary"),
            (change("/model/vocab/keep", json!(4)), "`drop`, `keep` have one id, `4`"),
            (change("/model/vocab/keep", json!(-1)), "the piece `keep` has the id `-1`"),
            (change("/model/vocab/keep", json!(1.5)), "the piece `keep` has the id `1.5`"),
            (change("/model/vocab/keep", json!(u64::MAX)), "has the id `18446744073709551615`"),
            (change("/model/vocab/keep", json!("7")), "the piece `keep` has the id `\"7\"`"),
            (change("/model/unk_token", json!("<unk>")), "unknown words, `<unk>`, is not in"),
            (change("/added_tokens/0/id", json!(2)), "`[CLS]` has the id `2`, but `1` in"),
            (change("/added_tokens/1/id", json!(5)), "`<new>` has the id `5`, which is one of"),
            (change("/added_tokens/1/content", json!("[CLS]")), "`[CLS]` has the id `9`, but"),
            (change("/added_tokens/1", json!(3)), "`3` is no added token"),
        ] {
            let error = Definition::read(json, "it").unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(crate::error::hint_of(&error).is_some());
        }
        let odd = change("/post_processor/processors/0/type", json!("Odd"));
        let error = Definition::read(odd, "it").unwrap().required().unwrap_err();
        assert!(error.to_string().contains("of the kind `Odd`"), "{error}");
        let no_id = change("/post_processor/processors/1/sep", json!(["[SEP]"]));
        assert!(Definition::read(no_id, "it").unwrap().required().is_err());
    }
}
