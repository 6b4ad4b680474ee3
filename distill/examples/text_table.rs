//! Makes a table out of a plain text, and says how long that took and how much memory it needed at most.
//!
//! ```sh
//! cargo run --release -p distill --example text_table -- corpus.txt bert/ 128 none
//! ```
//!
//! The last word is `none`, `next` or `order`: which pairs are made. The table is written beside the text, in
//! `corpus.tokens/`, and is made anew each time. Memory of its own and pages of files, which the system can take back, are
//! told apart where the system tells them, on Linux.

use anyhow::{Context, Result, bail};
use distill::console::Console;
use distill::table::{Content, Source, folder_of, open};
use distill::text::{Packing, Pairs, Sentences};
use distill::tokens::Tokenizer;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    distill::memory::keep_freed_pages();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [text, tokenizer, max_length, pairs] = arguments.as_slice() else {
        bail!("expected a text, a tokenizer, a length and `none`, `next` or `order`");
    };
    let pairs = match pairs.as_str() {
        "none" => Pairs::None,
        "next" => Pairs::NextSentence,
        "order" => Pairs::SentenceOrder,
        other => bail!("`{other}` is none of `none`, `next` and `order`"),
    };
    let packing = Packing { pairs, sentences: Sentences::Marks, ..Packing::default() };
    let (text, max_length) = (Path::new(text), max_length.parse().context("a length is a number")?);
    let tokenizer = Tokenizer::open(Path::new(tokenizer), max_length)?;
    let console = Console::new(false, false);
    let folder = folder_of(text);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let source = Source { path: text, content: Content::Text(&packing), tokenizer: &tokenizer, threads: 0 };
    let start = Instant::now();
    let (table, own) = watched(|| open(&source, &folder, &console));
    let table = table?;
    let tokens: usize = (0..table.len()).map(|row| table.length(row)).sum();
    let seconds = start.elapsed().as_secs_f64();
    console.hand_out(format_args!("{} rows · {tokens} tokens · {seconds:.0} s", table.len()));
    let peak = kilobytes("VmHWM").unwrap_or(0);
    console.hand_out(format_args!(
        "memory of its own at most: {} MB · with mapped pages: {} MB",
        own / 1000,
        peak / 1000
    ));
    Ok(())
}

/// Does some work, and returns besides the most memory of its own that the process had meanwhile, in kB.
fn watched<R: Send>(work: impl FnOnce() -> R + Send) -> (R, u64) {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !is_done.load(Ordering::Relaxed) {
                most = most.max(kilobytes("RssAnon").unwrap_or(0));
                thread::sleep(Duration::from_millis(20));
            }
            most
        });
        let result = work();
        is_done.store(true, Ordering::Relaxed);
        (result, watcher.join().unwrap_or(0))
    })
}

/// Returns a figure of `/proc/self/status`.
fn kilobytes(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}
