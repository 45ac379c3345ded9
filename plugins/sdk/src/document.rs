//! Documents: what a rule makes of an event, and what a sink says about the shape it takes.

use bytes::Bytes;
use serde_json::Value;

/// One JSON object for a sink.
#[derive(Debug, Clone)]
pub struct Document {
    /// The event it was made from.
    pub event_id: String,
    /// That event's type.
    pub event_type: String,
    /// The JSON text, one object.
    pub body: Bytes,
}

/// What a sink says about the documents it takes; used by `validate`, editors and the generated schema.
pub struct DocumentSpec {
    /// The member that identifies a document to the sink's own de-duplication (Segment: `messageId`).
    pub identity: Option<&'static str>,
    /// Longest identity the sink keeps, in characters.
    pub identity_chars_max: usize,
    /// Members that make the name of a document for people, in order (Segment: `type`, `event`).
    pub title: &'static [&'static str],
    /// The JSON Schema of a finished document.
    pub schema: fn() -> Value,
    /// What the sink wants of single members, for checks of rules before any event is there.
    pub kinds: &'static [DocumentKind],
    /// The member whose constant text says the kind (Segment: `type`).
    pub kind_member: &'static str,
}

/// One kind of document, such as Segment's `track`.
pub struct DocumentKind {
    /// The text in [`DocumentSpec::kind_member`].
    pub name: &'static str,
    /// Members that must be there, each a list of alternatives (`[["userId", "anonymousId"], ["event"]]`).
    pub required: &'static [&'static [&'static str]],
    /// Members with a rule on their value; a dotted path.
    pub members: &'static [(&'static str, ValueRule)],
}

/// What a member's value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueRule {
    /// Any string that is not empty.
    Text,
    /// An ISO 8601 date-time with zone.
    Time,
    /// An object.
    Object,
}
