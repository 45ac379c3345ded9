//! Where an event says its id, its type and its time.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimeParser;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use sluice_sdk::{EventMark, EventPlaces, MalformedMark, PathStep, Submission};

/// Numbers above it are milliseconds: as seconds they would be in the year 5138.
const SECONDS_MAX: f64 = 1e11;

/// One place in a JSON value: dotted (`meta.kind`), or as a JSONPath that can match one place only
/// (`$.meta['event kind'][0]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(Vec<PathStep>);

impl Place {
    /// # Errors
    /// What is wrong with the text and what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no place: expected names with dots such as meta.kind, or a JSONPath for one place such as $.meta['event kind'][0]"
            )
        };
        let Some(mut rest) = text.strip_prefix('$') else {
            let names: Vec<&str> = text.split('.').collect();
            if names
                .iter()
                .any(|name| name.is_empty() || name.contains(['[', ']', '$']))
            {
                return Err(wrong());
            }
            let steps = names.into_iter().map(|name| PathStep::Key(name.to_owned()));
            return Ok(Self(steps.collect()));
        };
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = step(rest).ok_or_else(wrong)?;
            steps.push(step);
            rest = after;
        }
        Ok(Self(steps))
    }

    /// The value there.
    pub fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        PathStep::find(&self.0, value)
    }

    /// A JSON text with this value at the place, and nothing else that matters.
    pub fn around(&self, value: String) -> String {
        self.0.iter().rev().fold(value, |value, step| match step {
            PathStep::Key(name) => format!("{{{}:{value}}}", Value::from(name.as_str())),
            PathStep::Index(index) => format!("[{}{value}]", "null,".repeat(*index)),
        })
    }

    /// The value there, as it stands in the text.
    pub fn find_raw<'a>(&self, value: &'a RawValue) -> Option<&'a RawValue> {
        self.0
            .iter()
            .try_fold(value, |value, step| find_raw(step, value))
    }
}

fn find_raw<'a>(step: &PathStep, value: &'a RawValue) -> Option<&'a RawValue> {
    match step {
        // Of a doubled key the last one counts, as in most JSON readers.
        PathStep::Key(name) => serde_json::from_str::<HashMap<String, &RawValue>>(value.get())
            .ok()?
            .remove(name),
        PathStep::Index(index) => serde_json::from_str::<Vec<&RawValue>>(value.get())
            .ok()?
            .get(*index)
            .copied(),
    }
}

/// `.name`, `['name']`, `["name"]` or `[0]`, and what comes behind it.
fn step(text: &str) -> Option<(PathStep, &str)> {
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let is_name = !name.is_empty() && !name.contains(['*', '?', ']']);
        return is_name.then(|| (PathStep::Key(name.to_owned()), after));
    }
    let inner = text.strip_prefix('[')?;
    for quote in ['\'', '"'] {
        if let Some(quoted) = inner.strip_prefix(quote) {
            let (name, after) = quoted.split_once(quote)?;
            return Some((PathStep::Key(name.to_owned()), after.strip_prefix(']')?));
        }
    }
    let (index, after) = inner.split_once(']')?;
    Some((PathStep::Index(index.parse().ok()?), after))
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Place {
    fn schema_name() -> Cow<'static, str> {
        "Place".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A place in the event: names with dots, or a JSONPath for one place.",
            "type": "string",
            "examples": ["meta.kind", "$.meta['event kind'][0]"]
        })
    }
}

/// Where an event says what the engine must know of it.
#[derive(Debug, Clone)]
pub struct Places {
    named: EventPlaces,
    time: Place,
}

pub fn id_default() -> Place {
    Place(vec![PathStep::Key("id".to_owned())])
}

pub fn type_default() -> Place {
    Place(vec![PathStep::Key("event_type".to_owned())])
}

pub fn time_default() -> Place {
    Place(vec![PathStep::Key("time".to_owned())])
}

/// What [`Places`] says of type and id.
pub fn event_places(event_type: Place, id: Place, default_type: Option<String>) -> EventPlaces {
    EventPlaces {
        event_type: event_type.0,
        id: id.0,
        default_type,
    }
}

/// The places in the settings of a source of this crate.
pub fn places_of(settings: Value) -> Option<EventPlaces> {
    #[derive(Deserialize)]
    struct Keys {
        #[serde(default = "type_default")]
        event_type: Place,
        #[serde(default = "id_default")]
        id: Place,
        default_type: Option<String>,
    }
    let keys: Keys = serde_json::from_value(settings).ok()?;
    Some(event_places(keys.event_type, keys.id, keys.default_type))
}

