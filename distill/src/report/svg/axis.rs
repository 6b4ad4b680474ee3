//! Axes: where a number lies in a picture, and which numbers are written beside it.

use crate::report::thousands;

/// How numbers are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Equal differences are equally far.
    Linear,
    /// Equal ratios are equally far.
    Logarithmic,
}

/// From which number to which, and from which place to which.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    kind: Kind,
    numbers: [f64; 2],
    places: [f64; 2],
}

impl Axis {
    /// Returns an axis that has room for all numbers; those that are none or beyond 10¹⁵, and of a logarithmic axis those
    /// that are not above 10⁻¹⁵, are left out.
    pub fn over(numbers: impl IntoIterator<Item = f64>, kind: Kind, places: [f64; 2]) -> Self {
        let fits = |number: &f64| number.abs() < 1e15 && (kind == Kind::Linear || *number > 1e-15);
        let (mut low, mut high) = numbers
            .into_iter()
            .filter(fits)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| {
                (low.min(number), high.max(number))
            });
        if low > high {
            (low, high) = (1.0, 2.0);
        }
        let numbers = match kind {
            Kind::Linear => {
                let room = if high > low { 0.08 * (high - low) } else { 0.5 * high.abs().max(0.02) };
                [low - room, high + room]
            }
            Kind::Logarithmic => {
                let room = if high > low { (high / low).powf(0.08).max(1.1) } else { 2.0 };
                [low / room, high * room]
            }
        };
        Axis { kind, numbers, places }
    }

    /// Returns an axis between two numbers.
    pub fn between(numbers: [f64; 2], places: [f64; 2]) -> Self {
        Axis { kind: Kind::Linear, numbers, places }
    }

    /// Returns the place of a number; those beyond the ends lie on them.
    pub fn at(&self, number: f64) -> f64 {
        let scale = |number: f64| match self.kind {
            Kind::Linear => number,
            Kind::Logarithmic => number.max(f64::MIN_POSITIVE).ln(),
        };
        let [low, high] = self.numbers.map(scale);
        let share = ((scale(number) - low) / (high - low)).clamp(0.0, 1.0);
        self.places[0] + share * (self.places[1] - self.places[0])
    }

    /// Returns the first and the last place.
    pub fn ends(&self) -> (f64, f64) {
        (self.places[0], self.places[1])
    }

    /// Returns about five round numbers with what is written beside them.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let [low, high] = self.numbers;
        let ticks = match self.kind {
            Kind::Logarithmic => powers(low, high),
            Kind::Linear => Vec::new(),
        };
        let ticks = if ticks.len() < 2 { steps(low, high) } else { ticks };
        let step = ticks.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
        ticks.into_iter().map(|tick| (tick, said(tick, step))).collect()
    }
}

fn steps(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 5.5;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough).unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last.min(first + 12)).map(|place| place as f64 * step).collect()
}

fn powers(low: f64, high: f64) -> Vec<f64> {
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let of = |factors: &[f64]| -> Vec<f64> {
        let all = decades.clone().flat_map(|decade| factors.iter().map(move |f| f * 10_f64.powi(decade)));
        all.filter(|tick| (low..=high).contains(tick)).collect()
    };
    let fine = of(&[1.0, 2.0, 5.0]);
    if fine.len() > 7 { of(&[1.0]) } else { fine }
}

fn said(tick: f64, step: f64) -> String {
    if tick.abs() >= 10_000.0 {
        return thousands(tick as u64);
    }
    let digits = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    // On a logarithmic axis a step is as small as its smallest number.
    let text = format!("{tick:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(axis: Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_numbers_within_the_axis() {
        assert_eq!(said(Axis::between([0.0, 1.0], [0.0, 100.0])), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(said(Axis::between([-2.4, 0.9], [0.0, 100.0])), ["−2", "−1", "0"]);
        assert_eq!(
            said(Axis::over([1.0, 100.0], Kind::Logarithmic, [0.0, 1.0])),
            ["1", "2", "5", "10", "20", "50", "100"]
        );
        assert_eq!(
            said(Axis::over([0.02, 40_000.0], Kind::Logarithmic, [0.0, 1.0])).last().unwrap(),
            "100,000"
        );
    }

    #[test]
    fn any_numbers_have_an_axis() {
        for numbers in
            [&[][..], &[0.0], &[5.0, 5.0], &[f64::NAN, f64::INFINITY], &[-1.0, 1e300], &[1e-300, 1e300]]
        {
            for kind in [Kind::Linear, Kind::Logarithmic] {
                let axis = Axis::over(numbers.iter().copied(), kind, [0.0, 100.0]);
                assert!(axis.ticks().len() < 700 && axis.at(1.0).is_finite(), "{axis:?}");
            }
        }
    }
}
