//! What the numbers come down to, in a sentence.

use crate::certainty::{Interval, Needed, examples_needed};
use crate::report::{Verdict, VerdictKind, points, thousands};

/// What a verdict is about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The student.
    pub student: &'a str,
    /// What people call the figure.
    pub figure: &'a str,
    /// By how much it is above the teacher's.
    pub difference: f64,
    /// Between which ends that lies.
    pub interval: Option<Interval>,
    /// The standard error of the difference.
    pub standard_error: f64,
    /// How far below the teacher it may be.
    pub margin: f64,
    /// The labelled examples.
    pub examples: u64,
}

impl Question<'_> {
    /// Says whether a student is within the margin of its teacher: whether the lower end of the interval is.
    pub fn verdict(&self) -> Verdict {
        let limit = -self.margin;
        let Some(Interval { low, high }) = self.interval else {
            return self.answer(VerdictKind::Undecided, None, format!("{} cannot tell", self.all_examples()));
        };
        let seen =
            format!("{} points, between {} and {}", points(self.difference), points(low), points(high));
        let within = format!("{} of the teacher's {}", count(100.0 * self.margin, "point"), self.figure);
        let student = self.student;
        match () {
            () if low > 0.0 => self.answer(
                VerdictKind::Better,
                None,
                format!("{student} is better than the teacher with 95 % confidence: {} {seen}", self.figure),
            ),
            () if low >= limit => self.answer(
                VerdictKind::Within,
                None,
                format!("{student} is within {within} with 95 % confidence: {seen}"),
            ),
            () if high < limit => self.answer(
                VerdictKind::Worse,
                None,
                format!(
                    "{student} is worse than the teacher by more than {} with 95 % confidence: {} {seen}",
                    count(100.0 * self.margin, "point"),
                    self.figure
                ),
            ),
            () => {
                let needed = examples_needed(self.difference, limit, self.standard_error, self.examples);
                let enough = match needed {
                    Needed::About(needed) => format!("about {} would", thousands(needed)),
                    Needed::TooMany => {
                        "no number of examples would, for the difference lies on the margin".into()
                    }
                };
                let text = format!(
                    "{} cannot tell whether {student} is within {within}; {enough}. Seen: {seen}",
                    self.all_examples()
                );
                self.answer(VerdictKind::Undecided, Some(needed), text)
            }
        }
    }

    fn all_examples(&self) -> String {
        format!("{} examples", thousands(self.examples))
    }

    fn answer(&self, kind: VerdictKind, needed: Option<Needed>, text: String) -> Verdict {
        Verdict { kind, text, interval: self.interval, needed }
    }
}

/// Says how many there are of something, without a needless decimal.
fn count(number: f64, of: &str) -> String {
    let s = if number == 1.0 { "" } else { "s" };
    format!("{} {of}{s}", (number * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_follows_from_the_interval_and_the_margin() {
        for (difference, low, high, kind, text) in [
            (
                0.02,
                0.01,
                0.03,
                VerdictKind::Better,
                "S is better than the teacher with 95 % confidence: accuracy +2.0 points",
            ),
            (
                -0.002,
                -0.009,
                0.004,
                VerdictKind::Within,
                "S is within 1 point of the teacher's accuracy with 95 % confidence: −0.2 points, between −0.9 and +0.4",
            ),
            (-0.05, -0.08, -0.02, VerdictKind::Worse, "S is worse than the teacher by more than 1 point"),
            (
                -0.002,
                -0.018,
                0.014,
                VerdictKind::Undecided,
                "872 examples cannot tell whether S is within 1 point of the teacher's accuracy; about 6,900 would. Seen: −0.2 points",
            ),
            (-0.01, -0.018, 0.014, VerdictKind::Undecided, "no number of examples would"),
        ] {
            let interval = Some(Interval { low, high });
            let question = Question {
                student: "S",
                figure: "accuracy",
                difference,
                interval,
                standard_error: 0.008,
                margin: 0.01,
                examples: 872,
            };
            let verdict = question.verdict();
            assert!(verdict.kind == kind && verdict.text.contains(text), "{verdict:?}");
        }
    }
}
