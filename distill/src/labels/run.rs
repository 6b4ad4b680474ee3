//! Labelling: find what is known, ask for the rest piece by piece, put each answer on disk, merge.

use super::journal::{self, Journal, Records};
use super::known::{Known, Lacking};
use super::{Key, Keys, LabelStore, Provenance, Shard, store};
use crate::error::explained;
use anyhow::{Result, bail};
use ndarray::Array2;
use std::path::{Path, PathBuf};

/// The examples that the teacher is asked about at once: enough to sort by length, few enough to lose.
pub const CHUNK: usize = 4096;

/// Answers for examples, given by their indices: the logits, [indices, C].
pub type Classify<'a> = dyn FnMut(&[usize]) -> Result<Array2<f32>> + 'a;

/// What is to be labelled, and where the labels go.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The store.
    pub path: &'a Path,
    /// What the labels depend on besides the text.
    pub provenance: &'a Provenance,
    /// The key of each example.
    pub keys: Keys<'a>,
    /// The part of the work to do; all of it if absent.
    pub shard: Option<Shard>,
}

/// How much there is to do, in distinct examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The examples of the data, or of its shard.
    pub total: usize,
    /// Those labelled earlier.
    pub known: usize,
    /// Those that the teacher will be asked about.
    pub missing: usize,
}

/// Returns how much [`label`] will have to do. Nothing is written.
///
/// # Errors
/// As for [`label`].
pub fn plan(request: &Request<'_>) -> Result<Plan> {
    let known = Known::gather(request)?.with(Records::look(&request.target(), request.provenance)?);
    Ok(Plan::of(&known.lacking(request)?))
}

/// Labels every example that is labelled nowhere yet, each distinct one once, and returns the store.
///
/// `classify` is asked in the order of the data about at most 4096 examples at a time, and its answer is on disk before
/// it is asked again; so whoever counts progress, counts there. A run that was stopped at any point goes on where it was
/// and writes the bytes that it would have written undisturbed. With a shard, the labels go to
/// `<stem>.shard-<i>-of-<n>.safetensors` beside the store, and that file is returned; without one, all such files beside
/// the store are taken in, and left where they are.
///
/// # Errors
/// When a file of labels or a journal is damaged, of another provenance, or in use by another run; when `classify` fails,
/// or answers with another shape than [indices, C] or with a number that is not finite; when the disk fails. What was
/// labelled before then is kept.
pub fn label(request: &Request<'_>, classify: &mut Classify<'_>) -> Result<LabelStore> {
    match finished(request)? {
        Some((store, _)) => Ok(store),
        None => label_in_chunks(request, CHUNK, classify),
    }
}

impl Request<'_> {
    /// Returns the file that the labels go to.
    pub(super) fn target(&self) -> PathBuf {
        self.shard.map_or_else(|| self.path.to_owned(), |shard| shard.path(self.path))
    }

    /// Returns the first index of each distinct example of the shard, in the order of the keys.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (usize, &Key)> {
        let in_shard = |rank| self.shard.is_none_or(|shard| shard.contains(rank));
        self.keys.distinct().enumerate().filter(move |(rank, _)| in_shard(*rank)).map(|(_, example)| example)
    }
}

impl Plan {
    fn of(lacking: &Lacking) -> Self {
        let Lacking { wanted, missing, .. } = *lacking;
        Plan { total: wanted, known: wanted - missing, missing }
    }
}

/// Returns the store if it lacks nothing, so that a finished one can be used where nothing can be written.
///
/// # Errors
/// As for [`label`].
pub fn finished(request: &Request<'_>) -> Result<Option<(LabelStore, Plan)>> {
    let target = request.target();
    if journal::exists(&target) {
        return Ok(None);
    }
    let known = Known::gather(request)?;
    let plan = Plan::of(&known.lacking(request)?);
    if plan.missing > 0 {
        return Ok(None);
    }
    Ok(known.into_whole(&target)?.map(|store| (store, plan)))
}

