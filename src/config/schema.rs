//! JSON Schemas: of single sections (for our own checks), and of the whole file with all linked
//! plugins in it (for editors and standard validators).

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::model::{ConfigKeys, ConnectorKeys, SourceKeys};

/// The schema of a whole sluice.yaml, for the plugins that are linked.
pub fn config_schema() -> Value {
    let mut root = root_schema();
    let mut defs = take_defs(&mut root, "");
    defs.insert(
        "Placeholder".to_owned(),
        json!({
            "description": "A value from the environment: `${NAME}` or `${NAME:-default}`.",
            "type": "string",
            "pattern": "\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}"
        }),
    );
    let sources = sluice_sdk::sources()
        .iter()
        .map(|plugin| (plugin.name, plugin.summary, source_schema(plugin)))
        .collect();
    let source = variants("source", sources, &mut defs);
    let sinks = sluice_sdk::sinks()
        .iter()
        .map(|plugin| (plugin.name, plugin.summary, sink_schema(plugin)))
        .collect();
    let sink = variants("sink", sinks, &mut defs);
    let mut connector = connector_schema();
    let connector_defs = take_defs(&mut connector, "");
    defs.extend(connector_defs);
    strip_head(&mut connector);
    put(&mut connector, "sink", json!({"$ref": "#/$defs/sink"}));
    defs.insert("source".to_owned(), source);
    defs.insert("sink".to_owned(), sink);
    defs.insert("connector".to_owned(), connector);
    for (name, section) in [("sources", "source"), ("connectors", "connector")] {
        if let Some(property) = root.pointer_mut(&format!("/properties/{name}")) {
            property["additionalProperties"] = json!({"$ref": format!("#/$defs/{section}")});
            property["propertyNames"] = json!({"pattern": "^[a-z0-9_-]+$"});
            property["minProperties"] = json!(1);
        }
    }
    root["$defs"] = Value::Object(defs);
    accept_placeholders(&mut root);
    root
}

/// The top level; sources and connectors are objects of anything.
pub(super) fn root_schema() -> Value {
    generate::<ConfigKeys>()
}

/// A connector; its sink is an object of anything.
pub(super) fn connector_schema() -> Value {
    generate::<ConnectorKeys>()
}

/// A source of this type: the plugin's settings, `type`, and the engine's keys.
pub fn source_schema(plugin: &sluice_sdk::SourcePlugin) -> Value {
    let mut schema = (plugin.schema)().to_value();
    let mut keys = generate::<SourceKeys>();
    let defs = take_defs(&mut keys, "");
    for (name, def) in defs {
        schema["$defs"][name] = def;
    }
    if let Some(properties) = keys["properties"].as_object() {
        for (name, property) in properties {
            put(&mut schema, name, property.clone());
        }
    }
    close(&mut schema, plugin.name, plugin.summary);
    schema
}

/// A sink of this type: the plugin's settings and `type`.
pub fn sink_schema(plugin: &sluice_sdk::SinkPlugin) -> Value {
    let mut schema = (plugin.schema)().to_value();
    close(&mut schema, plugin.name, plugin.summary);
    schema
}

fn generate<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// Add `type` and refuse every other unknown key.
fn close(schema: &mut Value, name: &str, summary: &str) {
    if !schema.is_object() {
        *schema = json!({});
    }
    schema["type"] = json!("object");
    put(
        schema,
        "type",
        json!({"const": name, "description": summary}),
    );
    let is_composed = ["allOf", "anyOf", "oneOf", "$ref"]
        .iter()
        .any(|keyword| schema.get(keyword).is_some());
    let (closed, other) = if is_composed {
        ("unevaluatedProperties", "additionalProperties")
    } else {
        ("additionalProperties", "unevaluatedProperties")
    };
    if let Some(object) = schema.as_object_mut() {
        object.remove(other);
        object.insert(closed.to_owned(), json!(false));
        let required = object.entry("required").or_insert_with(|| json!([]));
        if let Some(required) = required.as_array_mut() {
            required.insert(0, json!("type"));
        }
    }
}

fn put(schema: &mut Value, name: &str, property: Value) {
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    schema["properties"][name] = property;
}

fn strip_head(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut() {
        for key in ["$schema", "title", "description"] {
            object.remove(key);
        }
    }
}

