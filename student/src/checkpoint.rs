//! Parameters on disk: `model.safetensors` with Hugging Face's names, and snapshots to continue a run from.

use crate::files::{map, write_atomically};
use crate::header::{Announced, header};
use crate::optim::AdamW;
use crate::weights::{Tensor, WORDS, Weights, canonical};
use crate::{Arena, Error, Layout, Snapshot};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

const FORMAT: &str = "safetensors";

/// Writes the parameters under their names, in the layout that PyTorch's loaders expect.
///
/// # Errors
/// [`Error::Write`]; an older file is then untouched.
pub fn write_weights(path: &Path, layout: &Layout, params: &Arena) -> Result<(), Error> {
    write(path, tensors(layout, "", params), ("format", "pt"))
}

/// Reads every tensor of numbers, as `f32`.
///
/// # Errors
/// [`Error::Read`], or [`Error::Malformed`] when the file is no safetensors file or holds other data types.
pub fn read_weights(path: &Path) -> Result<Weights, Error> {
    let bytes = map(path)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| malformed(path, error))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        // Buffers of positions, which old checkpoints carry, are no weights.
        if !matches!(view.dtype(), Dtype::I64 | Dtype::I32 | Dtype::BOOL) {
            let data = numbers(&view)
                .ok_or_else(|| malformed(path, format_args!("`{name}` is of type {:?}", view.dtype())))?;
            tensors.insert(name, Tensor { shape: view.shape().to_vec(), data });
        }
    }
    Ok(Weights::new(path, tensors))
}

/// Reads the table of word embeddings, [V, H], and nothing else, whatever a wrapper put before its name.
///
/// # Errors
/// [`Error::Read`]; [`Error::Malformed`] when the file is no safetensors file, or the table is no matrix of
/// floating-point numbers; [`Error::Unusable`] when there is no such table.
pub fn read_words(path: &Path) -> Result<Tensor, Error> {
    let bytes = map(path)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| malformed(path, error))?;
    let found = file.iter().find(|(name, _)| canonical(name) == WORDS);
    let (name, view) = found.ok_or_else(|| Error::Unusable {
        path: path.to_owned(),
        reason: format!("it has no tensor `{WORDS}`"),
    })?;
    let data = numbers(&view).filter(|_| view.shape().len() == 2);
    let wrong = || malformed(path, format_args!("`{name}` is {:?} of {:?}", view.shape(), view.dtype()));
    Ok(Tensor { shape: view.shape().to_vec(), data: data.ok_or_else(wrong)? })
}

/// Writes everything that training changes, and what the trainer wants to find again, as text.
///
/// # Errors
/// [`Error::Write`]; an older snapshot is then untouched.
pub fn write_snapshot(
    path: &Path,
    layout: &Layout,
    snapshot: &Snapshot<'_>,
    state: &str,
) -> Result<(), Error> {
    let arenas = parts(&*snapshot.params, &*snapshot.first_moment, &*snapshot.second_moment);
    let all = arenas.into_iter().flat_map(|(prefix, arena)| tensors(layout, prefix, arena));
    let state = serde_json::json!({ "updates": snapshot.updates, "trainer": state }).to_string();
    write(path, all, ("state", &state))
}

/// Reads what [`write_snapshot`] wrote for the same layout.
///
/// # Errors
/// [`Error::Read`], [`Error::Malformed`], or [`Error::Mismatch`] when the snapshot is of another model.
pub fn read_snapshot(path: &Path, layout: &Layout) -> Result<(Snapshot<'static>, String), Error> {
    let bytes = map(path)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| malformed(path, error))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| malformed(path, error))?;
    let state = header.metadata().as_ref().and_then(|metadata| metadata.get("state"));
    let state: Option<serde_json::Value> = state.and_then(|state| serde_json::from_str(state).ok());
    let known =
        state.as_ref().and_then(|state| Some((state["updates"].as_u64()?, state["trainer"].as_str()?)));
    let (updates, trainer) =
        known.ok_or_else(|| malformed(path, "it does not hold the state of a training run"))?;
    let [mut params, mut first_moment, mut second_moment] = [(); 3].map(|()| Arena::zeros(layout));
    for (prefix, arena) in parts(&mut params, &mut first_moment, &mut second_moment) {
        for entry in layout.entries() {
            let name = format!("{prefix}{}", entry.name);
            let view = file.tensor(&name).ok().filter(|view| view.shape() == entry.shape);
            let data = view.and_then(|view| numbers(&view)).ok_or_else(|| Error::Mismatch {
                path: path.to_owned(),
                reason: format!("it has no tensor `{name}` of shape {:?}", entry.shape),
            })?;
            arena.data_mut()[entry.range()].copy_from_slice(&data);
        }
    }
    Ok((Snapshot::owned(params, AdamW { first_moment, second_moment, updates }), trainer.to_owned()))
}

/// Names the three kinds of numbers in a snapshot.
fn parts<A>(params: A, first_moment: A, second_moment: A) -> [(&'static str, A); 3] {
    [("params/", params), ("first_moment/", first_moment), ("second_moment/", second_moment)]
}

/// A tensor of an arena on its way into a file.
struct Outgoing<'a> {
    name: String,
    shape: &'a [usize],
    data: &'a [f32],
}

