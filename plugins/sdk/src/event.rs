//! What a source hands over: the bytes as they came, and where in them each event stands.

use bytes::Bytes;
use serde_json::Value;

use crate::config::PathStep;

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

/// Where in an event its source finds type and id; for tools that look at events without the source,
/// such as `sluice map`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPlaces {
    /// The way down to the type. Default: the member `event_type`.
    pub event_type: Vec<PathStep>,
    /// The way down to the id. Default: the member `id`.
    pub id: Vec<PathStep>,
    /// The type of events that say none.
    pub default_type: Option<String>,
}

impl Default for EventPlaces {
    fn default() -> Self {
        let member = |name: &str| vec![PathStep::Key(name.to_owned())];
        Self {
            event_type: member("event_type"),
            id: member("id"),
            default_type: None,
        }
    }
}

impl EventPlaces {
    /// The type of an event; `None` where it says none.
    pub fn type_of(&self, event: &Value) -> Option<String> {
        text_at(&self.event_type, event).or_else(|| self.default_type.clone())
    }

    /// The id of an event; `None` where it says none.
    pub fn id_of(&self, event: &Value) -> Option<String> {
        text_at(&self.id, event)
    }
}

/// A text that is not empty, or a number in its digits.
fn text_at(way: &[PathStep], event: &Value) -> Option<String> {
    match PathStep::find(way, event)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
