//! Masked language modelling: which tokens of a sequence are hidden, behind what, and what they were.
//!
//! As BERT's `create_masked_lm_predictions` does (Devlin et al. 2019, section 3.1 and appendix A.1), but anew whenever a
//! sequence is visited (dynamic masking, Liu et al. 2019). Of a sequence of `n` tokens, special ones included,
//! `min(max(1, round(0.15 n)), most)` are chosen, halves rounded to even; of the chosen, 80 % are replaced by the mask, 10 %
//! stay, and 10 % are replaced by an id drawn evenly from all of the vocabulary, special ones and the own among them.
//! Special tokens are never chosen. Unlike in BERT's code, the unknown token is one of them, as in DistilBERT's: there is
//! nothing to learn from it. A sequence with fewer tokens to choose from has fewer chosen.
//!
//! **Chance.** What is chosen of a row depends on its tokens, the seed, the epoch and the number of the row; not on the rows
//! beside it in a batch, the order of batches, or threads.

mod rarity;

pub use rarity::Rarity;

use crate::draws::Draws;
use crate::error::explained;
use crate::tokens::Inventory;
use anyhow::Result;
use student::PackedBatch;

/// How tokens are hidden. The default is BERT's.
#[derive(Clone, Debug, PartialEq)]
pub struct Masking {
    /// The share of a sequence's tokens that is chosen.
    pub share: f64,
    /// The most that are chosen in a sequence; nothing for no limit. BERT's is 20 for sequences of 128 tokens, of which 15 %
    /// are 19.
    pub most: Option<usize>,
    /// The share of the chosen that is replaced by the mask.
    pub masked: f64,
    /// The share of the chosen that stays as it is. What is left is replaced by random tokens.
    pub kept: f64,
    /// What is chosen.
    pub choice: Choice,
}

/// What is chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// Each piece is as likely as any other.
    Pieces,
    /// Whole words, each as likely as any other: a word that has more pieces than are still to be chosen is passed over, so
    /// that fewer may be chosen, or none where every word is too long. Each piece meets its own fate, as in BERT's code.
    Words,
    /// Rare pieces rather than frequent ones, as DistilBERT does (Sanh et al. 2019); but with a number for each sequence,
    /// where DistilBERT chooses 15 % of a batch as a whole, so that a row's mask does not depend on its neighbours.
    Rare(Rarity),
}

impl Default for Masking {
    fn default() -> Self {
        Masking { share: 0.15, most: None, masked: 0.8, kept: 0.1, choice: Choice::Pieces }
    }
}

/// The tokens of a batch with some of them hidden.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masked {
    /// The ids that the model is given, `[N]`.
    pub ids: Vec<u32>,
    /// Which of the batch's tokens were chosen, rising, `[M]`.
    pub positions: Vec<usize>,
    /// What the chosen were, `[M]`.
    pub targets: Vec<u32>,
}

/// Where the chance of a batch comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The seed of the run.
    pub seed: u64,
    /// The epoch, or whatever else tells apart two visits to a row.
    pub epoch: u64,
}

/// Hides tokens of one vocabulary.
pub struct Masker {
    masking: Masking,
    inventory: Inventory,
    mask_id: u32,
}

/// Keeps what is drawn here apart from what is drawn elsewhere from the same seed.
const MASK: u64 = 0x6d61_736b_0000_0000;

impl Masker {
    /// Prepares for a vocabulary.
    ///
    /// # Errors
    /// When it has no mask, shares are none, or does not say which pieces make up a word where whole words are asked for.
    pub fn new(masking: Masking, inventory: Inventory) -> Result<Self> {
        let Masking { share, masked, kept, .. } = masking;
        if !(share > 0.0 && share <= 1.0 && masked >= 0.0 && kept >= 0.0 && masked + kept <= 1.0 + 1e-9) {
            return Err(explained(
                format!("{share} of all tokens, {masked} of them masked and {kept} kept, are no shares"),
                "choose 0.15, 0.8 and 0.1, as BERT does; the last two are at most 1 together",
            ));
        }
        if masking.choice == Choice::Words && inventory.continues.is_none() {
            return Err(explained(
                "the tokenizer's pieces do not say where a word begins, so that no whole words can be masked",
                "choose pieces",
            ));
        }
        let mask_id = inventory.mask_id.ok_or_else(|| {
            explained(
                "the tokenizer has no mask token",
                "use the tokenizer of a masked language model, as BERT's",
            )
        })?;
        Ok(Masker { masking, inventory, mask_id })
    }

