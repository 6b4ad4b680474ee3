//! Numbers as people read them: with a minus sign, few digits, commas in thousands, and a unit that stays beside them.

use crate::comparison::measures::Unit;

/// Says a share in percent, with one digit after the point.
pub fn percent(share: f64) -> String {
    format!("{}\u{a0}%", minus(format!("{:.1}", 100.0 * share)))
}

/// Says a difference of shares in points, hundredths, with its sign.
pub fn points(difference: f64) -> String {
    signed(100.0 * difference, 1)
}

/// Says a figure of this unit.
pub fn figure(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Share => percent(value),
        Unit::Correlation | Unit::Nats | Unit::Plain => minus(format!("{value:.3}")),
    }
}

/// Says the difference of two figures of this unit: in points, or as it is.
pub fn difference(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Share | Unit::Correlation => points(value),
        Unit::Nats | Unit::Plain => signed(value, 3),
    }
}

/// Says a probability.
pub fn probability(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// Says a whole number with commas.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Says a large number in three digits or so.
pub fn count(number: usize) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{:.1} k", number as f64 / 1e3),
        _ => format!("{:.1} M", number as f64 / 1e6),
    }
}

/// Says a size in megabytes.
pub fn bytes(bytes: u64) -> String {
    let mega = bytes as f64 / 1e6;
    if mega < 10.0 { format!("{mega:.2}\u{a0}MB") } else { format!("{mega:.1}\u{a0}MB") }
}

/// Says a time in milliseconds, in three digits or so.
pub fn milliseconds(ms: f64) -> String {
    match ms {
        _ if ms < 10.0 => format!("{ms:.2}\u{a0}ms"),
        _ if ms < 100.0 => format!("{ms:.1}\u{a0}ms"),
        _ => format!("{ms:.0}\u{a0}ms"),
    }
}

/// Says by how much one thing is more, or else less, than another.
pub fn times(ratio: f64, more: &str, less: &str) -> String {
    if ratio >= 1.0 { format!("{ratio:.1}× {more}") } else { format!("{:.1}× {less}", 1.0 / ratio) }
}

fn signed(number: f64, digits: usize) -> String {
    let text = format!("{number:+.digits$}");
    // What rounds to nothing has no sign.
    match text.bytes().any(|byte| byte.is_ascii_digit() && byte != b'0') {
        true => minus(text),
        false => text[1..].to_owned(),
    }
}

fn minus(text: String) -> String {
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([points(-0.0094), points(0.004), points(-0.0001)], ["−0.9", "+0.4", "0.0"]);
        assert_eq!([3, 872, 3100, 1_000_000].map(thousands), ["3", "872", "3,100", "1,000,000"]);
        assert_eq!([percent(0.8933), figure(Unit::Correlation, -0.5)], ["89.3\u{a0}%", "−0.500"]);
        assert_eq!([probability(0.0004), probability(0.25)], ["< 0.001", "0.250"]);
        assert_eq!(
            [bytes(9_000_000), bytes(91_000_000), milliseconds(2.5), milliseconds(250.0)],
            ["9.00\u{a0}MB", "91.0\u{a0}MB", "2.50\u{a0}ms", "250\u{a0}ms"]
        );
        assert_eq!(
            [times(3.0, "faster", "slower"), times(0.5, "faster", "slower")],
            ["3.0× faster", "2.0× slower"]
        );
    }
}
