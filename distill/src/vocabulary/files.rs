//! The files of a model that speak of ids, written with other ones.

use super::definition::{Definition, read_id, renumber};
use super::numbering::Numbering;
use crate::bundle::write_text;
use crate::error::explained;
use crate::tokens::companions;
use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::io::Write;
use std::path::Path;
use student::files::write_atomically;

/// The end of the names under which `config.json` keeps ids.
const ID: &str = "_token_id";

/// Writes the files of the tokenizer at `source` to `folder`: those that hold ids with the new ones, the others as they
/// are.
///
/// # Errors
/// When a file cannot be read or written, or contradicts `tokenizer.json`.
pub fn write_tokenizer(
    source: &Path,
    definition: &Definition,
    numbering: &Numbering,
    folder: &Path,
) -> Result<()> {
    write_json(&folder.join("tokenizer.json"), &definition.renumbered(numbering)?)?;
    for file in companions(source) {
        let name = file.file_name().unwrap_or_default();
        let target = folder.join(name);
        match name.to_str() {
            Some("tokenizer.json") => {}
            Some("vocab.txt") => write_text(&target, &word_list(definition, numbering)?)?,
            Some("tokenizer_config.json") => {
                let mut json = read_json(&file)?;
                if let Some(tokens) = json.get_mut("added_tokens_decoder").and_then(Value::as_object_mut) {
                    *tokens =
                        renumbered_keys(tokens, definition, numbering).with_context(|| located(&file))?;
                }
                write_json(&target, &json)?;
            }
            Some("added_tokens.json") => {
                let mut json = read_json(&file)?;
                for (token, id) in json.as_object_mut().into_iter().flatten() {
                    agree(token, read_id(id)?, definition).with_context(|| located(&file))?;
                    renumber(id, numbering)?;
                }
                write_json(&target, &json)?;
            }
            _ => {
                let bytes =
                    std::fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
                write_atomically(&target, |out| out.write_all(&bytes))?;
            }
        }
    }
    Ok(())
}

/// Returns the ids that a `config.json` names, such as that of padding. Null and -1 stand for none.
///
/// # Errors
/// When one is no id.
pub fn ids_of_config(config: &Value) -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    visit_config(&mut config.clone(), &mut |id| {
        ids.push(read_id(id)?);
        Ok(())
    })?;
    Ok(ids)
}

/// Returns a `config.json` with the new ids, and the new size of the vocabulary.
///
/// # Errors
/// When it names an id that is not kept.
pub fn renumbered_config(config: &Value, numbering: &Numbering) -> Result<Value> {
    let mut config = config.clone();
    visit_config(&mut config, &mut |id| renumber(id, numbering))?;
    if let Some(entries) = config.as_object_mut() {
        entries.insert("vocab_size".to_owned(), numbering.len().into());
    }
    Ok(config)
}

/// Reads a JSON file.
///
/// # Errors
/// When it cannot be read, or is not JSON.
pub fn read_json(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("`{}` is not JSON", path.display()))
}

/// Writes a JSON file atomically.
///
/// # Errors
/// When it cannot be written.
pub fn write_json(path: &Path, json: &Value) -> Result<()> {
    write_text(path, &(serde_json::to_string_pretty(json)? + "\n"))
}

fn visit_config(config: &mut Value, visit: &mut dyn FnMut(&mut Value) -> Result<()>) -> Result<()> {
    let is_none = |id: &Value| id.is_null() || id.as_i64() == Some(-1);
    let entries = config.as_object_mut().into_iter().flatten().filter(|(name, _)| name.ends_with(ID));
    for (name, value) in entries {
        let ids = match value {
            Value::Array(ids) => ids.as_mut_slice(),
            one => std::slice::from_mut(one),
        };
        for id in ids.iter_mut().filter(|id| !is_none(id)) {
            visit(id).with_context(|| format!("`{name}` of `config.json`"))?;
        }
    }
    Ok(())
}

/// The kept pieces, one a line: the number of the line, from 0, is the id.
fn word_list(definition: &Definition, numbering: &Numbering) -> Result<String> {
    let mut lines = String::new();
    let pieces = definition.pieces();
    let kept = pieces.iter().filter(|(id, _)| numbering.new_id(*id).is_some());
    for (line, (id, piece)) in kept.enumerate() {
        let in_place = numbering.new_id(*id) == Some(line as u32);
        if !in_place || piece.contains(['\n', '\r']) {
            return Err(explained(
                format!("the piece {piece:?} cannot stand in a `vocab.txt`"),
                "remove `vocab.txt` from the model's directory; `tokenizer.json` is enough",
            ));
        }
        lines.push_str(piece);
        lines.push('\n');
    }
    Ok(lines)
}

