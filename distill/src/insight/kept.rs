//! A teacher's inside, kept: what it computed once of each text, mapped wherever it is needed again.
//!
//! For runs that see their texts often, and for several runs on the same texts: reading is far cheaper than asking. The
//! price is room, which is announced. A store is one safetensors file with one tensor,
//!
//! ```text
//! inside    F16 [n]       of each different text in the order of the examples, see [`Shape`]
//! metadata  `distill`     JSON: version, teacher, hash of all tokens, layers, sizes
//! ```
//!
//! Its name is a hash of the metadata, so that what was kept for another teacher, other texts or other layers is never taken.
//! It is written window by window to a file beside it, which takes its place once it is whole; a run that was stopped goes
//! on after the last whole window. Which texts the teacher reads together depends on the texts alone, so a store holds the
//! same bytes however it came about. Stores can be deleted at any time.

use super::shape::Shape;
use crate::console::{Console, SharedProgress};
use crate::data::{fingerprint, hexadecimal};
use crate::error::explained;
use crate::examples::Examples;
use crate::labels::{Key, key_of_tokens};
use crate::report;
use crate::tensors::{Contents, Tensor, header};
use anyhow::{Context, Result, anyhow, bail};
use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use safetensors::tensor::Dtype;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use student::files::map;
use student::{Outputs, PackedBatch};

/// The name of the one tensor.
const INSIDE: &str = "inside";
/// Changes when what a store holds is laid out in another way, or read together in others.
const VERSION: u32 = 2;
/// The numbers of a window, about: 32 MB in half precision. A matter of bytes, as what is read together is.
const WINDOW: usize = 1 << 24;

/// What is to be kept.
pub struct Request<'a> {
    /// The texts: examples, and which of them.
    pub texts: &'a [(&'a Examples, Vec<usize>)],
    /// What is kept of each.
    pub shape: Shape,
    /// The fingerprint of the teacher.
    pub teacher: &'a str,
    /// The padded tokens that it reads at once: they change the last digits of what it says.
    pub batch_tokens: usize,
    /// Where stores lie.
    pub folder: &'a Path,
    /// What is said meanwhile.
    pub console: &'a Console,
}

/// What a teacher's inside is of some texts.
pub struct Kept {
    shape: Shape,
    places: HashMap<Key, Range<usize>>,
    bytes: Box<dyn Deref<Target = [u8]> + Send + Sync>,
    /// Where the numbers begin in `bytes`.
    start: usize,
    path: PathBuf,
}

/// The different sequences among the texts, in order.
struct Plan<'a> {
    request: &'a Request<'a>,
    /// The numbers of a window, about.
    window: usize,
    names: Vec<Key>,
    /// Of each sequence, where it is first met: the part of the texts, and the example.
    first: Vec<(u32, u32)>,
    /// Where the numbers of each sequence begin, and where the last end.
    starts: Vec<usize>,
    says: String,
}

impl Kept {
    /// Opens the store of what is asked for, and makes it where it is not there or not whole. `ask` says what goes on inside
    /// the teacher.
    ///
    /// # Errors
    /// When there is no room, the disk or the teacher fails, a number is beyond half precision, or another run is making it.
    pub fn open(request: &Request<'_>, ask: &mut Ask<'_>) -> Result<Self> {
        Kept::open_with(request, WINDOW, ask)
    }

    pub(super) fn open_with(request: &Request<'_>, window: usize, ask: &mut Ask<'_>) -> Result<Self> {
        let plan = Plan::of(request, window);
        let path =
            request.folder.join(format!("inside-{}.safetensors", &fingerprint(plan.says.as_bytes())[..16]));
        if path.exists() {
            match plan.view(&path) {
                Ok(kept) => return Ok(kept),
                Err(reason) => request
                    .console
                    .say(format_args!("`{}` is no valid store, {reason:#}; it is made anew", path.display())),
            }
        }
        plan.make(&path, ask)?;
        plan.view(&path)
    }

