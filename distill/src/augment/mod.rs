//! More texts out of few: copies in which words are replaced by words that could stand in their place (TinyBERT's data
//! augmentation; Jiao et al. 2020, algorithm 1).
//!
//! ```text
//! rows ──▶ words ──▶ slots ──────────────▶ copies ──▶ seen ──▶ filter ──▶ rows
//!        (stop_words)  (masked, neighbours ◀ table ◀ vectors)
//! ```
//!
//! A word that is one piece of the masked language model gets that model's candidates, every other word its neighbours in
//! a table of embeddings. Of what the published code does, two things are left out on purpose: the second text of a pair
//! is not set beside the last copy of the first, and a word is no candidate for itself.

mod copies;
mod filter;
mod masked;
mod neighbours;
mod seen;
pub mod stop_words;
mod survey;
mod table;
mod vectors;
mod words;

pub use filter::{Demands, Judge};
pub use masked::Masker;
pub use neighbours::Neighbours;
pub use seen::{Seen, key};
pub use stop_words::StopWords;
pub use survey::{Classes, Survey, Window};
pub use table::Table;

use crate::data::{Row, RowWriter};
use crate::draws::Draws;
use crate::threads;
use anyhow::Result;
use copies::{Slot, copy};
use seen::key_of;
use serde::Serialize;
use std::io::Write;
use std::ops::Range;

/// How copies are made; the default is as published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The probability with which a word is replaced, p.
    pub replace: f64,
    /// Tries at a copy of each text, N; those that were there before are dropped.
    pub copies: usize,
    /// The seed of all choices.
    pub seed: u64,
    /// Whether copies keep the label of their original.
    pub labels: CopyLabels,
    /// Threads to work on; 0 for all cores. Changes no result.
    pub threads: usize,
}

/// Which label a copy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyLabels {
    /// None: what it is, the teacher says.
    Without,
    /// That of the text that it was made from, as published.
    Original,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Rows read.
    pub texts: usize,
    /// Copies written.
    pub copies: usize,
    /// Copies dropped because they were there before.
    pub duplicates: usize,
    /// Copies dropped because one of their texts is among those excluded.
    pub excluded_copies: usize,
    /// Copies dropped because the teacher was not sure of them, or did not agree.
    pub filtered: usize,
    /// Rows that no copy was made of because one of their texts is among those excluded.
    pub excluded_texts: usize,
    /// Rows that no copy was made of because none of their words can be replaced.
    pub unchangeable_texts: usize,
    /// Words, as often as they occur, that are no stop words.
    pub words: usize,
    /// Those of them that have no candidates.
    pub words_without_candidates: usize,
}

/// What makes copies.
pub struct Augmenter {
    /// Where candidates come from.
    pub neighbours: Neighbours,
    /// Where candidates for words of one piece come from, if not from there.
    pub masker: Option<Masker>,
    /// The words that are left alone.
    pub stop_words: StopWords,
    /// The texts that must not come out, nor be copied.
    pub excluded: Seen,
    /// Who decides which copies stay, if anybody does.
    pub judge: Option<Judge>,
    /// How copies are made.
    pub settings: Settings,
}

/// A copy of a row.
pub struct Copy {
    text: String,
    text_pair: Option<String>,
    /// The row among those that are worked on together.
    row: usize,
    key: u64,
    excluded: bool,
}

/// A row, and what may be replaced in its texts.
struct Material<'a> {
    row: &'a Row,
    /// The row among those that are worked on together.
    place: usize,
    slots: [Vec<Slot>; 2],
}

impl Augmenter {
    /// The bytes of copies that are held at once, unless one copy of each text is more.
    const HELD: usize = 1 << 24;

    /// Makes copies of the next rows of the surveyed file, and writes those that stay. `tally` goes on counting.
    ///
    /// # Errors
    /// When a model fails, or a copy cannot be written.
    pub fn add<W: Write>(
        &mut self,
        rows: &[Row],
        survey: &mut Survey,
        tally: &mut Tally,
        out: &mut RowWriter<W>,
    ) -> Result<()> {
        let first = tally.texts;
        tally.texts += rows.len();
        let material = self.material(rows, tally)?;
        let gold = survey.gold.get(first..tally.texts).unwrap_or_default();
        let expected = match &mut self.judge {
            Some(judge) => judge.expected(rows, gold)?,
            None => Vec::new(),
        };
        let bytes: usize =
            rows.iter().map(|row| row.text.len() + row.text_pair.as_ref().map_or(0, String::len)).sum();
        let step = (Self::HELD / bytes.max(1)).clamp(1, self.settings.copies.max(1));
        for start in (0..self.settings.copies).step_by(step) {
            let numbers = start..(start + step).min(self.settings.copies);
            let make = |material: &Material<'_>| self.copies(material, first, numbers.clone());
            let made = threads::map(&material, self.settings.threads, make);
            let new: Vec<Copy> =
                made.into_iter().flatten().filter(|copy| is_wanted(copy, &mut survey.seen, tally)).collect();
            let new: Vec<&Copy> = new.iter().collect();
            let stays = match &mut self.judge {
                Some(judge) => judge.keeps(&new, &expected)?,
                None => vec![true; new.len()],
            };
            for (copy, stays) in new.into_iter().zip(stays) {
                if stays {
                    let label = rows[copy.row].label.as_deref();
                    let label = label.filter(|_| self.settings.labels == CopyLabels::Original);
                    out.write(&copy.text, copy.text_pair.as_deref(), label)?;
                    tally.copies += 1;
                } else {
                    tally.filtered += 1;
                }
            }
        }
        Ok(())
    }

