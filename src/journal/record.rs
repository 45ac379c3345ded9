//! One record of a segment: bytes to values and back. No file, no clock.
//!
//! ```text
//!  offset  size  field (all numbers little-endian)
//!       0     4  magic, "\xC5SJ\x01"
//!       4     4  kind: 1 = events, 2 = checkpoint
//!       8     4  payload length in bytes
//!      12     4  number of events
//!      16     8  first sequence
//!      24     8  received, milliseconds since 1970
//!      32     4  CRC-32C of the payload
//!      36     4  CRC-32C of bytes 0..36, started from the segment's salt
//!      40     …  payload
//! ```
//!
//! The magic is never zero, so a pre-allocated tail of zeros cannot be taken for a record. The
//! header has a checksum of its own, so a damaged payload still tells how long it is and which
//! events it held. That checksum starts from a random salt of the segment: a body that contains
//! the image of a record cannot pose as one when a reader searches for the next good record.
//!
//! Payload of kind 1 (marks, then the body as it came):
//!
//! ```text
//!   4  length of the marks      4  number of malformed
//!   event mark, one an event:   4 start, 4 end, 1 flags (1 duplicate, 2 has time), 8 time,
//!                               4 + n type, 4 + n id
//!   malformed mark:             4 start, 4 end, 4 + n reason
//!   the body, to the end of the payload
//! ```
//!
//! Payload of kind 2, the first record of each segment: 8 malformed so far, 4 number of types,
//! then for each type 4 + n name and 8 events so far. Its `received` is that of the last record
//! before the segment.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};

pub(super) const HEADER_BYTES: usize = 40;
pub(super) const MAGIC: [u8; 4] = *b"\xC5SJ\x01";
const KIND_EVENTS: u32 = 1;
const KIND_CHECKPOINT: u32 = 2;

/// Longest payload. A body is held in memory while it is written and read; sources refuse
/// bodies far below this.
pub(super) const PAYLOAD_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One request body as it came, with the place of each event in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Number of the first event; the others follow without gaps.
    pub first_sequence: u64,
    /// When the source took it, milliseconds since 1970.
    pub received_ms: i64,
    pub events: Vec<EventMark>,
    pub malformed: Vec<MalformedMark>,
    pub body: Bytes,
}

impl Record {
    /// The number that the first event of the next record has, when nothing was lost between.
    pub fn end_sequence(&self) -> u64 {
        self.first_sequence + self.events.len() as u64
    }

    /// The bytes of one event.
    pub fn event_bytes(&self, mark: &EventMark) -> Bytes {
        self.body.slice(mark.start as usize..mark.end as usize)
    }
}

/// Where an event is in its body, and what the source read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventMark {
    pub start: u32,
    pub end: u32,
    pub event_type: String,
    pub id: String,
    /// The event's own time, milliseconds since 1970.
    pub time_ms: Option<i64>,
    /// The source has had an event of this id before.
    pub duplicate: bool,
}

/// A part of a body that is no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedMark {
    pub start: u32,
    pub end: u32,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Events,
    Checkpoint,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub kind: Kind,
    pub payload_bytes: u32,
    pub event_count: u32,
    pub first_sequence: u64,
    pub received_ms: i64,
    pub payload_crc: u32,
}

impl Header {
    pub(super) fn end_sequence(&self) -> u64 {
        self.first_sequence
            .saturating_add(u64::from(self.event_count))
    }

