//! The flags of `export`, as the user reads them.

use super::DataArgs;
use clap::Args;
use std::path::PathBuf;
use std::str::FromStr;
use student::export::Format;
use student::export::onnx::Storage;
use student::quant::{Range, TableBits};

/// Arguments of `export`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Formats:
  fp32             onnx/model.onnx: as it was trained
  fp16             onnx/model_fp16.onnx: half the size, the same speed on a processor
  int8             onnx/model_quantized.onnx: matrices in 8 bits; two to three times as fast
  int8-embeddings  onnx/model_quantized.onnx: embeddings in 8 bits too; a quarter of the size
                   (`int8` is then onnx/model_int8.onnx)
  int4             onnx/model_q4.onnx: matrices in 4 bits; needs ONNX Runtime's own operators

Every file is run before it is put in place: on the texts of --eval, or a few built-in sentences. With --max-drop or \
--max-size only the best format that keeps the promise is written (least size times time), and none if none does.

--qat-steps trains the student on, with its weights rounded as in the most compact of the formats; what is not given \
is taken from the recipe.toml that `train` wrote beside the student.")]
pub struct ExportArgs {
    /// The directory that `train` or `finetune` wrote
    #[arg(long, value_name = "DIR")]
    pub student: PathBuf,
    /// Write to this directory
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Write these formats: fp32, fp16, int8, int8-embeddings, int4
    #[arg(long, value_name = "FORMATS", value_delimiter = ',', default_value = "fp32")]
    pub formats: Vec<Format>,
    /// Measure every format on the texts of this file
    #[arg(long, value_name = "FILE")]
    pub eval: Option<PathBuf>,
    /// What a file keeps to
    #[command(flatten)]
    pub keep: KeepArgs,
    /// Round each matrix alone and print what that costs, instead of writing files
    #[arg(long, requires = "eval")]
    pub sensitivity: bool,
    /// Verify on the texts of this file when there is no --eval; with --qat-steps, train on it
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Keep the word pieces alone that the texts of this file need, and every single character
    #[arg(long, value_name = "FILE", conflicts_with = "sensitivity")]
    pub trim_vocab: Option<PathBuf>,
    /// Replace the files in the output directory
    #[arg(long)]
    pub overwrite: bool,
    /// How to train through the rounding
    #[command(flatten)]
    pub aware: AwareArgs,
    /// What to read
    #[command(flatten)]
    pub columns: DataArgs,
}

/// What a file keeps to, of `export` and `slim`
#[derive(Clone, Debug, Default, Args)]
pub struct KeepArgs {
    /// Lose at most so many points of accuracy, or of the task's own figure; without labels, of agreement
    #[arg(long, value_name = "POINTS", requires = "eval")]
    pub max_drop: Option<f64>,
    /// Take at most this much, e.g. 8MB or 7.5MiB
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<Size>,
    /// Leave these matrices and tables as they are, e.g. bert.encoder.layer.3
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub exclude: Vec<String>,
    /// Use 8 bits for the numbers from -64 to 64 only, for processors without VNNI, where larger sums saturate
    #[arg(long)]
    pub reduce_range: bool,
    /// Store embeddings in 8 bits or in 4, where a format rounds them; 4 needs ONNX Runtime's own operators
    #[arg(long, value_name = "BITS", default_value = "8", value_parser = table_bits)]
    pub embedding_bits: TableBits,
}

impl KeepArgs {
    /// Returns how a graph of a format is stored.
    pub fn storage(&self, format: Format) -> Storage<'_> {
        let range = if self.reduce_range { Range::Reduced } else { Range::Full };
        Storage { format, range, tables: self.embedding_bits, exclude: &self.exclude }
    }
}

fn table_bits(text: &str) -> Result<TableBits, String> {
    text.parse().ok().and_then(TableBits::of).ok_or_else(|| "embeddings have 8 or 4 bits".to_owned())
}

/// How to train through the rounding
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Distilling through the rounding")]
pub struct AwareArgs {
    /// Train the student on for this many updates, with rounded weights
    #[arg(long, value_name = "N")]
    pub qat_steps: Option<u64>,
    /// Learn from this model [default: the student's teacher]
    #[arg(long, value_name = "DIR")]
    pub teacher: Option<PathBuf>,
    /// Take the teacher's logits from this file [default: those that the student was trained with]
    #[arg(long, value_name = "FILE")]
    pub cache: Option<PathBuf>,
    /// Reach this learning rate after the warm-up [default: 3e-5]
    #[arg(long, value_name = "RATE")]
    pub lr: Option<f64>,
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = match unit.trim() {
            "" | "B" => 1.0,
            "kB" | "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "KiB" => 1024.0,
            "MiB" => 1024.0 * 1024.0,
            "GiB" => 1024.0 * 1024.0 * 1024.0,
            unit => return Err(format!("`{unit}` is no unit; there are B, kB, MB, GB, KiB, MiB and GiB")),
        };
        let number: f64 = number.parse().map_err(|_| "a size is a number and a unit, e.g. 8MB".to_owned())?;
        Ok(Size((number * unit).round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_with_units() {
        for (text, expected) in [
            ("8MB", Some(8_000_000)),
            ("7.5 MiB", Some(7_864_320)),
            ("900", Some(900)),
            ("0.5kB", Some(500)),
            ("8mb", None),
            ("MB", None),
            ("-1MB", None),
            ("1.2.3MB", None),
        ] {
            assert_eq!(text.parse::<Size>().ok(), expected.map(Size), "{text}");
        }
    }
}
