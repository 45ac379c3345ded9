//! What events a source may bring: types, fields, and samples made from them.
//!
//! A catalogue helps people (validation, completion, samples, coverage). It never decides at run
//! time: unknown types and fields are normal.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Event types of one system at one version.
///
/// Read from a file with whatever reads its format, such as `serde_yaml::from_str`. There, fields that
/// several types share are written once under `groups`, and a type takes them in with `use`; a field
/// of the type itself wins over one of a group. [`file_schema`] describes such a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "File")]
pub struct Catalogue {
    /// The state of the source system it describes.
    pub version: String,
    /// All known types.
    pub events: Vec<EventType>,
}

/// A catalogue as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: String,
    #[serde(default)]
    groups: HashMap<String, Vec<Field>>,
    events: Vec<EventType>,
}

impl TryFrom<File> for Catalogue {
    type Error = String;

    fn try_from(mut file: File) -> Result<Self, String> {
        for event in &mut file.events {
            event.take_in(&file.groups)?;
        }
        Ok(Self {
            version: file.version,
            events: file.events,
        })
    }
}

/// One event type.
#[derive(Debug, Clone, Deserialize)]
pub struct EventType {
    /// The name as the source sends it.
    #[serde(rename = "type")]
    pub name: String,
    /// Other spellings of the same type.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Types that belong together, for tables.
    pub group: String,
    /// Part of the set that the system's own documentation promises for this purpose.
    #[serde(default)]
    pub documented: bool,
    /// Odd things to know.
    #[serde(default)]
    pub note: String,
    /// Groups of the file whose fields are among `fields`.
    #[serde(default, rename = "use")]
    pub uses: Vec<String>,
    /// All known fields.
    #[serde(default)]
    pub fields: Vec<Field>,
}

/// One field of an event type.
#[derive(Debug, Clone, Deserialize)]
pub struct Field {
    /// Dotted place in the event, such as `properties.url`.
    pub path: String,
    /// JSON type of its values.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// May be null or absent.
    #[serde(default)]
    pub nullable: bool,
    /// Marked as personal data by the source.
    #[serde(default)]
    pub personal: bool,
    /// Known from another transport only; not in samples.
    #[serde(default)]
    pub storage_only: bool,
    /// A value as it might come.
    #[serde(default)]
    pub example: Option<Value>,
    /// Odd things to know.
    #[serde(default)]
    pub note: String,
}

/// JSON type of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Text.
    String,
    /// Whole number.
    Integer,
    /// Any number.
    Number,
    /// true or false.
    Boolean,
    /// Object of unknown members.
    Object,
    /// List of texts.
    StringArray,
    /// Text that holds JSON.
    JsonString,
    /// Unix seconds.
    Timestamp,
    /// Unix milliseconds.
    TimestampMs,
}

/// The JSON Schema of a catalogue file: a [`Catalogue`] with `groups` of fields that types share by
/// `use`.
pub fn file_schema() -> Value {
    let field = json!({
        "description": "One field of an event.",
        "type": "object",
        "additionalProperties": false,
        "required": ["path", "type"],
        "properties": {
            "path": {"description": "Dotted place in the event.", "examples": ["properties.url"], "type": "string"},
            "type": {"description": "JSON type of its values.", "examples": ["string"],
                "enum": ["string", "integer", "number", "boolean", "object", "string_array", "json_string", "timestamp", "timestamp_ms"]},
            "nullable": {"description": "May be null or absent.", "examples": [true], "type": "boolean"},
            "personal": {"description": "Marked as personal data by the source.", "examples": [true], "type": "boolean"},
            "storage_only": {"description": "Known from another transport only; not in samples.", "examples": [true], "type": "boolean"},
            "example": {"description": "A value as it might come.", "examples": ["ios"]},
            "note": {"description": "Odd things to know.", "examples": ["Text, not a boolean."], "type": "string"}
        }
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sluice event catalogue",
        "description": "Event types of a source, their fields and examples.",
        "type": "object",
        "additionalProperties": false,
        "required": ["version", "events"],
        "properties": {
            "version": {"description": "The state of the source system it describes.", "examples": ["2026-09"], "type": "string"},
            "groups": {
                "description": "Fields that several types share, by name.",
                "examples": [{"core": [{"path": "id", "type": "string"}]}],
                "type": "object",
                "additionalProperties": {"type": "array", "items": {"$ref": "#/$defs/field"}}
            },
            "events": {
                "description": "All known types.",
                "examples": [[{"type": "message.Open", "group": "message"}]],
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["type", "group"],
                    "properties": {
                        "type": {"description": "The name as the source sends it.", "examples": ["message.Open"], "type": "string"},
                        "group": {"description": "Types that belong together.", "examples": ["message"], "type": "string"},
                        "documented": {"description": "Part of the set that the system's documentation promises.", "examples": [true], "type": "boolean"},
                        "aliases": {"description": "Other spellings of the type.", "examples": [["message_open"]], "type": "array", "items": {"type": "string"}},
                        "note": {"description": "Odd things to know.", "examples": ["Deprecated."], "type": "string"},
                        "use": {"description": "Groups whose fields all belong to it.", "examples": [["core"]], "type": "array", "items": {"type": "string"}},
                        "fields": {"description": "Its further fields.", "examples": [[{"path": "properties.url", "type": "string"}]], "type": "array", "items": {"$ref": "#/$defs/field"}}
                    }
                }
            }
        },
        "$defs": {"field": field}
    })
}

