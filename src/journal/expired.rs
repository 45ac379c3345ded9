//! What expired from a full journal before everybody had read it: the types of its events.
//!
//! A connector that had not read a segment counts each of its events as expired, under the event's own
//! type. So the types are written down beside the log before the segment is deleted:
//!
//! ```text
//! 00000000000000000000-00000000000000312774.expired     first number, number behind the last
//!   4 number of types, 4 + n each
//!   2 for each number in order: which type, 0xFFFF unknown
//!   4 CRC-32C of all before
//! ```
//!
//! It is two bytes an event, goes when all connectors have passed its numbers, and is missing at worst:
//! then they are counted as [`EXPIRED_TYPE`].

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use bytes::Buf;

use super::disk;
use super::open::open_scanner;
use super::record::{Kind, decode_events, put_text, take_text, take_u32};
use super::segment::{Found, SegmentId};
use super::shared::Shared;

/// The type of an expired event whose own was not kept.
pub const EXPIRED_TYPE: &str = "(expired)";
/// Bytes of all such files of a log: some thirty million events. The oldest make room.
const BYTES_MAX: u64 = 64 << 20;
const UNKNOWN: u16 = u16::MAX;

/// Types of the numbers from `first` on.
struct Types {
    first: u64,
    names: Vec<String>,
    indexes: Vec<u16>,
}

/// Write down what a segment holds; `end` is the number behind its last.
pub(super) fn keep(shared: &Shared, id: SegmentId, bytes: u64, end: u64) {
    if end <= id.first_sequence {
        return;
    }
    let kept = read_segment(shared, id, bytes, end).and_then(|types| {
        let path = shared.folder.join(file_name(&(id.first_sequence..end)));
        disk::write_file(&path, &types.encode())
    });
    if let Err(problem) = kept {
        tracing::warn!(source = %shared.source, "journal: the types of expired events cannot be kept: {problem}; they are counted as {EXPIRED_TYPE}");
    }
    let mut all = files(shared);
    let mut total: u64 = all.iter().map(|file| file.bytes).sum();
    all.reverse();
    while total > BYTES_MAX
        && let Some(oldest) = all.pop()
    {
        total -= oldest.bytes;
        remove(&oldest);
    }
}

/// Delete what nobody asks for any more: all numbers below `before` are passed.
pub(super) fn release(shared: &Shared, before: u64) {
    for file in files(shared) {
        if file.numbers.end <= before {
            remove(&file);
        }
    }
}

/// The types of these numbers, in order and without gaps: runs of the same type.
pub(super) fn types(shared: &Shared, numbers: Range<u64>) -> Vec<(Range<u64>, String)> {
    let mut runs: Vec<(Range<u64>, String)> = Vec::new();
    let mut push = |numbers: Range<u64>, name: &str| match runs.last_mut() {
        _ if numbers.is_empty() => {}
        Some((run, before)) if before == name => run.end = numbers.end,
        _ => runs.push((numbers, name.to_owned())),
    };
    let mut next = numbers.start;
    for file in files(shared) {
        let wanted = file.numbers.start.max(next)..file.numbers.end.min(numbers.end);
        if wanted.is_empty() {
            continue;
        }
        push(next..wanted.start, EXPIRED_TYPE);
        let types = std::fs::read(&file.path).ok();
        let types = types.and_then(|bytes| Types::decode(file.numbers.start, &bytes));
        for number in wanted.clone() {
            let name = types.as_ref().and_then(|types| types.of(number));
            push(number..number + 1, name.unwrap_or(EXPIRED_TYPE));
        }
        next = wanted.end;
    }
    push(next..numbers.end, EXPIRED_TYPE);
    runs
}

fn read_segment(shared: &Shared, id: SegmentId, bytes: u64, end: u64) -> io::Result<Types> {
    let first = id.first_sequence;
    let mut types = Types {
        first,
        names: Vec::new(),
        indexes: vec![UNKNOWN; usize::try_from(end - first).map_err(io::Error::other)?],
    };
    let mut by_name: HashMap<String, u16> = HashMap::new();
    let mut scanner = open_scanner(shared, id).map_err(io::Error::other)?;
    loop {
        match scanner.next(bytes)? {
            // A record that reaches beyond was written again into the next segment.
            Found::Record { header, payload }
                if header.kind == Kind::Events && header.end_sequence() <= end =>
            {
                let Ok(record) = decode_events(&header, payload) else {
                    continue;
                };
                for (number, mark) in (record.first_sequence..).zip(record.events) {
                    let index = match by_name.get(&mark.event_type) {
                        Some(index) => *index,
                        None => {
                            let next = u16::try_from(types.names.len()).unwrap_or(UNKNOWN);
                            if next != UNKNOWN {
                                types.names.push(mark.event_type.clone());
                                by_name.insert(mark.event_type, next);
                            }
                            next
                        }
                    };
                    let at = number
                        .checked_sub(first)
                        .and_then(|at| usize::try_from(at).ok());
                    if let Some(place) = at.and_then(|at| types.indexes.get_mut(at)) {
                        *place = index;
                    }
                }
            }
            Found::Record { .. } | Found::Damaged { .. } => {}
            Found::Torn | Found::End => return Ok(types),
        }
    }
}

impl Types {
    fn of(&self, number: u64) -> Option<&str> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let index = usize::from(*self.indexes.get(at)?);
        self.names.get(index).map(String::as_str)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.indexes.len() * 2 + 256);
        out.extend_from_slice(&(self.names.len() as u32).to_le_bytes());
        for name in &self.names {
            put_text(&mut out, name);
        }
        for index in &self.indexes {
            out.extend_from_slice(&index.to_le_bytes());
        }
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    /// `None` when it is damaged.
    fn decode(first: u64, bytes: &[u8]) -> Option<Self> {
        let (mut rest, crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if crc32c::crc32c(rest).to_le_bytes() != crc {
            return None;
        }
        let count = take_u32(&mut rest).ok()?;
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(take_text(&mut rest).ok()?);
        }
        let mut indexes = Vec::with_capacity(rest.len() / 2);
        while let Ok(index) = rest.try_get_u16_le() {
            indexes.push(index);
        }
        Some(Self {
            first,
            names,
            indexes,
        })
    }
}

struct KeptFile {
    numbers: Range<u64>,
    path: PathBuf,
    bytes: u64,
}

/// All such files, by their numbers.
fn files(shared: &Shared) -> Vec<KeptFile> {
    let Ok(entries) = std::fs::read_dir(&shared.folder) else {
        return Vec::new();
    };
    let mut found: Vec<KeptFile> = entries
        .flatten()
        .filter_map(|entry| {
            let numbers = numbers(entry.file_name().to_str()?)?;
            let bytes = entry.metadata().ok()?.len();
            let path = entry.path();
            Some(KeptFile {
                numbers,
                path,
                bytes,
            })
        })
        .collect();
    found.sort_by_key(|file| file.numbers.start);
    found
}

fn file_name(numbers: &Range<u64>) -> String {
    format!("{:020}-{:020}.expired", numbers.start, numbers.end)
}

fn numbers(name: &str) -> Option<Range<u64>> {
    let (start, end) = name.strip_suffix(".expired")?.split_once('-')?;
    Some(start.parse().ok()?..end.parse().ok()?)
}

fn remove(file: &KeptFile) {
    if let Err(problem) = std::fs::remove_file(&file.path) {
        tracing::warn!("journal: cannot delete {}: {problem}", file.path.display());
    }
}