    /// Returns what was kept of the sequences of a batch.
    ///
    /// # Errors
    /// When a sequence is none of those that were asked for, or the file is damaged.
    pub fn of(&self, batch: &PackedBatch) -> Result<Outputs> {
        let numbers: &[f16] = self.numbers();
        let mut kept = Vec::with_capacity(batch.num_sequences());
        for tokens in batch.sequences() {
            let name = key_of_tokens(&batch.ids()[tokens.clone()], &batch.type_ids()[tokens]);
            let place = self.places.get(&name).context("a text was not among those that were to be kept")?;
            let these = &numbers[place.clone()];
            if these.iter().any(|number| !number.is_finite()) {
                return Err(explained(
                    format!("`{}` is damaged: it holds what is no number", self.path.display()),
                    "delete it; what it held is computed anew",
                ));
            }
            kept.push(these);
        }
        Ok(self.shape.take(batch, kept.into_iter()))
    }

    fn numbers(&self) -> &[f16] {
        let bits: &[u16] = bytemuck::cast_slice(&self.bytes[self.start..]);
        bits.reinterpret_cast()
    }
}

/// Says what goes on inside a teacher; told how many texts are done.
pub type Ask<'a> = dyn FnMut(&PackedBatch, &(dyn Fn(usize) + Sync)) -> Result<Outputs> + 'a;

impl<'a> Plan<'a> {
    fn of(request: &'a Request<'a>, window: usize) -> Self {
        let (mut names, mut first, mut starts) = (Vec::new(), Vec::new(), vec![0]);
        let mut known = HashSet::new();
        let mut all = Sha256::new();
        for (part, (examples, chosen)) in request.texts.iter().enumerate() {
            for &example in chosen {
                let encodings = examples.encodings([example]);
                let (ids, type_ids) = encodings.get(0);
                let name = key_of_tokens(ids, type_ids);
                if known.insert(name) {
                    all.update(name);
                    names.push(name);
                    first.push((part as u32, example as u32));
                    starts.push(starts[starts.len() - 1] + request.shape.numbers(ids.len()));
                }
            }
        }
        let Shape { asked, hidden, heads } = &request.shape;
        let says = serde_json::json!({
            "version": VERSION,
            "teacher": request.teacher,
            "batch_tokens": request.batch_tokens,
            "texts": hexadecimal(&all.finalize()),
            "hidden": asked.hidden, "scores": asked.scores, "qkv": asked.qkv,
            "hidden_size": hidden, "heads": heads,
        });
        Plan { request, window, names, first, starts, says: says.to_string() }
    }

    fn len(&self) -> usize {
        self.names.len()
    }

    fn header(&self) -> Result<Vec<u8>> {
        let shape = vec![self.starts[self.len()]];
        header(&self.says, vec![Tensor { name: INSIDE.to_owned(), dtype: Dtype::F16, shape }])
    }

    fn view(&self, path: &Path) -> Result<Kept> {
        let bytes = map(path)?;
        let contents = Contents::of(&bytes).map_err(anyhow::Error::msg)?;
        let (dtype, shape, place) = contents.find(INSIDE).map_err(anyhow::Error::msg)?;
        let expected = (Dtype::F16, &[self.starts[self.len()]][..], Some(self.says.as_str()));
        if (dtype, shape, contents.says()) != expected || !place.start.is_multiple_of(size_of::<f16>()) {
            bail!("it holds something else");
        }
        let ranges = self.starts.windows(2).map(|ends| ends[0]..ends[1]);
        let places = self.names.iter().copied().zip(ranges).collect();
        let (shape, path) = (self.request.shape.clone(), path.to_owned());
        Ok(Kept { shape, places, bytes: Box::new(bytes), start: place.start, path })
    }

    /// Cuts the texts into windows, which depend on nothing but their lengths.
    fn windows(&self) -> Vec<Range<usize>> {
        let mut windows = Vec::new();
        let mut start = 0;
        for end in 1..=self.len() {
            if end == self.len() || self.starts[end + 1] - self.starts[start] > self.window {
                windows.push(start..end);
                start = end;
            }
        }
        windows
    }