    /// Length of the whole record.
    pub(super) fn record_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.payload_bytes)
    }

    pub(super) fn encode(&self, salt: u32) -> [u8; HEADER_BYTES] {
        let kind = match self.kind {
            Kind::Events => KIND_EVENTS,
            Kind::Checkpoint => KIND_CHECKPOINT,
        };
        let mut out = [0; HEADER_BYTES];
        out[0..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&kind.to_le_bytes());
        out[8..12].copy_from_slice(&self.payload_bytes.to_le_bytes());
        out[12..16].copy_from_slice(&self.event_count.to_le_bytes());
        out[16..24].copy_from_slice(&self.first_sequence.to_le_bytes());
        out[24..32].copy_from_slice(&self.received_ms.to_le_bytes());
        out[32..36].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32c::crc32c_append(salt, &out[..36]);
        out[36..40].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` when the bytes are not a header of this segment.
    pub(super) fn decode(bytes: &[u8], salt: u32) -> Option<Header> {
        let mut rest = bytes.get(..HEADER_BYTES)?;
        if rest[..4] != MAGIC {
            return None;
        }
        let crc = crc32c::crc32c_append(salt, &rest[..36]);
        rest.advance(4);
        let kind = match rest.get_u32_le() {
            KIND_EVENTS => Kind::Events,
            KIND_CHECKPOINT => Kind::Checkpoint,
            _ => return None,
        };
        let header = Header {
            kind,
            payload_bytes: rest.get_u32_le(),
            event_count: rest.get_u32_le(),
            first_sequence: rest.get_u64_le(),
            received_ms: rest.get_i64_le(),
            payload_crc: rest.get_u32_le(),
        };
        let is_good =
            rest.get_u32_le() == crc && header.payload_bytes as usize <= PAYLOAD_BYTES_MAX;
        is_good.then_some(header)
    }
}

/// The marks of one body, encoded; body and marks together are the payload of a record.
pub(super) struct EncodedMarks {
    pub bytes: Vec<u8>,
    pub payload_bytes: u32,
    pub payload_crc: u32,
}

/// Encode what comes before the body.
///
/// # Errors
/// A sentence, when a mark lies outside the body or the whole is too long for a record.
pub(super) fn encode_marks(
    events: &[EventMark],
    malformed: &[MalformedMark],
    body: &[u8],
) -> Result<EncodedMarks, String> {
    let mut out = vec![0; 8];
    for mark in events {
        check_span(mark.start, mark.end, body.len())?;
        out.extend_from_slice(&mark.start.to_le_bytes());
        out.extend_from_slice(&mark.end.to_le_bytes());
        out.push(u8::from(mark.duplicate) | (u8::from(mark.time_ms.is_some()) << 1));
        out.extend_from_slice(&mark.time_ms.unwrap_or(0).to_le_bytes());
        put_text(&mut out, &mark.event_type);
        put_text(&mut out, &mark.id);
    }
    for mark in malformed {
        check_span(mark.start, mark.end, body.len())?;
        out.extend_from_slice(&mark.start.to_le_bytes());
        out.extend_from_slice(&mark.end.to_le_bytes());
        put_text(&mut out, &mark.reason);
    }
    let payload_bytes = out.len() + body.len();
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Err(format!(
            "a record of {payload_bytes} bytes is over the journal's limit of {PAYLOAD_BYTES_MAX}"
        ));
    }
    // Both fit: the payload as a whole does.
    let marks_bytes = (out.len() - 8) as u32;
    out[0..4].copy_from_slice(&marks_bytes.to_le_bytes());
    out[4..8].copy_from_slice(&(malformed.len() as u32).to_le_bytes());
    let payload_crc = crc32c::crc32c_append(crc32c::crc32c(&out), body);
    Ok(EncodedMarks {
        bytes: out,
        payload_bytes: payload_bytes as u32,
        payload_crc,
    })
}

fn check_span(start: u32, end: u32, body_bytes: usize) -> Result<(), String> {
    if start <= end && end as usize <= body_bytes {
        Ok(())
    } else {
        Err(format!(
            "a mark at {start}..{end} lies outside a body of {body_bytes} bytes"
        ))
    }
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    // A text of 4 GiB fails the limit of the payload, so the cut number is never written.
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Read a payload whose checksum was found right.
///
/// # Errors
/// A sentence; the record was then written by something else than this code.
pub(super) fn decode_events(header: &Header, payload: Bytes) -> Result<Record, &'static str> {
    let mut rest = &payload[..];
    let marks_bytes = take_u32(&mut rest)? as usize;
    let malformed_count = take_u32(&mut rest)?;
    if marks_bytes > rest.len() {
        return Err("marks reach beyond the record");
    }
    let body = payload.slice(8 + marks_bytes..);
    let mut marks = &rest[..marks_bytes];
    // Capacities are bounded by what is there: the counts come from a file.
    let mut events = Vec::with_capacity((header.event_count as usize).min(marks.len() / 25));
    for _ in 0..header.event_count {
        let (start, end) = take_span(&mut marks, body.len())?;
        let flags = marks.try_get_u8().map_err(|_| "an event mark is cut")?;
        let time_ms = marks.try_get_i64_le().map_err(|_| "an event mark is cut")?;
        events.push(EventMark {
            start,
            end,
            time_ms: (flags & 2 != 0).then_some(time_ms),
            duplicate: flags & 1 != 0,
            event_type: take_text(&mut marks)?,
            id: take_text(&mut marks)?,
        });
    }
    let mut malformed = Vec::with_capacity((malformed_count as usize).min(marks.len() / 12));
    for _ in 0..malformed_count {
        let (start, end) = take_span(&mut marks, body.len())?;
        malformed.push(MalformedMark {
            start,
            end,
            reason: take_text(&mut marks)?,
        });
    }
    if !marks.is_empty() {
        return Err("marks are followed by something unknown");
    }
    Ok(Record {
        first_sequence: header.first_sequence,
        received_ms: header.received_ms,
        events,
        malformed,
        body,
    })
}

pub(super) fn take_u32(rest: &mut &[u8]) -> Result<u32, &'static str> {
    rest.try_get_u32_le().map_err(|_| "a mark is cut")
}

fn take_span(rest: &mut &[u8], body_bytes: usize) -> Result<(u32, u32), &'static str> {
    let (start, end) = (take_u32(rest)?, take_u32(rest)?);
    match check_span(start, end, body_bytes) {
        Ok(()) => Ok((start, end)),
        Err(_) => Err("a mark lies outside the body"),
    }
}

pub(super) fn take_text(rest: &mut &[u8]) -> Result<String, &'static str> {
    let len = take_u32(rest)? as usize;
    let bytes = rest.get(..len).ok_or("a text is cut")?;
    let text = std::str::from_utf8(bytes)
        .map_err(|_| "a text is not UTF-8")?
        .to_owned();
    rest.advance(len);
    Ok(text)
}

/// What a log has taken since it began. Written at the head of each segment, so that the sums
/// are exact after a restart at the cost of reading one segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub events_by_type: BTreeMap<String, u64>,
    pub malformed: u64,
}

impl Counts {
    pub(super) fn add(&mut self, events: &[EventMark], malformed: usize) {
        for mark in events {
            // No `entry`: it would need an owned key for each event.
            match self.events_by_type.get_mut(&mark.event_type) {
                Some(count) => *count += 1,
                None => {
                    self.events_by_type.insert(mark.event_type.clone(), 1);
                }
            }
        }
        self.malformed += malformed as u64;
    }

    pub(super) fn events(&self) -> u64 {
        self.events_by_type.values().sum()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.malformed.to_le_bytes());
        out.extend_from_slice(&(self.events_by_type.len() as u32).to_le_bytes());
        for (event_type, count) in &self.events_by_type {
            put_text(&mut out, event_type);
            out.extend_from_slice(&count.to_le_bytes());
        }
        out
    }

    pub(super) fn decode(mut rest: &[u8]) -> Result<Counts, &'static str> {
        let malformed = rest.try_get_u64_le().map_err(|_| "a checkpoint is cut")?;
        let types = take_u32(&mut rest)?;
        let mut events_by_type = BTreeMap::new();
        for _ in 0..types {
            let event_type = take_text(&mut rest)?;
            let count = rest.try_get_u64_le().map_err(|_| "a checkpoint is cut")?;
            events_by_type.insert(event_type, count);
        }
        Ok(Counts {
            events_by_type,
            malformed,
        })
    }
}
