//! Percentiles that are measurements: none is made up between two.

/// Returns the smallest number that at least this share of the numbers does not exceed, the nearest-rank percentile;
/// nothing of no numbers. `sorted`: ascending. `share`: in (0, 1].
///
/// Of `n` numbers it is the one with the rank `⌈share · n⌉`, from 1: the median of four is the second, and of fewer than
/// a hundred the 99th percentile is the largest.
pub fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    // A share such as 0.95 is no binary fraction: what lies a rounding above a whole rank has that rank.
    let rank = (share * sorted.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    sorted.get(rank.min(sorted.len()).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranks_are_exact() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        for (numbers, share, expected) in [
            (&hundred[..], 0.5, Some(50.0)),
            (&hundred, 0.95, Some(95.0)),
            (&hundred, 0.99, Some(99.0)),
            (&hundred, 1.0, Some(100.0)),
            (&hundred[..20], 0.95, Some(19.0)),
            (&hundred[..20], 0.99, Some(20.0)),
            (&hundred[..4], 0.5, Some(2.0)),
            (&hundred[..5], 0.5, Some(3.0)),
            (&hundred[..1], 0.01, Some(1.0)),
            (&[], 0.5, None),
        ] {
            assert_eq!(percentile(numbers, share), expected, "{share} of {}", numbers.len());
        }
    }

    proptest! {
        #[test]
        fn as_many_as_said_do_not_exceed_it_and_fewer_do_not_exceed_less(
            mut numbers in prop::collection::vec(0_u32..50, 1..200), share in 1_u32..=100,
        ) {
            numbers.sort_unstable();
            let sorted: Vec<f64> = numbers.iter().map(|&number| f64::from(number)).collect();
            let found = percentile(&sorted, f64::from(share) / 100.0).unwrap();
            let (below, upto) =
                sorted.iter().fold((0, 0), |(b, u), &x| (b + u32::from(x < found), u + u32::from(x <= found)));
            let count = sorted.len() as u32;
            prop_assert!(100 * upto >= share * count && 100 * below < share * count);
        }
    }
}