/// Why something is set aside, and what that means; each for the reasons of a source.
pub const NOT_JSON: (&str, &str) = ("not JSON", "It is no JSON text, or cut off in the middle.");
pub const NOT_AN_OBJECT: (&str, &str) = ("not an object", "It is JSON, but no object.");
pub const NO_TYPE: (&str, &str) = (
    "no type",
    "There is no text where `event_type` of the source says that the type of an event stands. Correct that place, or say `default_type`.",
);
pub const NO_ID: (&str, &str) = (
    "no id",
    "There is neither a text nor a number where `id` of the source says that the id of an event stands.",
);

impl Places {
    pub fn new(named: EventPlaces, time: Place) -> Self {
        Self { named, time }
    }

    /// Mark the part of a body from `start` to `end` as an event, or as what it is instead.
    pub fn mark(&self, submission: &mut Submission, text: &[u8], start: usize) {
        // The callers bound their bodies far below 4 GiB.
        let (from, to) = (start as u32, (start + text.len()) as u32);
        match self.look(text) {
            Ok((event_type, id, time_ms)) => submission.events.push(EventMark {
                start: from,
                end: to,
                event_type,
                id,
                time_ms,
            }),
            Err(reason) => submission.malformed.push(MalformedMark {
                start: from,
                end: to,
                reason: reason.to_owned(),
            }),
        }
    }

    fn look(&self, text: &[u8]) -> Result<(String, String, Option<i64>), &'static str> {
        let value: Value = serde_json::from_slice(text).map_err(|_| NOT_JSON.0)?;
        if !value.is_object() {
            return Err(NOT_AN_OBJECT.0);
        }
        let event_type = self.named.type_of(&value);
        let id = self.named.id_of(&value);
        let time_ms = self.time.find(&value).and_then(time_of);
        Ok((event_type.ok_or(NO_TYPE.0)?, id.ok_or(NO_ID.0)?, time_ms))
    }
}

/// Unix seconds, unix milliseconds or ISO 8601.
fn time_of(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => {
            let time: Timestamp = DateTimeParser::new().parse_timestamp(text).ok()?;
            Some(time.as_millisecond())
        }
        _ => {
            let number = value.as_f64()?;
            let milliseconds = if number.abs() > SECONDS_MAX {
                number
            } else {
                number * 1000.0
            };
            Some(milliseconds.round() as i64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_place_is_dotted_or_a_singular_path() {
        let event = json!({"meta": {"event kind": ["a", {"b": 1}]}, "a": {"b": 2}});
        for (text, expected) in [
            ("a.b", Some(json!(2))),
            ("$.a.b", Some(json!(2))),
            ("$['a'][\"b\"]", Some(json!(2))),
            ("$.meta['event kind'][0]", Some(json!("a"))),
            ("$.meta['event kind'][1].b", Some(json!(1))),
            ("$.meta['event kind'][7]", None),
            ("a.b.c", None),
        ] {
            let place = Place::parse(text).expect(text);
            assert_eq!(place.find(&event).cloned(), expected, "{text}");
            let raw = serde_json::value::to_raw_value(&event).expect("JSON");
            let found = place.find_raw(&raw).map(RawValue::get);
            assert_eq!(
                found,
                expected.map(|it| it.to_string()).as_deref(),
                "{text}"
            );
        }
        for text in [
            "", ".a", "a..b", "a[0]", "$..a", "$.*", "$[*]", "$.a[", "$a", "$['a'",
        ] {
            let problem = Place::parse(text).expect_err(text);
            assert!(problem.contains("meta.kind"), "{problem}");
        }
    }

    #[test]
    fn what_is_put_around_a_value_has_it_at_the_place() {
        for text in ["events", "a.b", "$", "$.a['b \"c\"'][2].d"] {
            let place = Place::parse(text).expect(text);
            let body = place.around("[1]".to_owned());
            let body: Value = serde_json::from_str(&body).expect(&body);
            assert_eq!(place.find(&body), Some(&json!([1])), "{text}");
        }
    }

    #[test]
    fn times_are_seconds_milliseconds_or_text() {
        for value in [
            json!(1_788_264_000),
            json!(1_788_264_000_000_i64),
            json!("2026-09-01T12:00:00Z"),
            json!("2026-09-01T14:00:00+02:00"),
        ] {
            assert_eq!(time_of(&value), Some(1_788_264_000_000), "{value}");
        }
        assert_eq!(time_of(&json!("yesterday")), None);
    }
}
