//! What a connector has settled: everything below a number, and ranges beyond it.
//!
//! Batches finish in any order. The prefix alone would send the finished neighbours of a stalled
//! batch again after a restart; the ranges beyond it keep them.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Settled event numbers of one connector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Every number below it is settled.
    prefix: u64,
    /// Settled ranges beyond the prefix: start to end (exclusive); disjoint and not touching.
    #[serde(default)]
    ahead: BTreeMap<u64, u64>,
}

impl Cursor {
    /// Everything below `sequence` counts as settled.
    pub fn starting_at(sequence: u64) -> Self {
        Self {
            prefix: sequence,
            ahead: BTreeMap::new(),
        }
    }

    /// Every number below it is settled.
    pub fn prefix(&self) -> u64 {
        self.prefix
    }

    /// Every number from it on is open.
    pub fn end(&self) -> u64 {
        self.ahead
            .last_key_value()
            .map_or(self.prefix, |(_, end)| *end)
    }

    /// Whether this event is settled.
    pub fn contains(&self, sequence: u64) -> bool {
        sequence < self.prefix
            || self
                .ahead
                .range(..=sequence)
                .next_back()
                .is_some_and(|(_, end)| sequence < *end)
    }

    /// How many of these are settled.
    pub fn count_in(&self, numbers: Range<u64>) -> u64 {
        let ahead = self.ahead.iter().map(|(start, end)| (*start, *end));
        std::iter::once((0, self.prefix))
            .chain(ahead)
            .map(|(start, end)| {
                end.min(numbers.end)
                    .saturating_sub(start.max(numbers.start))
            })
            .sum()
    }

    /// Mark one event as settled.
    pub fn insert(&mut self, sequence: u64) {
        self.insert_range(sequence, sequence + 1);
    }

    /// Mark `start..end` as settled.
    pub fn insert_range(&mut self, start: u64, end: u64) {
        let mut start = start.max(self.prefix);
        let mut end = end;
        if start >= end {
            return;
        }
        if let Some((&before, &before_end)) = self.ahead.range(..=start).next_back()
            && before_end >= start
        {
            start = before;
            end = end.max(before_end);
            self.ahead.remove(&before);
        }
        while let Some((&next, &next_end)) = self.ahead.range(start..=end).next() {
            end = end.max(next_end);
            self.ahead.remove(&next);
        }
        if start == self.prefix {
            self.prefix = end;
        } else {
            self.ahead.insert(start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finished_neighbours_of_a_stalled_batch_are_remembered() {
        let mut cursor = Cursor::default();
        cursor.insert_range(10, 20);
        cursor.insert_range(30, 40);
        assert_eq!(cursor.prefix(), 0);
        assert!(cursor.contains(15) && !cursor.contains(25));
        cursor.insert_range(0, 10);
        assert_eq!(cursor.prefix(), 20);
        cursor.insert_range(20, 30);
        assert_eq!(cursor, Cursor::starting_at(40));
    }

    proptest! {
        #[test]
        fn it_holds_exactly_what_was_put_in(ranges in prop::collection::vec((0_u64..60, 1_u64..8), 0..40)) {
            let mut cursor = Cursor::default();
            let mut plain = std::collections::BTreeSet::new();
            for (start, len) in ranges {
                cursor.insert_range(start, start + len);
                plain.extend(start..start + len);
            }
            for sequence in 0..80 {
                prop_assert_eq!(cursor.contains(sequence), plain.contains(&sequence));
                let count = plain.range(sequence..sequence.max(70)).count() as u64;
                prop_assert_eq!(cursor.count_in(sequence..70), count);
            }
            let first_open = (0..).find(|at| !plain.contains(at)).unwrap_or(0);
            prop_assert_eq!(cursor.prefix(), first_open);
        }
    }
}
