//! What a source hands over: the bytes as they came, and where in them each event stands.

use bytes::Bytes;

/// One request of the upstream, ready for the journal: the body as it came and the place of each
/// event in it. Everything in it becomes durable together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Submission {
    /// The bytes as they arrived (after decompression). Events are slices of it.
    pub body: Bytes,
    /// The good events, in the order of the body.
    pub events: Vec<EventMark>,
    /// What stood where an event was expected and is none. Kept for a person to look at.
    pub malformed: Vec<MalformedMark>,
}

/// Place and name of one event in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventMark {
    /// First byte of the event's JSON object in the body.
    pub start: u32,
    /// One past its last byte.
    pub end: u32,
    /// The type, as the mapping rules name it in `on:`.
    pub event_type: String,
    /// Unique for the event; the key of de-duplication.
    pub id: String,
    /// When it happened, milliseconds since 1970 UTC, where the source knows.
    pub time_ms: Option<i64>,
}

/// A part of a body that should be an event and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedMark {
    /// First byte in the body.
    pub start: u32,
    /// One past its last byte.
    pub end: u32,
    /// A short reason without any of the content, such as `no id`.
    pub reason: String,
}