/// One schema whose `type` decides which plugin's keys are known.
fn variants(kind: &str, plugins: Vec<(&str, &str, Value)>, defs: &mut Map<String, Value>) -> Value {
    let mut branches = Vec::new();
    let mut names = Vec::new();
    for (name, _, mut schema) in plugins {
        let inner = take_defs(&mut schema, &format!("{kind}-{name}-"));
        defs.extend(inner);
        strip_head(&mut schema);
        let def = format!("{kind}-{name}");
        branches.push(json!({
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {"$ref": format!("#/$defs/{def}")}
        }));
        defs.insert(def, schema);
        names.push(name.to_owned());
    }
    let mut schema = json!({
        "type": "object",
        "properties": {"type": {
            "description": format!("Which {kind} plugin; the command `plugins` describes them."),
            // Not `enum`: a validator would then accept a placeholder here, and the engine does not.
            "anyOf": names.iter().map(|name| json!({"const": name})).collect::<Vec<_>>()
        }},
        "required": ["type"],
        "allOf": branches
    });
    if names.is_empty() {
        schema = json!({"type": "object"});
    }
    schema
}

/// Take the definitions out, and let all references to them carry `prefix`.
fn take_defs(schema: &mut Value, prefix: &str) -> Map<String, Value> {
    let defs = match schema.as_object_mut().and_then(|it| it.remove("$defs")) {
        Some(Value::Object(defs)) => defs,
        _ => Map::new(),
    };
    if prefix.is_empty() {
        return defs;
    }
    rename(schema, prefix);
    defs.into_iter()
        .map(|(name, mut def)| {
            rename(&mut def, prefix);
            (format!("{prefix}{name}"), def)
        })
        .collect()
}

fn rename(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(text) if key == "$ref" => {
                        if let Some(name) = text.strip_prefix("#/$defs/") {
                            *text = format!("#/$defs/{prefix}{name}");
                        }
                    }
                    value => rename(value, prefix),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, prefix)),
        _ => {}
    }
}

/// Let every place that wants a number, a boolean or a text of some form also take `${…}`.
fn accept_placeholders(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    let all_constants = ["oneOf", "anyOf"].iter().any(|keyword| {
        object
            .get(*keyword)
            .and_then(Value::as_array)
            .is_some_and(|branches| {
                branches.len() > 1
                    && branches
                        .iter()
                        .all(|it| it.get("const").is_some() || it.get("enum").is_some())
            })
    });
    if all_constants {
        // `type` lists the plugins this way and takes no placeholder.
        if object.contains_key("oneOf") {
            wrap(object);
        }
        return;
    }
    if is_narrow(object) {
        wrap(object);
        return;
    }
    for keyword in ["properties", "$defs", "patternProperties"] {
        if let Some(Value::Object(parts)) = object.get_mut(keyword) {
            for (name, part) in parts {
                if !(keyword == "$defs" && name == "Placeholder") {
                    accept_placeholders(part);
                }
            }
        }
    }
    for keyword in ["items", "additionalProperties", "then", "else"] {
        if let Some(part) = object.get_mut(keyword) {
            accept_placeholders(part);
        }
    }
    for keyword in ["allOf", "anyOf", "oneOf", "prefixItems"] {
        if let Some(Value::Array(parts)) = object.get_mut(keyword) {
            parts.iter_mut().for_each(accept_placeholders);
        }
    }
}

fn is_narrow(object: &Map<String, Value>) -> bool {
    let types: Vec<&str> = match object.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if types.iter().any(|name| matches!(*name, "object" | "array")) || object.contains_key("const")
    {
        return false;
    }
    types
        .iter()
        .any(|name| matches!(*name, "integer" | "number" | "boolean"))
        || ["pattern", "format", "enum", "minLength", "maxLength"]
            .iter()
            .any(|keyword| object.contains_key(*keyword))
}

fn wrap(object: &mut Map<String, Value>) {
    let mut outer = Map::new();
    for key in ["title", "description", "default", "examples", "deprecated"] {
        if let Some(value) = object.remove(key) {
            outer.insert(key.to_owned(), value);
        }
    }
    let inner = std::mem::take(object);
    outer.insert(
        "anyOf".to_owned(),
        json!([Value::Object(inner), {"$ref": "#/$defs/Placeholder"}]),
    );
    *object = outer;
}
