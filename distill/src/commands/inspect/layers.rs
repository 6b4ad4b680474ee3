//! What each layer of a graph can be asked for.

use crate::report::aligned;
use serde_json::{Value, json};
use teacher::{Anatomy, Layer};

/// What can be asked for, in the order of the columns.
const KINDS: [&str; 6] = ["hidden", "scores", "probabilities", "query", "key", "value"];

/// How a tap is found, and by which tensor or why not.
struct Mark {
    /// `yes`, `computed` or `no`.
    how: &'static str,
    what: String,
}

/// Returns the table of layers and taps, and why some are not there.
pub fn table(anatomy: &Anatomy) -> String {
    let mut rows = vec![["layer"].into_iter().chain(KINDS).map(str::to_owned).collect::<Vec<_>>()];
    let mut reasons: Vec<String> = Vec::new();
    for (number, marks) in numbered(anatomy) {
        let cells = marks.iter().map(|mark| mark.as_ref().map_or("", |mark| mark.how).to_owned());
        rows.push([number.to_string()].into_iter().chain(cells).collect());
        for (kind, mark) in KINDS.iter().zip(&marks) {
            let Some(mark) = mark.as_ref().filter(|mark| mark.how == "no") else { continue };
            reasons.push(format!("no {kind} {number}: {}", mark.what));
        }
    }
    reasons.extend(anatomy.ending.iter().map(|ending| format!("no more layers: {ending}")));
    [vec![aligned(&rows)], reasons].concat().join("\n")
}

/// Returns the same with the names of the tensors.
pub fn as_json(anatomy: &Anatomy) -> Value {
    let layers = numbered(anatomy).map(|(number, marks)| {
        let taps = KINDS.iter().zip(marks).filter_map(|(kind, mark)| {
            let Mark { how, what } = mark?;
            Some((kind.to_string(), json!({ "found": how, "where": what })))
        });
        json!({ "layer": number, "taps": taps.collect::<serde_json::Map<_, _>>() })
    });
    json!({
        "layers": anatomy.layers.len(),
        "hidden_size": anatomy.hidden_size,
        "heads": anatomy.num_heads,
        "taps": layers.collect::<Vec<_>>(),
        "ending": anatomy.ending,
    })
}

/// Returns the marks of the embeddings, as layer 0, and of each layer.
fn numbered(anatomy: &Anatomy) -> impl Iterator<Item = (usize, [Option<Mark>; 6])> {
    let embeddings = [Some(mark(&anatomy.embeddings)), None, None, None, None, None];
    let of_layer = |layer: &Layer| {
        let [query, key, value] = &layer.qkv;
        let [hidden, query, key, value] = [&layer.hidden, query, key, value].map(|found| Some(mark(found)));
        [hidden, Some(mark(&layer.scores)), Some(mark(&layer.probabilities)), query, key, value]
    };
    (0..).zip([embeddings].into_iter().chain(anatomy.layers.iter().map(of_layer)).collect::<Vec<_>>())
}

fn mark<S: teacher::Site>(finding: &teacher::Finding<S>) -> Mark {
    Mark { how: finding.how(), what: finding.to_string() }
}
