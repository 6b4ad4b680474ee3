//! Starts the user's Python, which is asked two things: where a package lies, and to run pip.

use std::ffi::OsString;
use std::process::{Command, Output, Stdio};

use crate::Error;

/// A Python interpreter: the program and the arguments that go before all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Python(pub Vec<OsString>);

impl Python {
    /// Returns the names under which the active Python may be started, in the order to try them.
    pub fn usual_names() -> Vec<Python> {
        let names: &[&[&str]] =
            if cfg!(windows) { &[&["python"], &["py", "-3"]] } else { &[&["python3"], &["python"]] };
        names.iter().map(|words| Python(words.iter().map(OsString::from).collect())).collect()
    }

    /// Returns the first that is a working Python 3.
    ///
    /// # Errors
    /// [`Error::NoPython`] with what each of them said.
    pub fn first_working(candidates: &[Python]) -> Result<Python, Error> {
        let mut attempts = Vec::new();
        for python in candidates {
            match python.run(["-c", "import sys; sys.exit(sys.version_info[0] != 3)"]) {
                Ok(output) if output.status.success() => return Ok(python.clone()),
                Ok(output) => attempts.push(format!("`{python}`: {}", last_words(&output))),
                Err(error) => attempts.push(format!("`{python}`: {error}")),
            }
        }
        Err(Error::NoPython { attempts })
    }

    /// Runs the interpreter to its end, with nothing to read and its output captured.
    pub fn run<S: Into<OsString>>(&self, arguments: impl IntoIterator<Item = S>) -> std::io::Result<Output> {
        let mut words = self.0.iter().cloned().chain(arguments.into_iter().map(Into::into));
        Command::new(words.next().unwrap_or_default())
            .args(words)
            // Modules that happen to lie in the working folder are not the ones meant (Python 3.11 and later).
            .env("PYTHONSAFEPATH", "1")
            .env("PYTHONIOENCODING", "utf-8")
            .stdin(Stdio::null())
            .output()
    }
}

impl std::fmt::Display for Python {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words: Vec<_> = self.0.iter().map(|word| word.to_string_lossy()).collect();
        f.write_str(&words.join(" "))
    }
}

/// Returns the last lines that a failed program left: of its errors, or else of its output, or else its exit status.
pub(crate) fn last_words(output: &Output) -> String {
    const LINES: usize = 5;
    for stream in [&output.stderr, &output.stdout] {
        let text = String::from_utf8_lossy(stream);
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if !lines.is_empty() {
            return lines[lines.len().saturating_sub(LINES)..].join("\n");
        }
    }
    output.status.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_python_each_program_tried_is_named() {
        let candidates = ["no-such-python-3", "no-such-python"].map(|name| Python(vec![name.into()]));
        let error = Python::first_working(&candidates).expect_err("there is none").to_string();
        assert!(error.contains("`no-such-python-3`: ") && error.contains("; `no-such-python`: "), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn the_first_that_works_is_taken() {
        let shell = |script: &str| Python(["sh", "-c", script].map(OsString::from).to_vec());
        let (broken, working) = (shell("echo too old >&2; exit 1"), shell("exit 0"));
        assert_eq!(Python::first_working(&[broken.clone(), working.clone()]).expect("one works"), working);
        let error = Python::first_working(&[broken]).expect_err("none works").to_string();
        assert!(error.ends_with(": too old"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn last_words_are_the_end_of_the_errors() {
        let shell = |script: &str| {
            Python(vec!["sh".into(), "-c".into(), script.into()]).run([""; 0]).expect("sh runs")
        };
        let many = shell("for i in 1 2 3 4 5 6 7; do echo line $i >&2; echo; done; echo out");
        assert_eq!(last_words(&many), "line 3\nline 4\nline 5\nline 6\nline 7");
        assert_eq!(last_words(&shell("echo out")), "out");
        assert!(last_words(&shell("exit 3")).contains('3'));
    }
}
