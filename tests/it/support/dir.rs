//! A folder of a test's own, and the binary that runs in it.

use super::{corpus, tiny};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use student::bert::BertConfig;

/// A temporary folder in which commands run.
pub struct Dir(tempfile::TempDir);

/// What a command left behind.
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Dir {
    pub fn new() -> Self {
        Dir(tempfile::tempdir().expect("a temporary folder can be made"))
    }

    /// Returns a folder with a tiny teacher in `teacher/` and sentences in `train.tsv` and `dev.tsv`.
    pub fn prepared() -> Self {
        let dir = Dir::new();
        tiny::write(&dir.path("teacher"), tiny::config(&["negative", "positive"]), 1);
        dir.write("train.tsv", corpus::tsv(200, 1));
        dir.write("dev.tsv", corpus::tsv(60, 2));
        dir
    }

    /// Returns a prepared folder with the shape of a student of one layer in `student.json`.
    pub fn with_student() -> Self {
        let dir = Dir::prepared();
        let config = tiny::config(&["negative", "positive"]);
        dir.write("student.json", BertConfig { num_hidden_layers: 1, ..config }.to_json());
        dir
    }

    /// Starts the binary, and kills it as soon as a condition holds.
    pub fn kill_when(&self, arguments: &str, condition: impl FnMut() -> bool) {
        let mut child = quietly(&mut self.command(arguments));
        wait_until(condition);
        child.kill().expect("the run can be killed");
        child.wait().expect("the run ends");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), contents).expect("the folder can be written to");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("cannot read {name}: {error}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("the file is text")
    }

    /// Returns the binary, about to run in the folder with these arguments, separated by spaces.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_distill"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .env("NO_COLOR", "1")
            .env("COLUMNS", "100");
        command
    }

    /// Runs the binary and returns what it left behind.
    pub fn run(&self, arguments: &str) -> Done {
        let output = self.command(arguments).output().expect("the binary starts");
        self.done(&output)
    }

    /// Runs the binary, which must succeed.
    pub fn ok(&self, arguments: &str) -> Done {
        let done = self.run(arguments);
        assert_eq!(done.code, Some(0), "distill {arguments}\n{}", done.stderr);
        done
    }

    /// Runs the binary, which must fail with code 1, and returns what it said, without this machine's paths.
    pub fn error(&self, arguments: &str) -> String {
        let done = self.run(arguments);
        assert_eq!(done.code, Some(1), "distill {arguments}\n{}{}", done.stdout, done.stderr);
        done.stderr
    }

    pub fn done(&self, output: &Output) -> Done {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            text.replace(&self.0.path().display().to_string(), "[dir]")
        };
        Done { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// Starts a command that nobody listens to.
pub fn quietly(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts")
}

/// Waits for something that another process does.
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(120), "nothing happened for two minutes");
        std::thread::yield_now();
    }
}

/// Returns the names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
