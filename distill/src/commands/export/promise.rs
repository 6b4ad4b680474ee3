//! What a shipped file must keep to, and which file keeps to it best.

use super::measured::Measured;
use crate::cli::KeepArgs;
use crate::error::explained;
use anyhow::Result;

/// Bounds on a file; none of them when nothing is promised.
#[derive(Clone, Copy, Debug, Default)]
pub struct Promise {
    /// The points that may be lost against the student as it was given.
    pub max_drop: Option<f64>,
    /// The bytes of the file.
    pub max_bytes: Option<u64>,
}

/// What a difference of two shares of whole texts may be off by.
const ROUNDING: f64 = 1e-9;

impl Promise {
    /// Takes what is promised from the command line.
    pub fn of(keep: &KeepArgs) -> Self {
        Promise { max_drop: keep.max_drop, max_bytes: keep.max_size.map(|size| size.0) }
    }

    /// Returns the places of the files that are shipped: all, or the best where something is promised.
    ///
    /// # Errors
    /// As [`Promise::choose`].
    pub fn shipped(&self, all: &[Measured]) -> Result<Vec<usize>> {
        match (self.max_drop, self.max_bytes) {
            (None, None) => Ok((0..all.len()).collect()),
            _ => Ok(vec![self.choose(all)?]),
        }
    }

    /// Returns the file that keeps the promise with the least product of size and time.
    ///
    /// # Errors
    /// When none keeps it; the one that comes nearest is named.
    pub fn choose(&self, all: &[Measured]) -> Result<usize> {
        let keep = (0..all.len()).filter(|&i| self.excess(&all[i]) <= 0.0);
        let cost =
            |i: usize| all[i].bytes as f64 / all[i].speed.texts_per_second_16x32.max(f64::MIN_POSITIVE);
        if let Some(best) = keep.min_by(|&a, &b| cost(a).total_cmp(&cost(b))) {
            return Ok(best);
        }
        let nearest = all.iter().min_by(|a, b| self.excess(a).total_cmp(&self.excess(b)));
        let miss = nearest.map_or_else(|| "there is none".to_owned(), |nearest| self.describe(nearest));
        Err(explained(
            format!("no format keeps the promise of {}; nearest is {miss}", self.words()),
            "allow more, ask for other `--formats`, train through the rounding with `--qat-steps`, or find out with \
             `--sensitivity` what to `--exclude`",
        ))
    }

    /// Returns by what share a file exceeds a bound at most; nothing or less when it keeps to both.
    fn excess(&self, it: &Measured) -> f64 {
        let drop = self.max_drop.map(|most| (it.drop - most - ROUNDING) / most.abs().max(0.1));
        let bytes = self.max_bytes.map(|most| (it.bytes as f64 - most as f64) / most.max(1) as f64);
        drop.into_iter().chain(bytes).fold(f64::NEG_INFINITY, f64::max)
    }

    fn words(&self) -> String {
        let drop = self.max_drop.map(|most| format!("at most {most} points lost"));
        let bytes = self.max_bytes.map(|most| format!("at most {}", size(most as f64)));
        drop.into_iter().chain(bytes).collect::<Vec<_>>().join(" and ")
    }

    fn describe(&self, it: &Measured) -> String {
        let (drop, bytes) = (it.drop, it.bytes as f64);
        let lost = self.max_drop.map(|most| match drop > most + ROUNDING {
            true => format!("loses {drop:.2} points, {:.2} too many", drop - most),
            false => format!("loses {drop:.2} points"),
        });
        let takes = self.max_bytes.map(|most| match it.bytes > most {
            true => format!("takes {}, {} too many", size(bytes), size(bytes - most as f64)),
            false => format!("takes {}", size(bytes)),
        });
        let facts: Vec<_> = lost.into_iter().chain(takes).collect();
        format!("`{}`, which {}", it.format, facts.join(" and "))
    }
}

fn size(bytes: f64) -> String {
    if bytes < 1e6 { format!("{:.1} kB", bytes / 1e3) } else { format!("{:.1} MB", bytes / 1e6) }
}

#[cfg(test)]
mod tests {
    use super::super::timing::Speed;
    use super::*;
    use crate::error::hint_of;

    fn measured(format: &'static str, bytes: u64, drop: f64, texts_per_second_16x32: f64) -> Measured {
        Measured {
            format,
            embedding_bits: None,
            file: "onnx/model.onnx",
            bytes,
            quality: serde_json::Map::new(),
            interval: None,
            drop,
            agreement: 1.0 - drop / 100.0,
            mean_kl: None,
            batch_difference: 0.0,
            batch_flips: 0.0,
            speed: Speed { texts_per_second_16x32, ..Speed::default() },
        }
    }

    fn all() -> Vec<Measured> {
        vec![
            measured("fp32", 57_400_000, 0.0, 300.0),
            measured("fp16", 28_700_000, 0.0, 300.0),
            measured("int8", 43_800_000, 0.3, 900.0),
            measured("int8-embeddings", 15_400_000, 0.4, 900.0),
            measured("int4", 12_000_000, 1.5, 300.0),
        ]
    }

    #[test]
    fn the_best_file_that_keeps_the_promise_is_chosen() {
        for (max_drop, max_bytes, expected) in [
            (Some(0.5), None, Some("int8-embeddings")),
            (Some(0.3), None, Some("int8")),
            (Some(0.0), None, Some("fp16")),
            (Some(5.0), Some(13_000_000), Some("int4")),
            (None, Some(20_000_000), Some("int8-embeddings")),
            (Some(0.5), Some(13_000_000), None),
            (None, Some(1), None),
        ] {
            let chosen = Promise { max_drop, max_bytes }.choose(&all()).ok().map(|i| all()[i].format);
            assert_eq!(chosen, expected, "{max_drop:?} {max_bytes:?}");
        }
    }

    #[test]
    fn the_nearest_miss_is_named() {
        let promise = Promise { max_drop: Some(0.5), max_bytes: Some(13_000_000) };
        let error = promise.choose(&all()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no format keeps the promise of at most 0.5 points lost and at most 13.0 MB; nearest is \
             `int8-embeddings`, which loses 0.40 points and takes 15.4 MB, 2.4 MB too many"
        );
        assert!(hint_of(&error).is_some());
    }
}
