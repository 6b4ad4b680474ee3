//! The log read back: as numbers over the course of a run.
//!
//! A line of `log.jsonl` is one JSON object. Its `event` is `step` or `evaluation`; every line has
//!
//! | field | |
//! |---|---|
//! | `step` | the updates made |
//! | `seconds` | the time spent training so far, without the time between an interruption and its resumption |
//! | `time` | the time at which the line was written, in seconds since 1970 |
//!
//! A `step` also has `epoch` (from 1), `loss` (the objective before the update), `loss_TERM` for each term of it,
//! unweighted, `learning_rate`, `grad_norm` (before clipping), `tokens` and `examples` (of this update), and
//! `tokens_per_second` (since the step before that is written, without evaluations). Of a long run, about a thousand steps are written. An `evaluation` has
//! `best`, whether it is the best so far, and a number under the name of each figure. Lines are in the order of their
//! steps, and each step is there once, however often the run was interrupted.

use super::FILE;
use crate::error::explained;
use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// A number over the course of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What it is: `train/loss`, `train/TERM` for each term of the objective, `train/learning_rate`, `train/grad_norm`,
    /// `train/tokens_per_second`, or `eval/FIGURE`.
    pub tag: String,
    /// The number at some of the updates, in their order.
    pub points: Vec<Point>,
}

/// A number at an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The updates made.
    pub step: u64,
    /// The time spent training so far, in seconds.
    pub seconds: f64,
    /// The number.
    pub value: f64,
}

/// The numbers of one line of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalars {
    /// The updates made.
    pub step: u64,
    /// The time spent training so far, in seconds.
    pub seconds: f64,
    /// When the line was written, in seconds since 1970.
    pub time: f64,
    /// The numbers by their tags; see [`Curve::tag`].
    pub values: Vec<(String, f64)>,
}

/// The longest log that is read, in bytes: a hundred times that of a run with ten terms.
const MOST_BYTES: u64 = 64 << 20;

/// Reads the curves of the run that wrote a folder, in the order in which their tags first come.
///
/// # Errors
/// When the folder has no log, or one too large to be that of a run.
pub fn read_curves(folder: &Path) -> Result<Vec<Curve>> {
    let mut curves: Vec<Curve> = Vec::new();
    for Scalars { step, seconds, values, .. } in read_scalars(&folder.join(FILE))? {
        for (tag, value) in values {
            let point = Point { step, seconds, value };
            match curves.iter_mut().find(|curve| curve.tag == tag) {
                Some(curve) => curve.points.push(point),
                None => curves.push(Curve { tag, points: vec![point] }),
            }
        }
    }
    Ok(curves)
}

/// Reads the numbers of every line of a log; lines that are none, such as a torn last one, are passed over.
///
/// # Errors
/// As [`read_curves`].
pub fn read_scalars(path: &Path) -> Result<Vec<Scalars>> {
    let context = || format!("cannot read the log `{}`", path.display());
    let file = std::fs::File::open(path).with_context(context)?;
    if file.metadata().with_context(context)?.len() > MOST_BYTES {
        return Err(explained(
            format!("`{}` is larger than {} MB", path.display(), MOST_BYTES >> 20),
            format!("give the folder that a run wrote: its `{FILE}` has about a thousand lines"),
        ));
    }
    let mut all = Vec::new();
    for line in BufReader::new(file.take(MOST_BYTES)).split(b'\n') {
        all.extend(scalars_of(&line.with_context(context)?));
    }
    Ok(all)
}

/// Returns the numbers of a line; nothing when it is none of a log.
fn scalars_of(line: &[u8]) -> Option<Scalars> {
    scalars(serde_json::from_slice::<Value>(line).ok()?.as_object()?)
}

/// Returns the numbers of a line; nothing when it is of another event.
pub(super) fn scalars(line: &Map<String, Value>) -> Option<Scalars> {
    let plain = |field: &str| field.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let tag: fn(&str) -> Option<String> = match line.get("event")?.as_str()? {
        "step" => |field| match field {
            "loss" | "learning_rate" | "grad_norm" | "tokens_per_second" => Some(format!("train/{field}")),
            _ => Some(format!("train/{}", field.strip_prefix("loss_")?)),
        },
        "evaluation" => |field| Some(format!("eval/{field}")),
        _ => return None,
    };
    let number = |name: &str| line.get(name).and_then(Value::as_f64);
    let shared = ["event", "step", "seconds", "time", "best"];
    let value = |(field, value): (&String, &Value)| {
        let value = value.as_f64().filter(|_| plain(field) && !shared.contains(&field.as_str()))?;
        Some((tag(field)?, value))
    };
    Some(Scalars {
        step: line.get("step")?.as_u64()?,
        seconds: number("seconds")?,
        time: number("time").unwrap_or(0.0),
        values: line.iter().filter_map(value).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;
    use proptest::prelude::*;

    const LOG: &str = r#"{"event":"step","step":1,"epoch":1,"loss":0.5,"learning_rate":0.1,"grad_norm":2.0,"tokens":10,"examples":2,"tokens_per_second":5.0,"loss_kl":0.25,"seconds":1.5,"time":100.0}
{"event":"evaluation","step":1,"best":true,"accuracy":0.75,"seconds":2.0,"time":100.5}
{"event":"step","step":2,"epoch":1,"loss":0.25,"loss_kl":0.125,"seconds":2.5,"time":101.0}
{"event":"else","step":2,"loss":9,"seconds":2.5}
{"event":"step","step":2,"loss_../x":9,"seconds":2.5}
{"event":"step","st"#;

    #[test]
    fn curves_have_each_number_at_each_step() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), LOG).unwrap();
        let curves = read_curves(folder.path()).unwrap();
        let tags: Vec<_> = curves.iter().map(|curve| curve.tag.as_str()).collect();
        let expected = [
            "train/loss",
            "train/learning_rate",
            "train/grad_norm",
            "train/tokens_per_second",
            "train/kl",
            "eval/accuracy",
        ];
        assert_eq!(tags, expected);
        let point = |step, seconds, value| Point { step, seconds, value };
        assert_eq!(curves[4].points, [point(1, 1.5, 0.25), point(2, 2.5, 0.125)]);
        assert_eq!(curves[5].points, [point(1, 2.0, 0.75)]);
    }

    #[test]
    fn what_is_no_log_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_curves(folder.path()).unwrap_err().to_string().contains("log.jsonl"));
        let file = std::fs::File::create(folder.path().join(FILE)).unwrap();
        file.set_len(MOST_BYTES + 1).unwrap();
        assert!(hint_of(&read_curves(folder.path()).unwrap_err()).is_some());
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..200) {
            let _ = scalars_of(&line);
            let mut known = LOG.lines().next().unwrap().as_bytes().to_vec();
            known.truncate(at);
            let _ = scalars_of(&[known, line].concat());
        }
    }
}