/// `added_tokens_decoder` keeps tokens under their ids.
fn renumbered_keys(
    tokens: &Map<String, Value>,
    definition: &Definition,
    numbering: &Numbering,
) -> Result<Map<String, Value>> {
    let mut renumbered = Map::new();
    for (key, token) in tokens {
        let mut id = key.parse::<u64>().map_or(Value::Null, Value::from);
        agree(token["content"].as_str().unwrap_or_default(), read_id(&id)?, definition)?;
        renumber(&mut id, numbering)?;
        renumbered.insert(id.to_string(), token.clone());
    }
    Ok(renumbered)
}

/// Refuses a file that gives a token another id than `tokenizer.json` does.
fn agree(token: &str, id: u32, definition: &Definition) -> Result<()> {
    let known = definition.id_of(token);
    if known == Some(id) {
        return Ok(());
    }
    let known = known.map_or("does not know it".to_owned(), |known| format!("says `{known}`"));
    Err(explained(
        format!("the token `{token}` has the id `{id}`, but `tokenizer.json` {known}"),
        "the files of the tokenizer do not belong together; copy them from the model's directory again",
    ))
}

fn located(file: &Path) -> String {
    file.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn definition() -> Definition {
        let vocab = json!({ "[PAD]": 0, "x": 1, "[UNK]": 2, "[CLS]": 3 });
        let added = json!([{ "id": 3, "content": "[CLS]" }]);
        let model = json!({ "type": "WordPiece", "unk_token": "[UNK]", "vocab": vocab });
        Definition::read(json!({ "model": model, "added_tokens": added }), "it").unwrap()
    }

    #[test]
    fn every_file_with_ids_gets_the_new_ones() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let settings =
            json!({ "added_tokens_decoder": { "3": { "content": "[CLS]" } }, "do_lower_case": true });
        write_json(&old.path().join("tokenizer_config.json"), &settings).unwrap();
        write_json(&old.path().join("added_tokens.json"), &json!({ "[CLS]": 3 })).unwrap();
        write_text(&old.path().join("vocab.txt"), "[PAD]\nx\n[UNK]\n[CLS]\n").unwrap();
        write_text(&old.path().join("special_tokens_map.json"), "{\"cls_token\": \"[CLS]\"}").unwrap();
        let numbering = Numbering::of([0, 2, 3]);
        write_tokenizer(old.path(), &definition(), &numbering, new.path()).unwrap();
        let read = |name: &str| read_json(&new.path().join(name)).unwrap();
        let expected =
            json!({ "added_tokens_decoder": { "2": { "content": "[CLS]" } }, "do_lower_case": true });
        assert_eq!(read("tokenizer_config.json"), expected);
        assert_eq!(read("added_tokens.json"), json!({ "[CLS]": 2 }));
        assert_eq!(read("special_tokens_map.json"), json!({ "cls_token": "[CLS]" }));
        assert_eq!(read("tokenizer.json")["added_tokens"][0]["id"], 2);
        let words = std::fs::read_to_string(new.path().join("vocab.txt")).unwrap();
        assert_eq!(words, "[PAD]\n[UNK]\n[CLS]\n");
    }

    #[test]
    fn files_that_contradict_each_other_are_refused() {
        for (name, json, expected) in [
            (
                "tokenizer_config.json",
                json!({ "added_tokens_decoder": { "1": { "content": "[CLS]" } } }),
                "says `3`",
            ),
            (
                "tokenizer_config.json",
                json!({ "added_tokens_decoder": { "-1": { "content": "[CLS]" } } }),
                "is not the id",
            ),
            (
                "tokenizer_config.json",
                json!({ "added_tokens_decoder": { "9": { "content": "y" } } }),
                "does not know it",
            ),
            ("added_tokens.json", json!({ "[CLS]": 4_000_001 }), "is not the id"),
        ] {
            let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            write_json(&old.path().join(name), &json).unwrap();
            let error = write_tokenizer(old.path(), &definition(), &Numbering::of([0, 2, 3]), new.path())
                .unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
    }

    #[test]
    fn a_configuration_keeps_what_is_not_an_id() {
        let config = json!({ "pad_token_id": 3, "eos_token_id": [3, 0], "bos_token_id": null, "sep_token_id": -1,
                             "vocab_size": 9, "hidden_size": 3 });
        assert_eq!(ids_of_config(&config).unwrap(), [3, 3, 0]);
        let expected = json!({ "pad_token_id": 1, "eos_token_id": [1, 0], "bos_token_id": null, "sep_token_id": -1,
                               "vocab_size": 2, "hidden_size": 3 });
        assert_eq!(renumbered_config(&config, &Numbering::of([0, 3])).unwrap(), expected);
        assert!(renumbered_config(&config, &Numbering::of([0])).is_err());
        assert!(ids_of_config(&json!({ "pad_token_id": "0" })).is_err());
    }
}