    /// Finds what may be replaced in those rows that may be copied.
    fn material<'a>(&mut self, rows: &'a [Row], tally: &mut Tally) -> Result<Vec<Material<'a>>> {
        let texts_of = |row: &'a Row| [Some(row.text.as_str()), row.text_pair.as_deref()];
        let mut chosen = Vec::new();
        for (place, row) in rows.iter().enumerate() {
            if texts_of(row).into_iter().flatten().any(|text| self.excluded.contains(key(text))) {
                tally.excluded_texts += 1;
            } else {
                chosen.push((place, row));
            }
        }
        let texts: Vec<&str> =
            chosen.iter().flat_map(|(_, row)| texts_of(row).map(Option::unwrap_or_default)).collect();
        let mut slots = self.slots(&texts, tally)?.into_iter();
        let mut material = Vec::with_capacity(chosen.len());
        for (place, row) in chosen {
            let slots = [(); 2].map(|()| slots.next().unwrap_or_default());
            if slots.iter().all(Vec::is_empty) {
                tally.unchangeable_texts += 1;
            } else {
                material.push(Material { row, place, slots });
            }
        }
        Ok(material)
    }

    /// Returns what may be replaced in each text.
    fn slots(&mut self, texts: &[&str], tally: &mut Tally) -> Result<Vec<Vec<Slot>>> {
        let find = |text: &&str| {
            let mut places = words::words(text, |word| self.neighbours.table().has(word));
            places.retain(|place| !self.stop_words.contains(&text[place.clone()]));
            places
        };
        let places: Vec<Vec<Range<usize>>> = threads::map(texts, self.settings.threads, find);
        let said = match &mut self.masker {
            Some(masker) => {
                let asked: Vec<_> =
                    texts.iter().zip(&places).map(|(text, places)| (*text, &places[..])).collect();
                masker.candidates(&asked)?
            }
            None => places.iter().map(|places| vec![None; places.len()]).collect(),
        };
        let open = texts.iter().zip(&places).zip(&said).flat_map(|((text, places), said)| {
            let unsaid = places.iter().zip(said).filter(|(_, said)| said.is_none());
            unsaid.map(|(place, _)| &text[place.clone()])
        });
        self.neighbours.learn(open);
        let fill = |((text, places), said): ((&&str, Vec<Range<usize>>), Vec<Option<_>>)| {
            let filled = places.into_iter().zip(said).map(|(place, said)| {
                let candidates = said.unwrap_or_else(|| self.neighbours.of(&text[place.clone()]));
                Slot { place, candidates }
            });
            let all = filled.len();
            let slots: Vec<Slot> = filled.filter(|slot| !slot.candidates.is_empty()).collect();
            tally.words += all;
            tally.words_without_candidates += all - slots.len();
            slots
        };
        Ok(texts.iter().zip(places).zip(said).map(fill).collect())
    }

    /// Makes the copies of one row with these numbers. Each text is varied from its original, by itself.
    fn copies(&self, material: &Material<'_>, first: usize, numbers: Range<usize>) -> Vec<Copy> {
        let Material { row, place, slots } = material;
        let Settings { replace, seed, .. } = self.settings;
        let vary = |side: usize, text: &str, number: usize| {
            let draws = Draws::new(&[seed, (first + place) as u64, side as u64, number as u64]);
            copy(text, &slots[side], replace, draws)
        };
        numbers
            .map(|number| {
                let text = vary(0, &row.text, number);
                let text_pair = row.text_pair.as_ref().map(|pair| vary(1, pair, number));
                let texts = std::iter::once(&text).chain(&text_pair);
                let excluded = texts.into_iter().any(|text| self.excluded.contains(key(text)));
                Copy { key: key_of(&text, text_pair.as_deref()), text, text_pair, row: *place, excluded }
            })
            .collect()
    }
}

/// Says whether a copy is new and may come out, and remembers it.
fn is_wanted(copy: &Copy, seen: &mut Seen, tally: &mut Tally) -> bool {
    if copy.excluded {
        tally.excluded_copies += 1;
    } else if seen.insert(copy.key) {
        return true;
    } else {
        tally.duplicates += 1;
    }
    false
}

#[cfg(test)]
mod tests;
