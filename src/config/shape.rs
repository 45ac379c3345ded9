//! Check one section against its JSON Schema, and say what is wrong at its place in the file.

use std::collections::BTreeSet;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::{Value, json};

use super::expected::{
    choices, forms, hint, plain, properties, property, schema_at, stand_in, title, types,
};
use super::placeholders::Resolved;
use super::{address, units};
use crate::diagnostics::{Diagnostic, Kind, Node, Span, did_you_mean};

/// A section of the file: where it stands, what it holds.
pub(super) struct Section<'a> {
    /// The whole file.
    pub root: &'a Node,
    /// Pointer of the section in it.
    pub pointer: String,
    /// What messages call it, such as "source `orders`".
    pub name: String,
    /// What is known of its values.
    pub resolved: &'a Resolved,
}

impl Section<'_> {
    /// The value of the section, with stand-ins where the environment has none, and texts from the
    /// environment turned into what the schema wants.
    fn value(&self, schema: &Value) -> Value {
        let mut value = self
            .resolved
            .value
            .pointer(&self.pointer)
            .cloned()
            .unwrap_or_default();
        for pointer in self.inside(&self.resolved.open) {
            if let Some(place) = value.pointer_mut(pointer) {
                *place = schema_at(schema, pointer)
                    .map_or_else(|| json!("placeholder"), |at| stand_in(schema, at));
            }
        }
        for pointer in self.inside(&self.resolved.filled) {
            let types = schema_at(schema, pointer).map(|at| types(schema, at));
            if let (Some(place), Some(types)) = (value.pointer_mut(pointer), types)
                && !types.contains(&"string")
                && let Some(text) = place.as_str()
                && let Ok(read) = serde_json::from_str::<Value>(text)
                && (read.is_number() || read.is_boolean())
            {
                *place = read;
            }
        }
        value
    }

    fn inside<'b>(&'b self, pointers: &'b [String]) -> impl Iterator<Item = &'b str> {
        pointers.iter().filter_map(|pointer| {
            pointer
                .strip_prefix(&self.pointer)
                .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// The variables in it that have no value.
    pub fn unset(&self) -> BTreeSet<String> {
        let below = format!("{}/", self.pointer);
        let unset = self.resolved.unset.iter();
        unset
            .filter(|(pointer, _)| pointer.starts_with(&below))
            .map(|(_, name)| name.clone())
            .collect()
    }

    /// Whether the value at this pointer of the section is unknown, or part of an unknown one.
    pub fn is_open(&self, pointer: &str) -> bool {
        self.inside(&self.resolved.open)
            .any(|open| pointer == open || pointer.starts_with(&format!("{open}/")))
    }

    /// The node at this pointer of the section, or the nearest above.
    pub fn node(&self, pointer: &str) -> &Node {
        self.root.at_pointer(&format!("{}{pointer}", self.pointer))
    }

    /// What to write instead of a text that is no address to listen on.
    pub fn address_meant(&self, pointer: &str) -> String {
        let text = self.node(pointer).as_str().unwrap_or_default();
        // What comes from the environment does not stand there.
        address::meant(if text.contains("${") { "" } else { text })
    }

    /// The value's place; of a map, the place of the key it stands under.
    pub fn place(&self, pointer: &str) -> Span {
        let node = self.node(pointer);
        if node.as_map().is_none() {
            return node.span;
        }
        let full = format!("{}{pointer}", self.pointer);
        self.key_place(&full).unwrap_or(node.span)
    }

    fn key_place(&self, full: &str) -> Option<Span> {
        let (parent, key) = full.rsplit_once('/')?;
        let key = key.replace("~1", "/").replace("~0", "~");
        Some(self.root.at_pointer(parent).entry(&key)?.key_span)
    }

    /// Check against `schema`. `Some` with the value when nothing is wrong.
    pub fn check(&self, schema: &Value, diagnostics: &mut Vec<Diagnostic>) -> Option<Value> {
        let value = self.value(schema);
        let validator: Validator = match jsonschema::validator_for(schema) {
            Ok(validator) => validator,
            Err(error) => {
                diagnostics.push(Diagnostic::error(
                    "bad-schema",
                    self.place(""),
                    format!("the plugin's own schema is not usable: {error}"),
                ));
                return None;
            }
        };
        let before = diagnostics.len();
        for error in validator.iter_errors(&value) {
            self.explain(schema, &error, diagnostics);
        }
        (diagnostics.len() == before).then_some(value)
    }

    fn explain(
        &self,
        schema: &Value,
        error: &ValidationError<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let pointer = error.instance_path().to_string();
        if self.is_open(&pointer) {
            return;
        }
        let here = schema_at(schema, &pointer);
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let known = here.map(|at| properties(schema, at)).unwrap_or_default();
                for key in unexpected {
                    diagnostics.push(self.unknown_key(schema, &pointer, key, &known));
                }
            }
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                diagnostics.push(self.missing_key(schema, here, &pointer, key));
            }
            ValidationErrorKind::AnyOf { context }
            | ValidationErrorKind::OneOfNotValid { context } => {
                // One branch is meant when only one takes a value of this type.
                let meant: Vec<_> = context
                    .iter()
                    .filter(|errors| {
                        !errors.iter().any(|error| {
                            matches!(
                                error.kind(),
                                ValidationErrorKind::Type { .. }
                                    | ValidationErrorKind::Constant { .. }
                                    | ValidationErrorKind::Enum { .. }
                            ) && error.instance_path().to_string() == pointer
                        })
                    })
                    .collect();
                if let [errors] = meant.as_slice() {
                    for error in *errors {
                        self.explain(schema, error, diagnostics);
                    }
                } else {
                    diagnostics.push(self.unfit(schema, here, &pointer));
                }
            }
            _ => diagnostics.push(self.unfit(schema, here, &pointer)),
        }
    }

    /// Where a key belongs that stands a level too low or too high, or nothing.
    fn other_level(&self, schema: &Value, pointer: &str, key: &str) -> String {
        let above = match pointer.rsplit_once('/') {
            Some((above, _)) => schema_at(schema, above)
                .filter(|at| properties(schema, at).iter().any(|known| known == key))
                .map(|_| self.called(above)),
            None => self.above(key),
        };
        if let Some(above) = above {
            return format!("it belongs one level up, to {above}");
        }
        let Some(here) = schema_at(schema, pointer) else {
            return String::new();
        };
        let below = properties(schema, here).into_iter().find(|name| {
            let inner = property(schema, here, name).map(|inner| properties(schema, inner));
            inner.is_some_and(|inner| inner.iter().any(|known| known == key))
        });
        below
            .or_else(|| self.is_of_sink(key).then(|| "sink".to_owned()))
            .map_or_else(String::new, |name| format!("it belongs under `{name}`"))
    }

    /// Whether this is a connector whose sink has the key.
    fn is_of_sink(&self, key: &str) -> bool {
        let found = self.node("").get("sink").and_then(|sink| sink.get("type"));
        let Some(found) = found.and_then(Node::as_str) else {
            return false;
        };
        let mut known = sluice_sdk::sinks().into_iter();
        known
            .find(|plugin| plugin.name == found)
            .map(super::schema::sink_schema)
            .is_some_and(|schema| properties(&schema, &schema).iter().any(|it| it == key))
    }

    /// The section around this one, if it has the key.
    fn above(&self, key: &str) -> Option<String> {
        let connector = self.pointer.strip_suffix("/sink")?;
        let schema = super::schema::connector_schema();
        let has_it = properties(&schema, &schema)
            .iter()
            .any(|known| known == key);
        let name = connector.rsplit('/').next().unwrap_or_default();
        has_it.then(|| format!("connector `{name}`"))
    }

    fn unknown_key(
        &self,
        schema: &Value,
        pointer: &str,
        key: &str,
        known: &[String],
    ) -> Diagnostic {
        let span = self
            .node(pointer)
            .entry(key)
            .map_or_else(|| self.place(pointer), |entry| entry.key_span);
        let suggestion = match did_you_mean(key, known.iter().map(String::as_str)) {
            hint if hint.is_empty() => self.other_level(schema, pointer, key),
            hint => hint,
        };
        let mut sorted = known.to_vec();
        sorted.sort();
        Diagnostic::error(
            "unknown-key",
            span,
            format!("{} has no key `{key}`", self.called(pointer)),
        )
        .label(suggestion)
        .note(if sorted.is_empty() {
            String::new()
        } else {
            format!("known here: {}", sorted.join(", "))
        })
    }

    fn missing_key(
        &self,
        schema: &Value,
        here: Option<&Value>,
        pointer: &str,
        key: &str,
    ) -> Diagnostic {
        let example = here
            .and_then(|at| property(schema, at, key))
            .map(|at| hint(schema, at))
            .filter(|value| !value.is_object() && *value != json!("placeholder"));
        let given = self.node(pointer).entry(key);
        let (span, message) = match given {
            Some(entry) => (entry.value.span, format!("`{key}` is empty")),
            None => (
                self.place(pointer),
                format!("{} needs the key `{key}`", self.called(pointer)),
            ),
        };
        Diagnostic::error("missing-key", span, message).label(example.map_or_else(
            || format!("add `{key}: …`"),
            |value| format!("such as `{key}: {}`", plain(&value)),
        ))
    }

    fn unfit(&self, schema: &Value, here: Option<&Value>, pointer: &str) -> Diagnostic {
        let node = self.node(pointer);
        let span = self.place(pointer);
        let key = pointer.rsplit('/').next().unwrap_or_default();
        let subject = if pointer.is_empty() {
            self.name.clone()
        } else {
            format!("`{}`", pointer[1..].replace('/', "."))
        };
        let Some(at) = here else {
            return Diagnostic::error("invalid-value", span, format!("{subject} does not fit"));
        };
        let choices = choices(schema, at);
        if !choices.is_empty() {
            let found = node.as_str().unwrap_or_default();
            return Diagnostic::error(
                "invalid-value",
                span,
                format!("{subject} must be one of: {}", choices.join(", ")),
            )
            .label(match choices.iter().any(|choice| choice == found) {
                true => format!("write `{key}: {found}`, without the quotes"),
                false => did_you_mean(found, choices.iter().map(String::as_str)),
            });
        }
        let types = types(schema, at);
        let found = node.describe();
        let fits = types.is_empty() || types.iter().any(|name| same_type(name, found));
        let example = plain(&hint(schema, at));
        let example = if example == "placeholder" || example.is_empty() {
            String::new()
        } else {
            format!("such as `{key}: {example}`")
        };
        if fits && key == "listen" {
            let message = format!("{}, or `off`", address::EXPECTED);
            return Diagnostic::error("invalid-value", span, message)
                .label(self.address_meant(pointer));
        }
        let written = match &node.kind {
            Kind::Text { value, .. } => value.clone(),
            Kind::Number(number) => number.to_string(),
            _ => String::new(),
        };
        let meant = title(schema, at).and_then(|title| units::meant(title, &written));
        if let Some(meant) = meant {
            let message = format!("the value of {subject} does not have the right form");
            return Diagnostic::error("invalid-value", span, message).label(meant);
        }
        if fits {
            let wanted = forms(schema, at);
            return Diagnostic::error(
                "invalid-value",
                span,
                format!("the value of {subject} does not have the right form"),
            )
            .label(if wanted.is_empty() { example } else { wanted });
        }
        let wanted: Vec<&str> = types.iter().map(|name| type_word(name)).collect();
        Diagnostic::error(
            "wrong-type",
            span,
            format!(
                "{subject} must be {}, and this is {found}",
                wanted.join(" or ")
            ),
        )
        .label(match crate::mapping::set_in_map(node) {
            Some(set) => format!("without the space behind the colon: `{set}`"),
            None => example,
        })
    }

    fn called(&self, pointer: &str) -> String {
        if pointer.is_empty() {
            self.name.clone()
        } else {
            format!("`{}` of {}", pointer[1..].replace('/', "."), self.name)
        }
    }
}

