//! Find the events in a body of Currents. Pure: bytes in, places out.
//!
//! ```text
//! {"events":[ {"event_type":"…","id":"…","time":…, "user":{…}, "properties":{…}}, … ]}
//! ```
//!
//! The same envelope inside an array is taken too. Events are found as raw slices: what is in an
//! event beyond type, id and time is not built, and one bad event never harms its neighbours:
//!
//! - bytes that are not UTF-8 count against the event they stand in;
//! - nesting of any depth is passed over without recursion (serde_json's raw values are read in a
//!   loop); an event nested deeper than [`DEPTH_MAX`] is set aside, as later readers would refuse it;
//! - a doubled key: the last one wins, as in most JSON readers.
//!
//! The usual body needs none of this care and is split in one strict pass ([`quick`]).
//!
//! Only a body that is not JSON as a whole is set aside as a whole, as nobody can say where in it
//! an event begins.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sluice_sdk::json::DEPTH_MAX;
use sluice_sdk::{EventMark, MalformedMark, Submission};

mod quick;
#[cfg(test)]
mod tests;

/// Places of all events in `body`, or `None` when it holds none (Braze tries its credentials).
pub fn split(body: Bytes) -> Option<Submission> {
    quick::split(&body).or_else(|| carefully(body))
}

fn carefully(body: Bytes) -> Option<Submission> {
    let text: Cow<'_, str> = match std::str::from_utf8(&body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(with_bad_bytes_replaced(&body)),
    };
    let mut found = Found::default();
    if text.trim().is_empty() {
        return None;
    }
    if let Err(reason) = found.body(&text, &body) {
        found.events.clear();
        found.malformed = vec![mark(0, body.len(), reason)];
    }
    drop(text);
    if found.events.is_empty() && found.malformed.is_empty() {
        return None;
    }
    Some(Submission {
        body,
        events: found.events,
        malformed: found.malformed,
    })
}

/// Why something is set aside, and what that means.
pub const REASONS: sluice_sdk::Reasons = &[
    (
        "not JSON",
        "The request as a whole is no JSON, so nobody can say where in it an event stands.",
    ),
    (
        "not an object with an `events` list",
        "The request is JSON, but not in the shape of Currents: `{\"events\": […]}`.",
    ),
    (
        "no `events` list",
        "The request is an object without `events`.",
    ),
    (
        "`events` is not a list",
        "The request has `events`, and that is no list.",
    ),
    ("not an object", "An entry of `events` is no object."),
    (
        "not UTF-8",
        "The event has bytes that are no UTF-8, as text of another encoding has.",
    ),
    (
        "nested too deep",
        "The event has lists and objects inside one another deeper than any of Braze's.",
    ),
    (
        "a key is not valid text",
        "A key of the event has an escape in it that stands for no character.",
    ),
    ("no event_type", "The event does not say its type."),
    (
        "event_type is not a text",
        "`event_type` of the event is no text.",
    ),
    (
        "empty event_type",
        "`event_type` of the event is an empty text.",
    ),
    (
        "no id",
        "The event has no `id`, so that a second one of it could not be recognised.",
    ),
    (
        "id is not a text",
        "`id` of the event is neither a text nor a number.",
    ),
    ("empty id", "`id` of the event is an empty text."),
    sluice_http_server::UNKNOWN_ENCODING,
    sluice_http_server::BAD_GZIP,
];

/// The same text with a `?` for each byte that is not UTF-8, so that places stay the same.
fn with_bad_bytes_replaced(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}

#[derive(Default)]
struct Found {
    events: Vec<EventMark>,
    malformed: Vec<MalformedMark>,
}

impl Found {
    fn body(&mut self, text: &str, original: &[u8]) -> Result<(), &'static str> {
        match text.trim_start().as_bytes().first() {
            Some(b'{') => {
                let events = read(text, EnvelopeVisitor)?;
                self.envelope(events, text, original)
            }
            Some(b'[') => {
                for element in read(text, ListVisitor)? {
                    let outcome = read(element.get(), EnvelopeVisitor)
                        .map_err(|_| "not an object with an `events` list")
                        .and_then(|events| self.envelope(events, text, original));
                    if let Err(reason) = outcome {
                        let start = offset(text, element.get());
                        self.malformed
                            .push(mark(start, start + element.get().len(), reason));
                    }
                }
                Ok(())
            }
            _ => match read(text, AnyVisitor) {
                Ok(()) => Err("not an object with an `events` list"),
                Err(reason) => Err(reason),
            },
        }
    }

    fn envelope(
        &mut self,
        envelope: Envelope<'_>,
        text: &str,
        original: &[u8],
    ) -> Result<(), &'static str> {
        let list = match envelope {
            Envelope::Empty => return Ok(()),
            Envelope::OtherShape => return Err("no `events` list"),
            Envelope::Events(raw) if raw.get() == "null" => return Ok(()),
            Envelope::Events(raw) => {
                read(raw.get(), ListVisitor).map_err(|_| "`events` is not a list")?
            }
        };
        for raw in list {
            let start = offset(text, raw.get());
            let end = start + raw.get().len();
            match event(raw.get(), &original[start..end]) {
                Ok(head) => self.events.push(EventMark {
                    start: place(start),
                    end: place(end),
                    event_type: head.event_type,
                    id: head.id,
                    time_ms: head.time_ms,
                }),
                Err(reason) => self.malformed.push(mark(start, end, reason)),
            }
        }
        Ok(())
    }
}

