//! One graph in every format that is asked for.

use super::measured::Variant;
use crate::cli::KeepArgs;
use crate::console::Console;
use crate::error::explained;
use anyhow::Result;
use std::path::Path;
use student::engine::cpu_features;
use student::export::Format;
use student::export::onnx::Model;
use student::quant::TableBits;

/// Returns the formats in their order, each once.
pub fn each_once(formats: &[Format]) -> Vec<Format> {
    let mut formats = formats.to_vec();
    formats.sort_unstable();
    formats.dedup();
    formats
}

/// Writes a graph in every format into a model directory; what is there already stays. `formats`: sorted, each once.
///
/// # Errors
/// When the graph cannot be stored so, or a file not be written.
pub fn write(whole: &Model, formats: &[Format], keep: &KeepArgs, folder: &Path) -> Result<Vec<Variant>> {
    let write = |&format: &Format| {
        let file = format.file(formats);
        let path = folder.join(file);
        if !path.exists() {
            whole.stored_as(&keep.storage(format))?.write(&path)?;
        }
        let embedding_bits = format.rounds_tables().then(|| keep.embedding_bits.bits());
        Ok(Variant { format, embedding_bits, file, path })
    };
    formats.iter().map(write).collect()
}

/// Refuses bits of embeddings where no format rounds them.
///
/// # Errors
/// When that is so.
pub fn check(formats: &[Format], keep: &KeepArgs) -> Result<()> {
    match keep.embedding_bits == TableBits::default() || formats.iter().any(|format| format.rounds_tables()) {
        true => Ok(()),
        false => Err(explained(
            "`--embedding-bits` changes nothing: no format is asked for that rounds embeddings",
            "add `int8-embeddings` or `int4` to `--formats`",
        )),
    }
}

/// Says what this processor does to numbers of 8 bits, where it is one that does.
pub fn warn(formats: &[Format], keep: &KeepArgs, console: &Console) {
    let rounds = formats.iter().any(|format| matches!(format, Format::Int8 | Format::Int8Embeddings));
    if rounds && !keep.reduce_range && saturates(&cpu_features()) {
        console.say(
            "this processor has no VNNI: sums of products in 8 bits saturate here, so that int8 may lose more than it does \
             elsewhere; `--reduce-range` writes files that do not",
        );
    }
}

/// Says whether sums of two products of 8 bits, the left ones without sign, are cut off at 16 bits.
fn saturates(features: &[&str]) -> bool {
    cfg!(target_arch = "x86_64") && !features.iter().any(|feature| feature.ends_with("vnni"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn processors_without_vnni_saturate() {
        assert!(saturates(&["avx2", "fma", "avx512f"]));
        assert!(!saturates(&["avx2", "avxvnni"]) && !saturates(&["avx512f", "avx512vnni"]));
    }
}
