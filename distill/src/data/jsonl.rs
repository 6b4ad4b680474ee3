//! JSON lines: one object a line, the texts and the label under keys.

use super::columns::{self, Columns};
use super::lines::{Line, Lines};
use super::{Place, Reading, Row, Sink};
use crate::names::nearest;
use anyhow::Result;
use serde_json::{Map, Value};

/// Reads all rows. The keys are chosen on the first; every other row must have them too.
pub(super) fn scan(lines: &mut Lines, reading: &Reading, sink: &mut Sink<'_>) -> Result<()> {
    let mut chosen = None;
    while let Some(Line { text, place }) = lines.next()? {
        if text.trim().is_empty() {
            continue;
        }
        let object = parse(text, place)?;
        let keys = match &mut chosen {
            Some(keys) => keys,
            none => none.insert(Keys::choose(&reading.columns, &object, place)?),
        };
        let row = keys.row(&object, reading, place)?;
        sink(row, lines.bytes_read())?;
    }
    if chosen.is_none() { Err(lines.no_rows()) } else { Ok(()) }
}

struct Keys {
    text: String,
    text_pair: Option<String>,
    label: Option<String>,
}

impl Keys {
    fn choose(columns: &Columns, object: &Map<String, Value>, place: Place<'_>) -> Result<Self> {
        let names: Vec<&str> = object.keys().map(String::as_str).collect();
        let selected = columns.among(&names, place)?;
        let key = |index: usize| names[index].to_owned();
        Ok(Self {
            text: key(selected.text),
            text_pair: selected.text_pair.map(key),
            label: selected.label.map(key),
        })
    }

    fn row(&self, object: &Map<String, Value>, reading: &Reading, place: Place<'_>) -> Result<Row> {
        if self.label.is_none() {
            refuse_late_label(object, place)?;
        }
        let label = self.label.as_ref().map(|key| label(object, key, place)).transpose()?.flatten();
        Ok(Row {
            text: text(object, &self.text, place)?,
            text_pair: self.text_pair.as_ref().map(|key| text(object, key, place)).transpose()?,
            label: label.filter(|label| reading.is_label(label)),
            line: place.line,
        })
    }
}

fn parse(line: &str, place: Place<'_>) -> Result<Map<String, Value>> {
    let line = line.trim_end();
    let value = serde_json::from_str(line).map_err(|error| {
        let text = error.to_string();
        let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
        place.error(
            format!("this is not JSON: {reason} at column {}", error.column()),
            "put one whole JSON object on each line; `jq -c '.[]'` makes that of an array",
        )
    })?;
    match value {
        Value::Object(object) => Ok(object),
        other => Err(place.error(
            format!("expected a JSON object, found {}", kind(&other)),
            "put one JSON object on each line; `jq -c '.[]'` makes that of an array",
        )),
    }
}

fn text(object: &Map<String, Value>, key: &str, place: Place<'_>) -> Result<String> {
    match lookup(object, key, place)? {
        Value::String(text) => Ok(text.clone()),
        other => Err(place.error(
            format!("expected a string under `{key}`, found {}", kind(other)),
            "choose the keys of the texts with `--text` and `--text-pair`",
        )),
    }
}

fn label(object: &Map<String, Value>, key: &str, place: Place<'_>) -> Result<Option<String>> {
    match lookup(object, key, place)? {
        Value::Null => Ok(None),
        Value::String(label) => Ok(Some(label.clone())),
        Value::Number(label) => Ok(Some(label.to_string())),
        Value::Bool(label) => Ok(Some(label.to_string())),
        other => Err(place.error(
            format!("expected a string, a number, true, false or null under `{key}`, found {}", kind(other)),
            "choose the key of the label with `--label`; a row has one label",
        )),
    }
}

fn lookup<'a>(object: &'a Map<String, Value>, key: &str, place: Place<'_>) -> Result<&'a Value> {
    object.get(key).ok_or_else(|| {
        let hint = match nearest(key, object.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{key}` where it says `{near}`?"),
            None => format!("every row needs the key; write `\"{key}\": null` for a label that is not known"),
        };
        place.error(format!("there is no key `{key}`"), hint)
    })
}

/// A label that only turns up after the first row would otherwise be passed over in silence.
fn refuse_late_label(object: &Map<String, Value>, place: Place<'_>) -> Result<()> {
    let names: Vec<&str> = object.keys().map(String::as_str).collect();
    columns::known_label(&names).map_or(Ok(()), |index| {
        let key = names[index];
        Err(place.error(
            format!("this row has a `{key}`, but the first row has none"),
            format!("write `\"{key}\": null` in the rows whose label is not known"),
        ))
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
