//! What a model takes of a process of its own: the time to load, and memory.
//!
//! Memory that models of one process share, or leave behind for each other, cannot be told apart, so each model is opened
//! by a process that does nothing else: this binary again, with a hidden command that reads a [`Request`] from standard
//! input and prints what it found. Its peak is the kernel's own figure for its address space (`VmHWM` in
//! `/proc/self/status`; `getrusage` would carry over the peak of the process that started it). It counts everything: the
//! binary, the library of ONNX Runtime, the weights while they are read, and one batch.
//! Where there is no such file, the memory is not known.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use teacher::{Names, Options, Teacher, Tokens};

/// The name of the hidden command.
pub const COMMAND: &str = "probe";

/// What a process is to open, and to ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    model: PathBuf,
    onnx_runtime: PathBuf,
    threads: usize,
    names: [Option<String>; 5],
    batch: usize,
    ids: Vec<u32>,
    type_ids: Vec<u32>,
}

/// What a model takes of a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The time in which ONNX Runtime reads and optimises the graph, in milliseconds; the files are in the system's cache.
    pub load_ms: f64,
    /// The time of the first batch, in milliseconds.
    pub first_ms: f64,
    /// The memory that the process holds once it has answered, in bytes.
    pub resident_bytes: Option<u64>,
    /// The most memory that the process has held, in bytes.
    pub peak_bytes: Option<u64>,
}

impl Request {
    /// Asks for `batch` times this text of a model that is open here; the other process opens it with so many threads.
    pub fn new(model: &Teacher, threads: usize, batch: usize, text: Tokens<'_>) -> Self {
        let signature = model.signature();
        let name = |input: &teacher::TensorInfo| input.name.clone();
        Request {
            model: model.path().to_owned(),
            onnx_runtime: model.runtime().path.clone(),
            threads,
            names: [
                Some(name(&signature.input_ids)),
                Some(name(&signature.attention_mask)),
                signature.token_type_ids.as_ref().map(name),
                signature.position_ids.as_ref().map(name),
                signature.logits.as_ref().map(name),
            ],
            batch,
            ids: text.ids.to_vec(),
            type_ids: text.type_ids.to_vec(),
        }
    }

    /// Asks a new process of `program`.
    ///
    /// # Errors
    /// When it cannot be started, or fails.
    pub fn send(&self, program: &Path) -> Result<Probe> {
        let context = || format!("cannot measure the memory of `{}`", self.model.display());
        let mut child = Command::new(program)
            .arg(COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}`", program.display()))?;
        // A process that has died already says why below.
        let _ = child
            .stdin
            .take()
            .map(|mut stdin| stdin.write_all(&serde_json::to_vec(self).unwrap_or_default()));
        let output = child.wait_with_output().with_context(context)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{}: {}: {}", context(), output.status, said.trim());
        }
        serde_json::from_slice(&output.stdout).with_context(context)
    }

    /// Opens the model and asks it: what the new process does.
    ///
    /// # Errors
    /// When the model cannot be opened, or fails.
    pub fn answer(self) -> Result<Probe> {
        let [input_ids, attention_mask, token_type_ids, position_ids, logits] = self.names;
        let options = Options {
            workers: 1,
            batch_tokens: self.batch.saturating_mul(self.ids.len()),
            intra_threads: self.threads,
            onnx_runtime: Some(self.onnx_runtime),
            names: Names { input_ids, attention_mask, token_type_ids, position_ids, logits },
            ..Options::default()
        };
        let mut model = Teacher::open(&self.model, &options)?;
        let text = Tokens { ids: &self.ids, type_ids: &self.type_ids };
        let start = Instant::now();
        model.logits(&vec![text; self.batch], &|_| {})?;
        let first_ms = 1e3 * start.elapsed().as_secs_f64();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Ok(Probe {
            load_ms: 1e3 * model.load_seconds(),
            first_ms,
            resident_bytes: bytes_of(&status, "VmRSS"),
            peak_bytes: bytes_of(&status, "VmHWM"),
        })
    }
}

/// Reads a request, and returns what the model takes as JSON.
///
/// # Errors
/// When it is no request, or as [`Request::answer`].
pub fn answer(mut input: impl Read) -> Result<String> {
    let mut text = String::new();
    input.read_to_string(&mut text).context("cannot read the request")?;
    let request: Request = serde_json::from_str(&text)
        .context("this command is one that `distill` gives to itself: standard input holds no request")?;
    Ok(serde_json::to_string(&request.answer()?)?)
}

/// Returns a figure of `/proc/self/status`, where it stands in KiB.
fn bytes_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_figures_are_read_in_bytes() {
        let status = "Name:\tdistill\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nVmHWMx:\t 1 kB\n";
        assert_eq!(bytes_of(status, "VmHWM"), Some(20 << 20));
        assert_eq!(bytes_of(status, "VmRSS"), Some(10 << 20));
        assert_eq!(bytes_of(status, "VmSwap"), None);
        assert_eq!(bytes_of("VmRSS: many kB", "VmRSS"), None);
    }

    #[test]
    fn what_is_no_request_is_explained() {
        assert!(answer(&b"hello"[..]).unwrap_err().to_string().contains("holds no request"));
    }
}