struct Head {
    event_type: String,
    id: String,
    time_ms: Option<i64>,
}

/// Type, id and time of one event.
fn event(text: &str, original: &[u8]) -> Result<Head, &'static str> {
    if !text.starts_with('{') {
        return Err("not an object");
    }
    if std::str::from_utf8(original).is_err() {
        return Err("not UTF-8");
    }
    if depth(text.as_bytes()) > DEPTH_MAX as usize {
        return Err("nested too deep");
    }
    let members = read(text, HeadVisitor).map_err(|_| "a key is not valid text")?;
    let event_type = match members.event_type.map(RawValue::get) {
        None | Some("null") => return Err("no event_type"),
        Some(raw) => serde_json::from_str::<String>(raw).map_err(|_| "event_type is not a text")?,
    };
    if event_type.is_empty() {
        return Err("empty event_type");
    }
    let id = match members.id.map(RawValue::get) {
        None | Some("null") => return Err("no id"),
        Some(raw) if raw.starts_with('"') => {
            serde_json::from_str::<String>(raw).map_err(|_| "id is not a text")?
        }
        Some(raw) if raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => raw.to_owned(),
        Some(_) => return Err("id is not a text"),
    };
    if id.is_empty() {
        return Err("empty id");
    }
    Ok(Head {
        event_type,
        id,
        time_ms: members.time.and_then(|raw| time_ms(raw.get())),
    })
}

/// Unix seconds to milliseconds; anything else is no time, and no reason to refuse the event.
fn time_ms(raw: &str) -> Option<i64> {
    if let Ok(seconds) = raw.parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    let ms = (raw.parse::<f64>().ok()? * 1000.0).round();
    // Beyond 2^53 a double no longer counts single milliseconds; no event has such a time.
    (ms.abs() < 9.0e15).then_some(ms as i64)
}

fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Where `part`, a slice of `whole`, begins in it.
fn offset(whole: &str, part: &str) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

fn mark(start: usize, end: usize, reason: &str) -> MalformedMark {
    MalformedMark {
        start: place(start),
        end: place(end),
        reason: reason.to_owned(),
    }
}

/// `max_body` is at most 192 MiB, so every place fits.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Read all of `text` with this visitor, in one pass.
fn read<'de, V: Visitor<'de>>(text: &'de str, visitor: V) -> Result<V::Value, &'static str> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = (&mut reader)
        .deserialize_any(visitor)
        .map_err(|error| match error.classify() {
            serde_json::error::Category::Data => "not an object with an `events` list",
            _ => "not JSON",
        })?;
    reader.end().map_err(|_| "not JSON")?;
    Ok(value)
}

enum Envelope<'a> {
    Empty,
    OtherShape,
    Events(&'a RawValue),
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with an `events` list")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut envelope = Envelope::Empty;
        while let Some(key) = map.next_key::<String>()? {
            if key == "events" {
                envelope = Envelope::Events(map.next_value()?);
            } else {
                map.next_value::<&RawValue>()?;
                if matches!(envelope, Envelope::Empty) {
                    envelope = Envelope::OtherShape;
                }
            }
        }
        Ok(envelope)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        let mut list = Vec::new();
        while let Some(raw) = seq.next_element()? {
            list.push(raw);
        }
        Ok(list)
    }
}

#[derive(Default)]
struct Members<'a> {
    event_type: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    time: Option<&'a RawValue>,
}

struct HeadVisitor;

impl<'de> Visitor<'de> for HeadVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut members = Members::default();
        while let Some(key) = map.next_key::<String>()? {
            let raw: &RawValue = map.next_value()?;
            match key.as_str() {
                "event_type" => members.event_type = Some(raw),
                "id" => members.id = Some(raw),
                "time" => members.time = Some(raw),
                _ => {}
            }
        }
        Ok(members)
    }
}

/// Any scalar, to tell "JSON of another shape" from "not JSON".
struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        // With arbitrary precision a number comes as a map.
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
