//! The work of measuring: what is run, and how its times become figures.

use super::clock::{self, Cost, timed};
use super::probe::{Probe, Request};
use super::{Candidate, LENGTHS, Latency, PROBES, PerMillion, Settings, Throughput, Turns, percentile};
use crate::asking::ask;
use crate::console::Progress;
use crate::measure::evenly;
use crate::tokens::Encodings;
use anyhow::Result;
use teacher::Tokens;

/// Models that are being measured.
pub struct Work<'a, 'b> {
    pub candidates: &'a mut [Candidate<'b>],
    pub settings: &'a Settings,
    pub progress: Progress,
}

impl Work<'_, '_> {
    /// Opens each model in several processes of its own, in turns.
    pub fn probes(&mut self, length: usize) -> Result<Vec<Vec<Probe>>> {
        let mut probes = vec![Vec::new(); self.candidates.len()];
        let Some(program) = &self.settings.program else { return Ok(probes) };
        for _ in 0..PROBES {
            for (candidate, probes) in self.candidates.iter().zip(&mut probes) {
                let text = stretched(candidate.texts, length);
                let request =
                    Request::new(candidate.model, self.settings.threads, self.settings.batch, tokens(&text));
                probes.push(request.send(program)?);
                self.progress.advance(1, || "load and memory".into());
            }
        }
        Ok(probes)
    }

    /// Times single texts of each length that a model takes; returns the times of each model. `limits`: the longest text of
    /// each.
    pub fn by_length(&mut self, limits: &[usize]) -> Result<Vec<Vec<Latency>>> {
        let mut all = vec![Vec::new(); limits.len()];
        for length in LENGTHS {
            let models: Vec<usize> = (0..limits.len()).filter(|&model| limits[model] >= length).collect();
            let what = format!("latency of {length} tokens");
            let times = self.latencies(&models, [1, length], &self.settings.lengths(), &what)?;
            models.into_iter().zip(times).for_each(|(model, latency)| all[model].push(latency));
        }
        Ok(all)
    }

    /// Times batches of equal texts.
    pub fn latencies(
        &mut self,
        models: &[usize],
        [batch, length]: [usize; 2],
        turns: &Turns,
        what: &str,
    ) -> Result<Vec<Latency>> {
        let texts: Vec<(Vec<u32>, Vec<u32>)> =
            models.iter().map(|&model| stretched(self.candidates[model].texts, length)).collect();
        let costs = self.take(models.len(), turns, what, |candidates, i| {
            Ok(candidates[models[i]].model.logits(&vec![tokens(&texts[i]); batch], &|_| {}).map(drop)?)
        })?;
        Ok(costs.iter().map(|costs| Latency::of(costs, [batch, length], self.settings.threads)).collect())
    }

    /// Times many texts of the data.
    pub fn throughputs(&mut self) -> Result<Vec<(Throughput, PerMillion)>> {
        let turns = self.settings.throughputs();
        let costs = self.take(self.candidates.len(), &turns, "throughput", |candidates, i| {
            let Candidate { model, texts } = &mut candidates[i];
            ask(model, texts, spread(texts.len()), &|_| {}).map(drop)
        })?;
        let settings = self.settings;
        Ok(costs
            .iter()
            .zip(self.candidates.iter())
            .map(|(costs, candidate)| rates(clock::median(costs), candidate.texts, settings))
            .collect())
    }