impl Catalogue {
    /// The type of this name or alias.
    pub fn event(&self, name: &str) -> Option<&EventType> {
        self.events
            .iter()
            .find(|event| event.name == name || event.aliases.iter().any(|alias| alias == name))
    }
}

impl EventType {
    /// The fields of the groups first, those of the type itself over them.
    fn take_in(&mut self, groups: &HashMap<String, Vec<Field>>) -> Result<(), String> {
        let own = std::mem::take(&mut self.fields);
        for name in &self.uses {
            let group = groups
                .get(name)
                .ok_or_else(|| format!("{}: there is no group `{name}`", self.name))?;
            for field in group {
                put(&mut self.fields, field.clone());
            }
        }
        for field in own {
            put(&mut self.fields, field);
        }
        Ok(())
    }

    /// The field at this dotted path.
    pub fn field(&self, path: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.path == path)
    }

    /// An event with every field filled, the same at every call.
    pub fn sample(&self) -> Value {
        let mut event = json!({ "event_type": self.name });
        for field in self.fields.iter().filter(|field| !field.storage_only) {
            place(&mut event, &field.path, field.sample());
        }
        event
    }

    /// Event number `n` of the run `seed`: the same for the same numbers, with another id for every
    /// `n`. Values vary; about one in five nullable fields is null or absent.
    pub fn synthesize(&self, seed: u64, n: u64) -> Value {
        self.synthesize_with_nulls(seed, n, 0.2)
    }

    /// As [`EventType::synthesize`], with the share (0.0 to 1.0) of nullable fields without a value.
    pub fn synthesize_with_nulls(&self, seed: u64, n: u64, nulls: f64) -> Value {
        let mut random = Random(mix(seed).wrapping_add(n));
        let mut event = json!({ "event_type": self.name });
        for field in self.fields.iter().filter(|field| !field.storage_only) {
            if field.path == "id" {
                place(&mut event, "id", json!(synthetic_id(seed, n)));
            } else if field.nullable && random.share() < nulls {
                // Both forms occur in the wild.
                if random.below(2) == 0 {
                    place(&mut event, &field.path, Value::Null);
                }
            } else {
                place(&mut event, &field.path, field.vary(&mut random, n));
            }
        }
        event
    }
}

fn put(fields: &mut Vec<Field>, field: Field) {
    match fields.iter_mut().find(|known| known.path == field.path) {
        Some(known) => *known = field,
        None => fields.push(field),
    }
}

/// In the form of a UUID. The last twelve digits are `n`, mixed one to one, so that no two are the same.
fn synthetic_id(seed: u64, n: u64) -> String {
    let high = mix(seed);
    let low = (n ^ mix(high)) & 0xffff_ffff_ffff;
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{low:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        (high >> 4) & 0xfff,
        mix(n >> 48 ^ high) & 0xfff,
    )
}

