//! What events a source may bring: types, fields, and samples made from them.
//!
//! A catalogue helps people (validation, completion, samples, coverage). It never decides at run
//! time: unknown types and fields are normal.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Event types of one system at one version.
#[derive(Debug, Clone, Deserialize)]
pub struct Catalogue {
    /// The state of the source system it describes.
    pub version: String,
    /// All known types.
    pub events: Vec<EventType>,
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

impl Catalogue {
    /// The type of this name or alias.
    pub fn event(&self, name: &str) -> Option<&EventType> {
        self.events
            .iter()
            .find(|event| event.name == name || event.aliases.iter().any(|alias| alias == name))
    }
}

impl EventType {
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
}

impl Field {
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
