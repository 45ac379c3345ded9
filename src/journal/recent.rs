//! The newest records of a log, kept in memory: who follows the log need not read them from disk.
//!
//! Only what is durable is here, under the place at which the disk has it. A reader that is further
//! behind finds nothing for its place and reads the disk.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::record::{EventMark, Record};
use super::segment::SegmentId;

/// Bytes kept of one log. More than the readers are behind while they keep up.
pub(super) const KEPT_BYTES_MAX: usize = 2 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Recent {
    /// In the order of their places.
    records: VecDeque<Kept>,
    bytes: usize,
}

struct Kept {
    segment: SegmentId,
    place: Range<u64>,
    record: Arc<Record>,
}

impl Recent {
    /// The record that was just made durable at this place, behind all others.
    pub fn push(&mut self, segment: SegmentId, place: Range<u64>, record: Record) {
        self.bytes += bytes_of(&record);
        self.records.push_back(Kept {
            segment,
            place,
            record: Arc::new(record),
        });
        while self.bytes > KEPT_BYTES_MAX
            && let Some(oldest) = self.records.pop_front()
        {
            self.bytes -= bytes_of(&oldest.record);
        }
    }

    /// The record at an offset of a segment, and where it ends.
    pub fn at(&self, segment: SegmentId, offset: u64) -> Option<(Arc<Record>, u64)> {
        let found = self
            .records
            .binary_search_by_key(&(segment, offset), |kept| (kept.segment, kept.place.start));
        let kept = &self.records[found.ok()?];
        Some((Arc::clone(&kept.record), kept.place.end))
    }
}

fn bytes_of(record: &Record) -> usize {
    let marks = record.events.iter();
    let texts: usize = marks
        .map(|mark| mark.event_type.len() + mark.id.len())
        .sum();
    record.body.len() + texts + record.events.len() * size_of::<EventMark>()
}