/// splitmix64: small, fast, and the same on every machine and in every version.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn share(&mut self) -> f64 {
        // 53 bits: what a double holds exactly.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Field {
    /// A value like the sample. Texts keep their form, as some are dates, addresses or numbers: only
    /// a digit at the end changes.
    fn vary(&self, random: &mut Random, n: u64) -> Value {
        let sample = self.sample();
        match (self.kind, &sample) {
            (FieldType::String, Value::String(text)) => {
                json!(with_last_digit(text, random.below(10)))
            }
            (FieldType::Integer, _) => json!(random.below(1_000)),
            (FieldType::Number, _) => json!(random.below(100_000) as f64 / 100.0),
            (FieldType::Boolean, _) => json!(random.below(2) == 1),
            (FieldType::Timestamp, _) => json!(1_788_264_000 + n % 31_536_000),
            (FieldType::TimestampMs, _) => json!((1_788_264_000 + n % 31_536_000) * 1_000),
            _ => sample,
        }
    }

    /// The example, or a plain value of the right type.
    pub fn sample(&self) -> Value {
        if let Some(example) = &self.example {
            return example.clone();
        }
        match self.kind {
            FieldType::String => {
                let name = self.path.rsplit('.').next().unwrap_or_default();
                json!(format!("{name}-1"))
            }
            FieldType::Integer => json!(3),
            FieldType::Number => json!(1.5),
            FieldType::Boolean => json!(true),
            FieldType::Object => json!({"key": "value"}),
            FieldType::StringArray => json!(["one", "two"]),
            FieldType::JsonString => json!("{\"key\":\"value\"}"),
            FieldType::Timestamp => json!(1_788_264_000),
            FieldType::TimestampMs => json!(1_788_264_000_000_i64),
        }
    }
}

/// The text with its last character replaced, if that is a digit.
fn with_last_digit(text: &str, digit: u64) -> String {
    match text.strip_suffix(|last: char| last.is_ascii_digit()) {
        Some(start) => format!("{start}{digit}"),
        None => text.to_owned(),
    }
}

/// Put `value` at a dotted path, making objects on the way.
fn place(event: &mut Value, path: &str, value: Value) {
    let mut steps: Vec<&str> = path.split('.').collect();
    let Some(last) = steps.pop() else { return };
    let mut here = event;
    for step in steps {
        if !here.is_object() {
            return;
        }
        here = &mut here[step];
        if here.is_null() {
            *here = Value::Object(Map::new());
        }
    }
    if let Some(object) = here.as_object_mut() {
        object.insert(last.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn event() -> EventType {
        serde_json::from_value(json!({
            "type": "a", "group": "g", "fields": [
                {"path": "id", "type": "string"},
                {"path": "user.name", "type": "string", "nullable": true, "example": "cust-1001"},
                {"path": "properties.price", "type": "number"}
            ]
        }))
        .expect("a catalogue entry")
    }

    #[test]
    fn the_same_numbers_make_the_same_event_and_others_another_id() {
        let event = event();
        assert_eq!(event.synthesize(7, 3), event.synthesize(7, 3));
        let ids: HashSet<String> = (0..10_000)
            .map(|n| event.synthesize(7, n)["id"].to_string())
            .collect();
        assert_eq!(ids.len(), 10_000);
        assert_ne!(event.synthesize(7, 3)["id"], event.synthesize(8, 3)["id"]);
    }

    #[test]
    fn groups_are_taken_in_and_a_types_own_field_wins() {
        let read = |uses: &str| {
            serde_json::from_value::<Catalogue>(json!({
                "version": "1",
                "groups": {"core": [{"path": "id", "type": "string"}, {"path": "at", "type": "timestamp"}]},
                "events": [{"type": "a", "group": "g", "use": [uses], "fields": [{"path": "id", "type": "integer"}]}]
            }))
        };
        let catalogue = read("core").expect("good");
        let kinds: Vec<_> = catalogue.events[0]
            .fields
            .iter()
            .map(|it| it.kind)
            .collect();
        assert_eq!(kinds, [FieldType::Integer, FieldType::Timestamp]);
        let error = read("cor").expect_err("no such group").to_string();
        assert!(error.contains("a: there is no group `cor`"), "{error}");
    }

    #[test]
    fn only_nullable_fields_lack_a_value() {
        let event = event();
        for n in 0..100 {
            assert!(event.synthesize_with_nulls(1, n, 1.0)["user"]["name"].is_null());
            assert!(event.synthesize_with_nulls(1, n, 1.0)["properties"]["price"].is_number());
            assert!(event.synthesize_with_nulls(1, n, 0.0)["user"]["name"].is_string());
        }
    }
}
