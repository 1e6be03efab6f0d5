//! Weights to percent.

use super::Shares;
use std::collections::BTreeMap;

/// The parts of 100 that these weights are, by largest remainder; those of weight 0 are left out. A part is at least 1, so that
/// a backend that gets requests is never told as one that gets none, and with it none of several is told as 100. None where
/// there is no weight, or where there are more parts than percent.
pub(super) fn percent(weights: &BTreeMap<String, u64>) -> Option<Shares> {
    let total: u64 = weights.values().sum();
    let mut parts: Vec<Part<'_>> = weights
        .iter()
        .filter(|(_, weight)| **weight > 0)
        .map(|(name, weight)| Part::new(name, *weight, total))
        .collect();
    if parts.is_empty() || parts.len() > 100 {
        return None;
    }
    let sum = |parts: &[Part<'_>]| parts.iter().map(|part| part.share).sum::<u64>();
    while sum(&parts) < 100 {
        let next = parts.iter_mut().max_by_key(|part| part.remainder)?;
        next.share += 1;
        next.remainder = 0;
    }
    while sum(&parts) > 100 {
        parts.iter_mut().max_by_key(|part| part.share)?.share -= 1;
    }
    let share = |part: Part<'_>| (part.name.to_owned(), u32::try_from(part.share).unwrap_or(100));
    Some(parts.into_iter().map(share).collect())
}

struct Part<'n> {
    name: &'n str,
    share: u64,
    remainder: u64,
}

impl<'n> Part<'n> {
    fn new(name: &'n str, weight: u64, total: u64) -> Self {
        let scaled = weight.saturating_mul(100);
        let whole = scaled / total;
        Self {
            name,
            share: whole.max(1),
            // What was raised to 1 has had its remainder.
            remainder: if whole == 0 { 0 } else { scaled % total },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_is_rounded_away() {
        for (weights, wanted) in [
            (vec![], None),
            (vec![0, 0], None),
            (vec![1], Some(vec![100])),
            (vec![0, 7], Some(vec![100])),
            (vec![1, 1], Some(vec![50, 50])),
            (vec![1, 1, 1], Some(vec![33, 33, 34])),
            (vec![1, 999_999], Some(vec![1, 99])),
            (vec![999_999, 1, 0], Some(vec![99, 1])),
            (vec![1, 1, 1_000_000], Some(vec![1, 1, 98])),
            (vec![995, 5], Some(vec![99, 1])),
            (vec![5, 25, 70], Some(vec![5, 25, 70])),
            (vec![50, 950], Some(vec![5, 95])),
            (vec![1, 2], Some(vec![33, 67])),
        ] {
            let named = weights
                .iter()
                .enumerate()
                .map(|(place, weight)| (format!("{place}"), *weight));
            let found = percent(&named.collect()).map(|shares| shares.into_values().collect::<Vec<_>>());
            assert_eq!(found, wanted, "{weights:?}");
        }
    }
}
