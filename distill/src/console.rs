//! What a person sees: talk on standard error, data on standard output, progress on a terminal or in plain lines.

use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Where talk, data and progress go.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    /// How much is said.
    pub talk: Talk,
    /// Whether results are JSON instead of tables.
    pub json: bool,
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// Nothing but errors.
    None,
    /// Plain lines, for files and pipes.
    Lines,
    /// Lines and a moving bar.
    Terminal,
}

impl Console {
    /// Looks at where standard error goes.
    pub fn new(quiet: bool, json: bool) -> Self {
        let talk = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Talk::None,
            (false, true) => Talk::Terminal,
            (false, false) => Talk::Lines,
        };
        Console { talk, json }
    }

    /// Says a line, unless asked to be quiet.
    #[expect(clippy::print_stderr, reason = "this is the one place that talks")]
    pub fn say(&self, line: impl Display) {
        if self.talk != Talk::None {
            eprintln!("{line}");
        }
    }

    /// Hands out a result. A reader that has gone away is no error.
    pub fn hand_out(&self, data: impl Display) {
        let _ = writeln!(std::io::stdout().lock(), "{data}");
    }

    /// Starts to report on `total` units of work.
    pub fn progress(&self, what: &str, total: usize) -> Progress {
        let bar = match self.talk {
            Talk::Terminal => ProgressBar::new(total as u64),
            Talk::None | Talk::Lines => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len} · {eta} left · {wide_msg}");
        bar.set_style(style.expect("the template is valid").progress_chars("━╸─"));
        bar.set_prefix(what.to_owned());
        Progress {
            console: *self,
            what: what.to_owned(),
            total,
            done: 0,
            start: Instant::now(),
            last: None,
            bar,
        }
    }
}

/// A piece of work that takes long.
pub struct Progress {
    console: Console,
    what: String,
    total: usize,
    done: usize,
    start: Instant,
    last: Option<Instant>,
    bar: ProgressBar,
}

impl Progress {
    /// How often a plain line is written.
    const LINE_EVERY: Duration = Duration::from_secs(10);

    /// Reports that `more` units are done. `message` is asked only when something is shown.
    pub fn advance(&mut self, more: usize, message: impl FnOnce() -> String) {
        self.done += more;
        if self.console.talk == Talk::Terminal {
            self.bar.set_message(message());
            self.bar.set_position(self.done as u64);
        } else if self.console.talk == Talk::Lines
            && self.last.unwrap_or(self.start).elapsed() >= Self::LINE_EVERY
        {
            self.last = Some(Instant::now());
            let left = self.start.elapsed().as_secs_f64() / self.done.max(1) as f64
                * self.total.saturating_sub(self.done) as f64;
            let (what, done, total) = (&self.what, self.done, self.total);
            self.console.say(format_args!("{what} {done}/{total} · {} · {left:.0} s left", message()));
        }
    }

    /// Skips work that was done before.
    pub fn skip(&mut self, done: usize) {
        self.done += done;
        self.bar.set_position(self.done as u64);
        self.bar.reset_eta();
    }

    /// Says a line without disturbing the bar.
    pub fn say(&self, line: impl Display) {
        self.bar.suspend(|| self.console.say(line));
    }

    /// Returns the seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Returns the units done so far.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Returns the units done in a second since the start.
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.seconds().max(1e-9)
    }

    /// Takes the bar away; returns the seconds since the start.
    pub fn finish(self) -> f64 {
        self.bar.finish_and_clear();
        self.start.elapsed().as_secs_f64()
    }
}

/// Progress that several threads report on.
pub struct SharedProgress {
    progress: Mutex<Progress>,
    units: &'static str,
}

impl SharedProgress {
    /// Shares progress; `units` is what is counted, as in `texts`.
    pub fn new(progress: Progress, units: &'static str) -> Self {
        SharedProgress { progress: Mutex::new(progress), units }
    }

    /// Reports that `more` units are done.
    pub fn advance(&self, more: usize) {
        if let Ok(mut progress) = self.progress.lock() {
            let rate = progress.rate();
            progress.advance(more, || format!("{rate:.0} {}/s", self.units));
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Ok(progress) = self.progress.into_inner() {
            progress.finish();
        }
    }
}

/// Says what went wrong, with all that led to it, and what to do about it.
#[expect(clippy::print_stderr, reason = "this is the one place that talks")]
pub fn complain(error: &anyhow::Error, hint: Option<&str>) {
    eprintln!("error: {error:#}");
    if let Some(hint) = hint {
        eprintln!("\nhint: {hint}");
    }
}
