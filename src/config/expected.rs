//! What a JSON Schema expects at a place: looked up in the schema itself, for messages and for finding
//! the settings of a kind.

use serde_json::{Value, json};

use crate::diagnostics::Node;

/// A value as one would write it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Follow a `$ref` into `$defs`.
pub(super) fn follow<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..16 {
        let Some(target) = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|text| text.strip_prefix('#'))
            .and_then(|pointer| root.pointer(pointer))
        else {
            break;
        };
        schema = target;
    }
    schema
}

/// The alternatives and parts of a schema.
pub(super) fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["allOf", "anyOf", "oneOf"]
        .into_iter()
        .filter_map(|keyword| schema.get(keyword).and_then(Value::as_array))
        .flatten()
}

/// The schema of the value at a pointer, as far as properties and items lead there.
pub(super) fn schema_at<'a>(root: &'a Value, pointer: &str) -> Option<&'a Value> {
    let mut here = root;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        here = property(root, here, &step)?;
    }
    Some(here)
}

/// The schema of one key of a map, or of an item of a list.
pub(super) fn property<'a>(root: &'a Value, schema: &'a Value, key: &str) -> Option<&'a Value> {
    let schema = follow(root, schema);
    if let Some(found) = schema.get("properties").and_then(|all| all.get(key)) {
        return Some(found);
    }
    if key.bytes().all(|byte| byte.is_ascii_digit())
        && let Some(items) = schema.get("items")
    {
        return Some(items);
    }
    branches(schema)
        .find_map(|branch| property(root, branch, key))
        .or_else(|| {
            schema
                .get("additionalProperties")
                .filter(|it| it.is_object())
        })
}

/// All keys that a map of this schema may have.
pub(super) fn properties(root: &Value, schema: &Value) -> Vec<String> {
    let schema = follow(root, schema);
    let mut all: Vec<String> = schema
        .get("properties")
        .and_then(Value::as_object)
        .map(|map| map.keys().cloned().collect())
        .unwrap_or_default();
    for branch in branches(schema) {
        all.extend(properties(root, branch));
    }
    all.sort();
    all.dedup();
    all
}

/// Settings of this `format`: a text, or all of a list.
pub(super) fn of_format<'n>(
    root: &Value,
    schema: &Value,
    node: &'n Node,
    format: &str,
    found: &mut Vec<&'n Node>,
) {
    let of = |schema: &Value| schema.get("format").and_then(Value::as_str) == Some(format);
    if of(schema) || of(follow(root, schema)) {
        found.extend(node.as_list().unwrap_or(std::slice::from_ref(node)));
        return;
    }
    for entry in node.as_map().unwrap_or_default() {
        if let Some(schema) = property(root, schema, &entry.key) {
            of_format(root, schema, &entry.value, format, found);
        }
    }
}

/// JSON types that a value of this schema may have; empty: any.
pub(super) fn types<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a str> {
    let schema = follow(root, schema);
    let mut all: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => branches(schema)
            .flat_map(|branch| types(root, branch))
            .collect(),
    };
    all.retain(|name| *name != "null");
    all.dedup();
    all
}

/// The texts that are allowed, when only certain ones are.
pub(super) fn choices(root: &Value, schema: &Value) -> Vec<String> {
    let schema = follow(root, schema);
    if let Some(only) = schema.get("const") {
        return vec![plain(only)];
    }
    if let Some(all) = schema.get("enum").and_then(Value::as_array) {
        return all
            .iter()
            .filter(|value| !value.is_null())
            .map(plain)
            .collect();
    }
    let mut all = Vec::new();
    for branch in branches(schema) {
        if branch.get("type").and_then(Value::as_str) == Some("null") {
            continue;
        }
        let inner = choices(root, branch);
        if inner.is_empty() {
            return Vec::new();
        }
        all.extend(inner);
    }
    all
}

/// The title of a schema, or of the first of its alternatives that has one.
pub(super) fn title<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a str> {
    let schema = follow(root, schema);
    let own = schema.get("title").and_then(Value::as_str);
    own.or_else(|| branches(schema).find_map(|branch| title(root, branch)))
}

/// Examples of the right form, as a sentence.
pub(super) fn forms(root: &Value, schema: &Value) -> String {
    let schema = follow(root, schema);
    let examples: Vec<String> = schema
        .get("examples")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|value| format!("`{}`", plain(value)))
        .collect();
    if !examples.is_empty() {
        return format!("expected for example {}", examples.join(", "));
    }
    let limits: Vec<String> = [("minimum", "at least"), ("maximum", "at most")]
        .into_iter()
        .filter_map(|(keyword, word)| Some(format!("{word} {}", schema.get(keyword)?)))
        .collect();
    if !limits.is_empty() {
        return format!("expected {}", limits.join(", "));
    }
    branches(schema)
        .map(|branch| forms(root, branch))
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

/// What one might write here; a variable too.
pub(super) fn hint(root: &Value, schema: &Value) -> Value {
    [schema, follow(root, schema)]
        .iter()
        .find_map(|schema| schema.get("examples")?.as_array()?.first().cloned())
        .unwrap_or_else(|| stand_in(root, schema))
}

/// A value that this schema takes: an example, the default, or a plain one of the right type.
pub(super) fn stand_in(root: &Value, outer: &Value) -> Value {
    let schema = follow(root, outer);
    let is_plain =
        |value: &&Value| !value.is_null() && !value.as_str().is_some_and(|it| it.contains("${"));
    for schema in [outer, schema] {
        let examples = schema.get("examples").and_then(Value::as_array);
        let found = examples
            .into_iter()
            .flatten()
            .find(is_plain)
            .or_else(|| schema.get("default").filter(is_plain))
            .or_else(|| schema.get("const"))
            .or_else(|| schema.get("enum")?.as_array()?.first());
        if let Some(found) = found {
            return found.clone();
        }
    }
    match types(root, schema).first() {
        Some(&"integer" | &"number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some(&"boolean") => json!(false),
        Some(&"array") => json!([]),
        Some(&"object") => json!({}),
        _ => match schema.get("format").and_then(Value::as_str) {
            Some("uri" | "url") => json!("http://localhost/"),
            _ => branches(schema)
                .map(|branch| stand_in(root, branch))
                .next()
                .unwrap_or_else(|| json!("placeholder")),
        },
    }
}