    /// Times `run` of so many models in turns.
    fn take(
        &mut self,
        count: usize,
        turns: &Turns,
        what: &str,
        run: impl Fn(&mut [Candidate<'_>], usize) -> Result<()>,
    ) -> Result<Vec<Vec<Cost>>> {
        let turns = Turns { budget: turns.budget * count as u32, ..turns.clone() };
        let before = self.progress.done();
        let (candidates, progress) = (&mut *self.candidates, &mut self.progress);
        let time = |i| {
            let (result, cost) = timed(|| run(candidates, i));
            result.map(|()| cost)
        };
        let costs = turns.take(count, time, |_| progress.advance(1, || what.to_owned()))?;
        let planned = self.candidates.len() * turns.rounds.end();
        self.progress.skip(planned.saturating_sub(self.progress.done() - before));
        Ok(costs)
    }
}

impl Latency {
    fn of(costs: &[Cost], [batch, length]: [usize; 2], threads: usize) -> Self {
        let mut times: Vec<f64> = costs.iter().map(|cost| cost.wall_ms).collect();
        times.sort_by(f64::total_cmp);
        let at = |share| percentile(&times, share).unwrap_or(f64::NAN);
        let [p50_ms, p95_ms, p99_ms] = [0.5, 0.95, 0.99].map(at);
        Latency { batch, length, threads, samples: times.len(), p50_ms, p95_ms, p99_ms }
    }
}

/// Returns the texts of a throughput, of so many.
fn spread(count: usize) -> impl Iterator<Item = usize> {
    evenly(count, Settings::TEXTS)
}

/// Returns the rates of the texts that took this long.
fn rates(cost: Cost, texts: &Encodings, settings: &Settings) -> (Throughput, PerMillion) {
    let lengths = texts.lengths();
    let timed: Vec<usize> = spread(texts.len()).map(|text| lengths[text]).collect();
    let (count, tokens) = (timed.len() as f64, timed.iter().sum::<usize>() as f64);
    let throughput = Throughput {
        texts: timed.len(),
        mean_tokens: tokens / count,
        batch_tokens: settings.batch_tokens(),
        texts_per_second: cost.per_second(count),
        tokens_per_second: cost.per_second(tokens),
    };
    let core_seconds = 1e6 * cost.cpu_ms / 1e3 / count;
    let price = settings.core_hour_price.map(|price| core_seconds / 3600.0 * price);
    (throughput, PerMillion { core_seconds, price })
}

/// Returns the longest text that a model takes, in tokens: as its configuration says, else as it turns out.
pub fn limit(candidate: &mut Candidate<'_>) -> usize {
    let Candidate { model, texts } = candidate;
    if let Some(limit) = model.config().max_tokens() {
        return limit;
    }
    let takes = |length: &usize| model.logits(&[tokens(&stretched(texts, *length))], &|_| {}).is_ok();
    LENGTHS.into_iter().take_while(takes).last().unwrap_or(1)
}

/// Returns the tokens of the texts, one after the other and from the first again, cut at `length`.
fn stretched(texts: &Encodings, length: usize) -> (Vec<u32>, Vec<u32>) {
    let all = (0..texts.len()).cycle().map(|text| texts.get(text));
    all.flat_map(|(ids, type_ids)| ids.iter().copied().zip(type_ids.iter().copied())).take(length).unzip()
}

fn tokens((ids, type_ids): &(Vec<u32>, Vec<u32>)) -> Tokens<'_> {
    Tokens { ids, type_ids }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Encodings {
        let mut texts = Encodings::default();
        texts.push([1, 2, 3], [0, 0, 1]);
        texts.push([4], [0]);
        texts
    }

    #[test]
    fn a_text_is_made_as_long_as_asked_for() {
        assert_eq!(stretched(&texts(), 2), (vec![1, 2], vec![0, 0]));
        assert_eq!(stretched(&texts(), 6), (vec![1, 2, 3, 4, 1, 2], vec![0, 0, 1, 0, 0, 0]));
    }

    #[test]
    fn the_texts_of_a_throughput_lie_evenly_in_the_data() {
        assert_eq!(spread(3).collect::<Vec<_>>(), [0, 1, 2]);
        let texts: Vec<usize> = spread(10 * Settings::TEXTS + 5).collect();
        assert!(texts.len() == Settings::TEXTS && texts.is_sorted() && texts[Settings::TEXTS - 1] >= 1270);
        assert_eq!(spread(0).count(), 0);
    }

    #[test]
    fn latencies_are_of_the_time_that_passed_and_rates_of_the_work() {
        let cost = |wall_ms| Cost { cpu_ms: 8.0, wall_ms };
        let costs: Vec<Cost> = (1..=10).rev().map(|time| cost(f64::from(time))).collect();
        let latency = Latency::of(&costs, [2, 16], 1);
        assert_eq!((latency.p50_ms, latency.p95_ms, latency.p99_ms, latency.samples), (5.0, 10.0, 10.0, 10));
        let settings = Settings { core_hour_price: Some(0.9), ..Settings::default() };
        let (throughput, per_million) = rates(cost(4.0), &texts(), &settings);
        assert_eq!((throughput.texts, throughput.mean_tokens), (2, 2.0));
        assert_eq!((throughput.texts_per_second, throughput.tokens_per_second), (500.0, 1000.0));
        assert_eq!(per_million.core_seconds, 4000.0);
        assert!((per_million.price.unwrap() - 1.0).abs() < 1e-12);
        let free = Settings { core_hour_price: None, ..settings };
        assert_eq!(rates(cost(4.0), &texts(), &free).1.price, None);
    }
}