fn label_in_chunks(
    request: &Request<'_>,
    chunk_size: usize,
    classify: &mut Classify<'_>,
) -> Result<LabelStore> {
    let Request { provenance, keys, .. } = request;
    let target = request.target();
    let mut journal = Journal::open(&target, provenance)?;
    // Gathered under the lock: a run that has just ended may have added to the files.
    let known = Known::gather(request)?.with(Some(journal.records()?));
    let (lacking, key) = (known.lacking(request)?, keys.by_example());
    for chunk in lacking.chunks(chunk_size) {
        let logits = classify(&chunk)?;
        check(&logits, &chunk, provenance)?;
        let chunk_keys: Vec<Key> = chunk.iter().map(|&index| key(index)).collect();
        journal.append(&chunk_keys, logits.view())?;
    }
    let known = known.with(Some(journal.records()?));
    store::write(&target, provenance, &known.own()?)?;
    journal.remove()?;
    LabelStore::read(&target, provenance)
}

/// Checks that an answer is one row of finite numbers for each question.
fn check(logits: &Array2<f32>, chunk: &[usize], provenance: &Provenance) -> Result<()> {
    let expected = [chunk.len(), provenance.num_classes()];
    if logits.shape() != expected {
        bail!("the teacher answered with logits of shape {:?} instead of {expected:?}", logits.shape());
    }
    let Some(row) = logits.rows().into_iter().position(|row| row.iter().any(|logit| !logit.is_finite()))
    else {
        return Ok(());
    };
    Err(explained(
        format!(
            "the teacher's logits of example {}, counted from 0, are not finite: {}",
            chunk[row],
            logits.row(row)
        ),
        "check the teacher on that text; models in half precision can overflow",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hint_of;
    use crate::labels::key;
    use crate::labels::sample::{Sample, opinion, teacher};

    /// Labels in pairs with a teacher that gives up after some answers, and returns which examples it was asked about.
    fn label_until(sample: &Sample, num_answers: usize) -> (Result<LabelStore>, Vec<Vec<usize>>) {
        let (mut asked, mut honest) = (Vec::new(), teacher(&sample.keys));
        let result = label_in_chunks(&sample.request(), 2, &mut |chosen| {
            anyhow::ensure!(asked.len() < num_answers, "killed");
            asked.push(chosen.to_vec());
            honest(chosen)
        });
        (result, asked)
    }

    fn opinions(keys: &[Key]) -> Array2<f32> {
        Array2::from_shape_fn((keys.len(), 3), |(row, class)| opinion(&keys[row])[class])
    }

    #[test]
    fn each_distinct_example_is_asked_about_once_in_the_order_of_the_data() {
        let mut sample = Sample::new(5);
        let [a, b, c, d, e] = sample.keys[..] else { unreachable!() };
        sample.keys = vec![e, a, e, c, a, b, d, d];
        let plan = plan(&sample.request()).unwrap();
        assert_eq!(plan, Plan { total: 5, known: 0, missing: 5 });
        let (store, asked) = label_until(&sample, 3);
        assert_eq!(asked, [vec![0, 1], vec![3, 5], vec![6]]);
        assert_eq!(store.unwrap().logits_for(&sample.keys).unwrap(), opinions(&sample.keys));
        assert_eq!(sample.files(), ["labels.safetensors"]);
    }

    #[test]
    fn permuting_filtering_or_extending_the_data_never_yields_the_labels_of_another_example() {
        let mut sample = Sample::new(50);
        sample.label();
        sample.keys.reverse();
        sample.keys.retain(|key| key[5] % 3 != 0);
        let known = sample.keys.len();
        sample.keys.insert(7, key("text 1", Some("with a pair")));
        sample.keys.push(key("text 50", None));
        assert_eq!(plan(&sample.request()).unwrap(), Plan { total: known + 2, known, missing: 2 });
        let (store, asked) = label_until(&sample, 1);
        assert_eq!(asked, [[7, known + 1]]);
        let store = store.unwrap();
        assert_eq!(store.logits_for(&sample.keys).unwrap(), opinions(&sample.keys));
        assert_eq!(store.len(), 52, "rows that the data does not ask for are kept");
    }

    #[test]
    fn a_run_that_was_stopped_goes_on_with_the_questions_of_one_that_was_not() {
        let undisturbed = Sample::new(7);
        let (_, questions) = label_until(&undisturbed, usize::MAX);
        for num_answers in 0..4 {
            let sample = Sample::new(7);
            let (killed, asked) = label_until(&sample, num_answers);
            assert_eq!(killed.unwrap_err().to_string(), "killed");
            let known = 2 * num_answers;
            assert_eq!(plan(&sample.request()).unwrap(), Plan { total: 7, known, missing: 7 - known });
            let (_, asked_later) = label_until(&sample, usize::MAX);
            assert_eq!([asked, asked_later].concat(), questions);
            assert!(sample.bytes() == undisturbed.bytes());
            assert_eq!(sample.files(), ["labels.safetensors"]);
        }
    }

    #[test]
    fn a_run_that_was_stopped_anywhere_in_its_journal_writes_the_same_bytes() {
        let sample = Sample::new(7);
        label_until(&sample, 3).0.unwrap_err();
        let journal = sample.path.with_extension("safetensors.journal");
        let whole = std::fs::read(&journal).unwrap();
        let (store, asked) = label_until(&sample, usize::MAX);
        assert_eq!((store.unwrap().len(), asked), (7, vec![vec![6]]));
        let bytes = sample.bytes();
        for end in 0..whole.len() {
            std::fs::remove_file(&sample.path).unwrap();
            std::fs::write(&journal, &whole[..end]).unwrap();
            let (store, asked) = label_until(&sample, usize::MAX);
            store.unwrap();
            assert!(asked[0][0] % 2 == 0 && asked[0][0] < 6, "a torn record is asked for again, whole");
            assert!(sample.bytes() == bytes, "journal of {end} bytes");
        }
        // Stopped after the store was written, before the journal was removed.
        std::fs::write(&journal, &whole).unwrap();
        assert_eq!(label_until(&sample, 0).0.unwrap().len(), 7);
        assert!(sample.bytes() == bytes && !journal.exists());
    }

    #[test]
    fn a_finished_store_is_returned_without_touching_the_folder() {
        let sample = Sample::new(3);
        sample.label();
        let modified = || std::fs::metadata(&sample.path).unwrap().modified().unwrap();
        let before = modified();
        let store = label(&sample.request(), &mut |_| panic!("nothing is missing")).unwrap();
        assert_eq!((store.len(), modified()), (3, before));
    }

    #[test]
    fn two_runs_on_one_store_do_not_mix() {
        let sample = Sample::new(3);
        let mut honest = teacher(&sample.keys);
        let store = label(&sample.request(), &mut |chosen| {
            for error in [plan(&sample.request()).unwrap_err(), label_until(&sample, 0).0.unwrap_err()] {
                assert!(error.to_string().starts_with("another run is writing into"), "{error}");
                assert!(hint_of(&error).unwrap().starts_with("wait until it has ended"));
            }
            honest(chosen)
        });
        assert_eq!(store.unwrap().len(), 3);
    }

    #[test]
    fn answers_of_the_wrong_shape_or_that_are_not_finite_are_refused_and_not_kept() {
        type Answer = fn(usize) -> Array2<f32>;
        let cases: [(Answer, &str); 4] = [
            (|n| Array2::zeros((n, 2)), "of shape [3, 2] instead of [3, 3]"),
            (|n| Array2::zeros((n - 1, 3)), "of shape [2, 3] instead of [3, 3]"),
            (
                |n| Array2::from_shape_fn((n, 3), |(i, c)| if (i, c) == (1, 2) { f32::NAN } else { 0.0 }),
                "of example 1,",
            ),
            (|n| Array2::from_elem((n, 3), f32::NEG_INFINITY), "of example 0,"),
        ];
        for (answer, expected) in cases {
            let sample = Sample::new(3);
            let error = label(&sample.request(), &mut |chosen| Ok(answer(chosen.len()))).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(plan(&sample.request()).unwrap().known, 0);
        }
    }

    #[test]
    fn when_the_store_cannot_be_written_the_old_one_and_all_answers_are_kept() {
        let mut sample = Sample::new(4);
        let home = sample.folder.path().join("home");
        let away = sample.folder.path().join("away");
        std::fs::create_dir(&home).unwrap();
        sample.path = home.join("labels.safetensors");
        let more = std::mem::take(&mut sample.keys);
        sample.keys = more[..2].to_vec();
        sample.label();
        let old = sample.bytes();
        sample.keys = more;
        let mut honest = teacher(&sample.keys);
        label(&sample.request(), &mut |chosen| {
            std::fs::rename(&home, &away)?;
            honest(chosen)
        })
        .unwrap_err();
        std::fs::rename(&away, &home).unwrap();
        assert!(sample.bytes() == old);
        assert_eq!(label_until(&sample, 0).0.unwrap().len(), 4, "nothing is asked again");
    }

    #[test]
    fn data_without_examples_has_a_store_without_rows() {
        assert_eq!(Sample::new(0).label().logits_for(&[]).unwrap().shape(), [0, 3]);
    }
}
