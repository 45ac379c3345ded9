//! What a sink wants of a document, read once from its document spec: its JSON Schema and, by kind,
//! the members that must be there.
//!
//! Of JSON Schema as much as document specs use: types, constants, lengths, times, members and what is
//! required of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use sluice_sdk::{DocumentKind, DocumentSpec, ValueRule};

use crate::mapping::kinds::Kinds;

/// `$ref` that go further than this go in circles.
const REFERENCES_MAX: usize = 16;

/// What is wanted of one value.
#[derive(Debug, Clone)]
pub struct Want {
    /// What it may be.
    pub kinds: Kinds,
    /// A text must not be empty.
    pub is_filled: bool,
    /// A text must be a moment.
    pub is_time: bool,
    /// Nothing but these.
    pub values: Option<Vec<Value>>,
    /// Of each group one member must be there.
    pub required: Vec<Vec<String>>,
    /// Members by name.
    pub members: BTreeMap<String, Want>,
    /// All other members.
    pub others: Others,
}

/// What a sink wants of its documents; read once, as there are many rules and types.
pub struct Wants {
    /// The sink's spec.
    pub spec: &'static DocumentSpec,
    /// Its schema.
    pub schema: Value,
    any: Want,
    kinds: BTreeMap<&'static str, Want>,
}

impl Wants {
    /// Of this sink.
    pub fn new(spec: &'static DocumentSpec) -> Self {
        let schema = (spec.schema)();
        let any = Want::read(&schema, &schema, 0);
        let kinds = spec.kinds.iter();
        Self {
            kinds: kinds
                .map(|kind| (kind.name, any.clone().of_kind(kind)))
                .collect(),
            spec,
            schema,
            any,
        }
    }

    /// What a document of this kind must be, or any document.
    pub fn of(&self, kind: Option<&DocumentKind>) -> &Want {
        kind.and_then(|kind| self.kinds.get(kind.name))
            .unwrap_or(&self.any)
    }
}

/// Members that are not named.
#[derive(Debug, Clone)]
pub enum Others {
    /// There must be none.
    None,
    /// They may be anything.
    Free,
    /// Each must be this.
    Each(Box<Want>),
}

impl Want {
    /// Anything.
    pub fn any() -> Self {
        Self {
            kinds: Kinds::ANY.or(Kinds::NULL),
            is_filled: false,
            is_time: false,
            values: None,
            required: Vec::new(),
            members: BTreeMap::new(),
            others: Others::Free,
        }
    }

    /// What is wanted of the member of this name; `None` where it must not be.
    pub fn member(&self, name: &str) -> Option<Cow<'_, Self>> {
        match (self.members.get(name), &self.others) {
            (Some(want), _) => Some(Cow::Borrowed(want)),
            (None, Others::Each(want)) => Some(Cow::Borrowed(&**want)),
            (None, Others::Free) => Some(Cow::Owned(Self::any())),
            (None, Others::None) => None,
        }
    }

    /// Whether an object may have any members.
    pub fn is_open(&self) -> bool {
        matches!(self.others, Others::Free) && self.members.values().all(Self::is_free)
    }

    /// What a document of this kind must be.
    fn of_kind(mut self, kind: &DocumentKind) -> Self {
        for group in kind.required {
            let group: Vec<String> = group.iter().map(|name| (*name).to_owned()).collect();
            if !self.required.contains(&group) {
                self.required.push(group);
            }
        }
        for (path, rule) in kind.members {
            self.at(path).narrow(*rule);
        }
        self
    }

    fn at(&mut self, path: &str) -> &mut Self {
        path.split('.').fold(self, |here, name| {
            here.members
                .entry(name.to_owned())
                .or_insert_with(Self::any)
        })
    }

    fn narrow(&mut self, rule: ValueRule) {
        match rule {
            ValueRule::Text => {
                self.kinds = self.kinds.and(Kinds::TEXT);
                self.is_filled = true;
            }
            ValueRule::Time => {
                self.kinds = self.kinds.and(Kinds::TEXT);
                self.is_time = true;
            }
            ValueRule::Object => self.kinds = self.kinds.and(Kinds::OBJECT),
        }
    }

    fn read(schema: &Value, root: &Value, depth: usize) -> Self {
        let mut want = Self::any();
        if depth > REFERENCES_MAX {
            return want;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = target.strip_prefix('#').and_then(|at| root.pointer(at));
            return target.map_or(want, |target| Self::read(target, root, depth + 1));
        }
        match schema.get("type") {
            Some(Value::String(name)) => want.kinds = kind(name),
            Some(Value::Array(names)) => {
                want.kinds = names
                    .iter()
                    .filter_map(Value::as_str)
                    .fold(Kinds::NONE, |all, name| all.or(kind(name)));
            }
            _ => {}
        }
        want.is_filled = schema.get("minLength").and_then(Value::as_u64) > Some(0);
        want.is_time = schema.get("format").and_then(Value::as_str) == Some("date-time");
        want.values = match (schema.get("const"), schema.get("enum")) {
            (Some(value), _) => Some(vec![value.clone()]),
            (None, Some(Value::Array(values))) => Some(values.clone()),
            _ => None,
        };
        let below = |schema: &Value| Self::read(schema, root, depth + 1);
        if let Some(Value::Object(properties)) = schema.get("properties") {
            want.members = properties
                .iter()
                .map(|(name, schema)| (name.clone(), below(schema)))
                .collect();
        }
        match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => want.others = Others::None,
            Some(other @ Value::Object(_)) => want.others = Others::Each(Box::new(below(other))),
            _ => {}
        }
        if let Some(Value::Array(required)) = schema.get("required") {
            let names = required.iter().filter_map(Value::as_str);
            want.required = names.map(|name| vec![name.to_owned()]).collect();
        }
        want
    }

    /// Whether any value at all is good.
    pub fn is_free(&self) -> bool {
        Kinds::ANY.fits(self.kinds)
            && !self.is_filled
            && !self.is_time
            && self.values.is_none()
            && self.required.is_empty()
            && self.is_open()
    }

    /// In words.
    pub fn describe(&self) -> String {
        if let Some(values) = &self.values {
            let names: Vec<String> = values
                .iter()
                .map(|value| match value {
                    Value::String(text) => format!("`{text}`"),
                    other => format!("`{other}`"),
                })
                .collect();
            return format!("one of {}", names.join(", "));
        }
        if self.is_time {
            return "an ISO 8601 time with zone".to_owned();
        }
        if self.is_filled && self.kinds == Kinds::TEXT {
            return "a text that is not empty".to_owned();
        }
        self.kinds.describe()
    }
}

fn kind(name: &str) -> Kinds {
    match name {
        "null" => Kinds::NULL,
        "boolean" => Kinds::BOOLEAN,
        "integer" => Kinds::INTEGER,
        "number" => Kinds::NUMBER,
        "string" => Kinds::TEXT,
        "array" => Kinds::LIST,
        "object" => Kinds::OBJECT,
        _ => Kinds::ANY.or(Kinds::NULL),
    }
}