fn type_word(name: &str) -> &'static str {
    match name {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a map",
        _ => "nothing",
    }
}

fn same_type(name: &str, found: &str) -> bool {
    type_word(name) == found || (name == "integer" && found == "a number")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::{Files, parse_yaml};

    #[test]
    fn a_schema_that_is_none_is_told_as_the_page_of_codes_shows_it() {
        let mut files = Files::default();
        let text = "sources:\n  in:\n    type: acme";
        let root = parse_yaml(files.add("sluice.yaml", None, text.to_owned()), &files);
        let root = root.expect("YAML");
        let section = Section {
            root: &root,
            pointer: "/sources/in".to_owned(),
            name: "source `in`".to_owned(),
            resolved: &Resolved {
                value: root.to_json(),
                open: Vec::new(),
                unset: Vec::new(),
                filled: Vec::new(),
            },
        };
        let schema = json!({"properties": {"region": {"type": "string", "pattern": "("}}});
        let mut diagnostics = Vec::new();
        assert!(section.check(&schema, &mut diagnostics).is_none());
        let [told] = diagnostics.as_slice() else {
            panic!("{diagnostics:?}");
        };
        let page = include_str!("../../docs/diagnostics.yaml");
        let line = format!("error[{}]: {}\n", told.code, told.message);
        assert!(page.contains(&line), "{line}");
    }
}