    fn make(&self, path: &Path, ask: &mut Ask<'_>) -> Result<()> {
        let Request { folder, console, .. } = self.request;
        let header = self.header()?;
        let size = (header.len() + self.starts[self.len()] * size_of::<f16>()) as u64;
        let not_written = || format!("cannot write to `{}`", folder.display());
        std::fs::create_dir_all(folder).with_context(not_written)?;
        let partial = path.with_extension("partial");
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&partial);
        let file = file.as_mut().map_err(|error| anyhow!("{}: {error}", not_written()))?;
        if file.try_lock().is_err() {
            return Err(explained(
                format!("another run is writing `{}`", partial.display()),
                "wait until it has finished: this run can use what it keeps",
            ));
        }
        let windows = self.windows();
        let done = self.done(file, &header, &windows).with_context(not_written)?;
        let there = file.metadata().map_or(0, |file| file.len());
        console.say(format_args!(
            "inside of the teacher: {} texts take {} in `{}`",
            self.len(),
            report::bytes(size),
            folder.display()
        ));
        check_room(folder, size - there)?;
        let start = windows.get(done).map_or(self.len(), |window| window.start);
        let mut progress = console.progress("look inside", self.len());
        progress.skip(start);
        let progress = SharedProgress::new(progress, "texts");
        for window in &windows[done..] {
            let numbers = self.ask(window.clone(), ask, &|more| progress.advance(more))?;
            let bits: &[u16] = numbers.as_slice().reinterpret_cast();
            file.write_all(bytemuck::cast_slice(bits))
                .and_then(|()| file.sync_data())
                .with_context(not_written)?;
        }
        progress.finish();
        file.sync_all().and_then(|()| std::fs::rename(&partial, path)).with_context(not_written)
    }

    /// Returns how many windows an earlier run wrote whole, with the file ready to go on after them.
    fn done(&self, file: &mut File, header: &[u8], windows: &[Range<usize>]) -> std::io::Result<usize> {
        let length = file.metadata()?.len();
        let end = |window: &Range<usize>| (header.len() + self.starts[window.end] * size_of::<f16>()) as u64;
        let mut begun = vec![0; header.len()];
        let is_ours = file.read_exact(&mut begun).is_ok() && begun == header;
        let whole = if is_ours { windows.partition_point(|window| end(window) <= length) } else { 0 };
        let keep = whole.checked_sub(1).map_or(header.len() as u64, |last| end(&windows[last]));
        if !is_ours {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(header)?;
        }
        file.set_len(keep)?;
        file.seek(SeekFrom::Start(keep))?;
        Ok(whole)
    }

    fn ask(
        &self,
        window: Range<usize>,
        ask: &mut Ask<'_>,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<f16>> {
        let encodings: Vec<_> = self.first[window.clone()]
            .iter()
            .map(|&(part, example)| self.request.texts[part as usize].0.encodings([example as usize]))
            .collect();
        let batch = PackedBatch::pack(encodings.iter().map(|it| it.get(0)));
        let outputs = ask(&batch, progress)?;
        let mut numbers = Vec::with_capacity(self.starts[window.end] - self.starts[window.start]);
        for (sequence, tokens) in batch.sequences().enumerate() {
            self.request.shape.put(&outputs, sequence, tokens, &mut numbers);
        }
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(explained(
                "what goes on inside the teacher is beyond the numbers of half precision",
                "leave `--cache-inside` out: it is then computed while the student learns, in full precision",
            ));
        }
        Ok(numbers)
    }
}

/// Refuses to fill a disk.
fn check_room(folder: &Path, needed: u64) -> Result<()> {
    #[cfg(unix)]
    if let Ok(disk) = rustix::fs::statvfs(folder) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < needed {
            return Err(explained(
                format!(
                    "`{}` has room for {}, not for {}",
                    folder.display(),
                    report::bytes(free),
                    report::bytes(needed)
                ),
                "keep it on another disk with `--cache`, or leave `--cache-inside` out",
            ));
        }
    }
    Ok(())
}