impl Outgoing<'_> {
    fn announced(&self) -> Announced {
        Announced { name: self.name.clone(), dtype: Dtype::F32, shape: self.shape.to_vec() }
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        if cfg!(target_endian = "little") {
            bytemuck::cast_slice(self.data).into()
        } else {
            self.data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>().into()
        }
    }
}

fn tensors<'a>(
    layout: &'a Layout,
    prefix: &'static str,
    arena: &'a Arena,
) -> impl Iterator<Item = Outgoing<'a>> {
    layout.entries().iter().map(move |entry| {
        let data = &arena.data()[entry.range()];
        Outgoing { name: format!("{prefix}{}", entry.name), shape: &entry.shape, data }
    })
}

/// Writes tensors in the order of their names, one after the other, without a second copy in memory.
fn write<'a>(
    path: &Path,
    tensors: impl Iterator<Item = Outgoing<'a>>,
    metadata: (&str, &str),
) -> Result<(), Error> {
    let mut tensors: Vec<_> = tensors.collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let header = header(metadata, tensors.iter().map(Outgoing::announced).collect())
        .map_err(|error| Error::Write { path: path.to_owned(), source: std::io::Error::other(error) })?;
    write_atomically(path, |file| {
        file.write_all(&header)?;
        tensors.iter().try_for_each(|tensor| file.write_all(&tensor.bytes()))
    })
}

/// Returns the numbers of a tensor as `f32`, or `None` for a type that is none of the floating-point ones.
fn numbers(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = view.data();
    let words = || bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    match view.dtype() {
        Dtype::F32 => {
            Some(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
        }
        Dtype::F16 => Some(words().map(|bits| half::f16::from_bits(bits).to_f32()).collect()),
        Dtype::BF16 => Some(words().map(|bits| half::bf16::from_bits(bits).to_f32()).collect()),
        Dtype::F64 => Some(
            bytes
                .chunks_exact(8)
                .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
                .collect(),
        ),
        _ => None,
    }
}

fn malformed(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Malformed { path: path.to_owned(), format: FORMAT, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::noise1;

    fn layout() -> Layout {
        let mut layout = Layout::default();
        let mut scope = layout.scope("bert");
        scope.matrix("weight", 3, 2);
        scope.bias("bias", 3);
        layout
    }

    fn arena(layout: &Layout, seed: u64) -> Arena {
        Arena::from_vec(layout, noise1(layout.num_parameters(), seed).to_vec()).unwrap()
    }

    #[test]
    fn a_snapshot_is_read_back_bit_for_bit_and_written_reproducibly() {
        let (folder, layout) = (tempfile::tempdir().unwrap(), layout());
        let (first_moment, second_moment) = (arena(&layout, 2), arena(&layout, 3));
        let snapshot = Snapshot::owned(arena(&layout, 1), AdamW { first_moment, second_moment, updates: 77 });
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        for path in &paths {
            write_snapshot(path, &layout, &snapshot, "{\"epoch\":2}").unwrap();
        }
        assert_eq!(read_snapshot(&paths[0], &layout).unwrap(), (snapshot, "{\"epoch\":2}".to_owned()));
        assert_eq!(std::fs::read(&paths[0]).unwrap(), std::fs::read(&paths[1]).unwrap());
    }

    #[test]
    fn weights_are_written_as_the_library_writes_them() {
        let (folder, layout) = (tempfile::tempdir().unwrap(), layout());
        let (path, params) = (folder.path().join("model.safetensors"), arena(&layout, 4));
        write_weights(&path, &layout, &params).unwrap();
        let tensors = layout.entries().iter().map(|entry| {
            let bytes = bytemuck::cast_slice(&params.data()[entry.range()]);
            (&entry.name, TensorView::new(Dtype::F32, entry.shape.clone(), bytes).unwrap())
        });
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        assert!(std::fs::read(&path).unwrap() == safetensors::serialize(tensors, Some(metadata)).unwrap());
    }

    #[test]
    fn a_snapshot_of_another_model_is_refused() {
        let (folder, layout) = (tempfile::tempdir().unwrap(), layout());
        let path = folder.path().join("snapshot");
        write_weights(&path, &layout, &arena(&layout, 1)).unwrap();
        assert!(matches!(read_snapshot(&path, &layout), Err(Error::Malformed { .. })));
        let snapshot = Snapshot::owned(Arena::zeros(&layout), AdamW::new(&layout));
        write_snapshot(&path, &layout, &snapshot, "").unwrap();
        let mut wider = Layout::default();
        wider.scope("bert").matrix("weight", 3, 4);
        assert!(matches!(read_snapshot(&path, &wider), Err(Error::Mismatch { .. })));
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let (folder, layout) = (tempfile::tempdir().unwrap(), layout());
        let path = folder.path().join("model.safetensors");
        write_weights(&path, &layout, &arena(&layout, 1)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for end in [0, 4, 8, 20, whole.len() - 1] {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert!(read_weights(&path).is_err(), "{end} bytes");
        }
        let missing = read_weights(&folder.path().join("none")).unwrap_err();
        assert!(matches!(missing, Error::Read { .. }) && missing.hint().is_some());
    }
}