    /// Hides tokens of a batch: returns it as a model is given it, and what the chosen tokens were, `[M]`. `rows`: of each
    /// sequence, its row in the table.
    pub fn hide(&self, batch: PackedBatch, rows: &[usize], moment: Moment) -> (PackedBatch, Vec<u32>) {
        let Masked { ids, positions, targets } = self.mask(batch.ids(), batch.offsets(), rows, moment);
        (batch.masked(ids, positions), targets)
    }

    /// Hides tokens of a packed batch.
    ///
    /// Shapes: `ids` `[N]`; `offsets`, where each sequence begins and the end of the last, [B + 1]; `rows`, the number that
    /// each sequence has among all, `[B]`.
    pub fn mask(&self, ids: &[u32], offsets: &[usize], rows: &[usize], moment: Moment) -> Masked {
        assert_eq!(offsets.len(), rows.len() + 1, "every sequence has a row");
        let mut masked = Masked { ids: ids.to_vec(), ..Masked::default() };
        for (ends, &row) in offsets.windows(2).zip(rows) {
            let mut draws = Draws::new(&[moment.seed, MASK, moment.epoch, row as u64]);
            for place in self.choose(&ids[ends[0]..ends[1]], &mut draws) {
                let position = ends[0] + place;
                masked.positions.push(position);
                masked.targets.push(ids[position]);
                masked.ids[position] = self.disguise(ids[position], &mut draws);
            }
        }
        masked
    }

    /// Returns the places of a sequence that are chosen, rising.
    ///
    /// Units are visited in the order of `-ln(u) / w`, `u` even in (0, 1] and `w` the weight of each: one after the other
    /// is drawn by weight among those that are left (Efraimidis and Spirakis 2006), evenly where all weights are equal.
    fn choose(&self, ids: &[u32], draws: &mut Draws) -> Vec<usize> {
        let count = (ids.len() as f64 * self.masking.share).round_ties_even().max(1.0) as usize;
        let count = self.masking.most.map_or(count, |most| count.min(most));
        let mut units: Vec<(f64, usize, usize)> = Vec::with_capacity(ids.len());
        for (start, end) in self.units(ids) {
            units.push((-libm::log(draws.unit()) / self.weight(ids[start]), start, end));
        }
        units.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut chosen = Vec::with_capacity(count);
        for (_, start, end) in units {
            if chosen.len() + (end - start) <= count {
                chosen.extend(start..end);
            }
            if chosen.len() == count {
                break;
            }
        }
        chosen.sort_unstable();
        chosen
    }

    /// Returns where the units of a sequence begin and end: pieces, or words; special tokens are in none.
    fn units(&self, ids: &[u32]) -> Vec<(usize, usize)> {
        let continues = match (&self.masking.choice, &self.inventory.continues) {
            (Choice::Words, Some(continues)) => continues.as_slice(),
            _ => &[],
        };
        let mut units: Vec<(usize, usize)> = Vec::with_capacity(ids.len());
        for (place, &id) in ids.iter().enumerate() {
            let is = |flags: &[bool]| flags.get(id as usize).copied().unwrap_or(false);
            if is(&self.inventory.special) {
                continue;
            }
            match units.last_mut().filter(|(_, end)| *end == place && is(continues)) {
                Some((_, end)) => *end += 1,
                None => units.push((place, place + 1)),
            }
        }
        units
    }

    fn weight(&self, id: u32) -> f64 {
        match &self.masking.choice {
            Choice::Pieces | Choice::Words => 1.0,
            Choice::Rare(rarity) => rarity.weight(id),
        }
    }

    /// Returns what a chosen token is replaced by.
    fn disguise(&self, id: u32, draws: &mut Draws) -> u32 {
        let fate = draws.unit();
        if fate <= self.masking.masked {
            self.mask_id
        } else if fate <= self.masking.masked + self.masking.kept {
            id
        } else {
            draws.below(self.inventory.size) as u32
        }
    }
}

#[cfg(test)]
mod tests;
